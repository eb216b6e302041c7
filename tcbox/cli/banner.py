"""What `tcbox up` says when the instance is ready."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from tcbox.cli import style

_NOTES = 5


def render(info: dict[str, Any], *, foreground: bool = False) -> str:
    """The banner: where it is, where its state is, what runs, how to connect, how to stop it."""
    after = f"after {info['readyAfter']:.2f} s, process {info['pid']}"
    head = f"{style.ok('●')} {style.bold('tcbox')} is ready at {style.bold(info['rootUrl'])}  {style.dim(after)}"
    return "\n".join([head, *(f"  {style.dim(f'{name:<10}')}{value}" for name, value in _rows(info, foreground))])


def _rows(info: dict[str, Any], foreground: bool) -> Iterator[tuple[str, str]]:
    which = "" if info["defaultData"] else f" --data {shlex.quote(info['data'])}"
    yield "services", ", ".join(info["services"])
    for index, note in enumerate(info["notes"]):
        yield "" if index else "note", style.warn(note)
    for index, text in enumerate([_worker(kind, text) for kind, text in info["workers"].items()] or ["none"]):
        yield "" if index else "workers", text
    yield "database", info["database"]
    yield "events", info["events"]
    for index, text in enumerate(_seed(info.get("seed"), which)):
        yield "" if index else "seed", text
    yield "state", info["data"] + (" (removed at the end)" if info["ephemeral"] else " (kept)")
    yield "UI", info["ui"]
    if info.get("signIn"):
        yield "sign in", f"{info['signIn']}  {style.dim(f'(once, within 10 minutes; tcbox ui{which} makes another)')}"
    yield "metrics", info["metrics"]
    yield "API", f"{info['rootUrl']}/references/manifest.json"
    yield "connect", f'eval "$(tcbox env{which})"'
    yield "stop", "Ctrl-C" if foreground else f"tcbox down{which}"


def _seed(seed: dict[str, Any] | None, which: str) -> Iterator[str]:
    if seed is None:
        return
    if not seed["finished"]:
        yield style.warn(f"{seed['source']} was put in by half: stop it, and start it with --seed {shlex.quote(seed['source'])} to have the rest")
        return
    yield f"{seed['source']}: {seed['said']}" if seed["now"] else f"{seed['source']}, at the first start"
    if seed["unused"]:
        yield style.warn(f"{seed['unused']} is not put in, for that was it; to have it: tcbox state import {shlex.quote(seed['unused'])}{which}")
    if seed["now"] and seed["tokens"]:
        yield f"access tokens of its clients: {seed['tokens']}"
    if seed["now"]:
        yield from (style.warn(f"left out: {note}") for note in seed["notes"][:_NOTES])
    if seed["now"] and len(seed["notes"]) > _NOTES:
        yield style.warn(f"and {len(seed['notes']) - _NOTES} more: see seed.json there")


def _worker(kind: str, text: str) -> str:
    if text.startswith("not running"):
        return f"{kind:<8} {style.warn(text)}"
    return f"{kind:<8} {text}" + (style.dim("  (no isolation: tasks run as you)") if kind == "host" else "")
