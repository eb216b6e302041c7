"""The made parts of docs/compatibility.md: every published method and event with the real client that proves it, and every part of a payload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
PROOF = ROOT / "tests" / "acceptance" / "proof.json"
BEGIN, END = "<!-- methods: made by build/compatibility.py -->", "<!-- end of methods -->"
PAYLOADS_BEGIN, PAYLOADS_END = "<!-- payloads: made by build/compatibility.py -->", "<!-- end of payloads -->"
MATRICES = ("tcbox.workers.docker.matrix", "tcbox.workers.host.matrix")
"""Modules whose MATRIX says what a worker makes of its payloads."""


def page() -> str:
    """docs/compatibility.md, whole."""
    text = _filled(PAGE.read_text(encoding="utf-8"), BEGIN, "\n".join(_services()), END)
    return _filled(text, PAYLOADS_BEGIN, "\n".join(_payloads()), PAYLOADS_END)


def _filled(text: str, begin: str, made: str, end: str) -> str:
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{made.strip()}\n\n{end}{rest.partition(end)[2]}"


def proven() -> dict[str, list[str]]:
    """By method (service.name) or exchange (its address), the clients that prove it."""
    known: dict[str, dict[str, list[str]]] = json.loads(PROOF.read_text(encoding="utf-8")) if PROOF.exists() else {}
    found: dict[str, set[str]] = {}
    for client, tests in known.items():
        for names in tests.values():
            for name in names:
                found.setdefault(name, set()).add(client)
    return {name: sorted(clients) for name, clients in found.items()}


def _services() -> Iterator[str]:
    from tcbox.box import services as box

    clients = proven()
    services = [import_module(f"tcbox.services.{box.package(name)}.service").Service for name in box.NAMES]
    methods = sum(method.published for service in services for method in service.api.methods.values())
    events = sum(len(service.exchanges.entries) for service in services if service.exchanges is not None)
    yield f"{methods} methods and {events} events, all of them published by Taskcluster."
    for service in services:
        yield from ("", f"### {service.api.service}", "", "| method or event | proven by |", "|---|---|")
        for method in filter(lambda each: each.published, service.api.methods.values()):
            yield _row(f"`{method.name}`", clients.get(f"{service.api.service}.{method.name}", []))
        for entry in service.exchanges.entries.values() if service.exchanges is not None else ():
            yield _row(f"`{entry.exchange}` (event)", clients.get(entry.address, []))


def _row(name: str, clients: list[str]) -> str:
    return f"| {name} | {', '.join(clients) or 'our own tests'} |"


def _payloads() -> Iterator[str]:
    for name in MATRICES:
        matrix = import_module(name).MATRIX
        yield from ("", f"### {matrix.title}", "", "| part of the payload | done | how | shown by |", "|---|---|---|---|")
        for row in (*matrix.rows, *matrix.beyond):
            tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in row.tests)
            yield f"| `{row.part}` | {row.answer} | {row.says} | {tests} |"
