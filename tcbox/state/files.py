"""A state in a file, or in a folder with a file for each kind. Files with secrets are for their owner alone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tcbox import errors
from tcbox.config.faults import Fault
from tcbox.config.instance import write_private
from tcbox.state import reading, yamltext
from tcbox.state.model import KINDS, State, plain

_ENDS = (".yml", ".yaml", ".json")


def text(state: State, comments: Iterable[str] = ()) -> str:
    """A state as a file has it, the same text for the same state."""
    value: dict[str, object] = {"version": state.version}
    if state.prefixes:
        value["prefixes"] = list(state.prefixes)
    if state.providers:
        value["providers"] = dict(sorted(state.providers.items()))
    for kind in state.kinds:
        things = state.things(kind) or {}
        value[kind.key] = {name: plain(things[name], short=True) for name in sorted(things)}
    head = "".join(f"# {line}\n" for line in ("Written by `tcbox state export`.", *comments))
    return head + yamltext.document(value)


def save(place: Path, state: State, comments: Iterable[str] = ()) -> list[Path]:
    """Write a file, or a file for each kind into a folder that is there; the paths that were written.

    Raises TcboxError when one cannot be written.
    """
    parts = {place / f"{kind.name}.yml": state.part([kind]) for kind in state.kinds} if place.is_dir() else {place: state}
    comments = list(comments)
    for path, part in parts.items():
        _put(path, text(part, comments).encode(), private=part.secrets is not None)
    return list(parts)


def _put(path: Path, data: bytes, *, private: bool) -> None:
    try:
        if private:
            if not path.parent.is_dir():
                raise errors.TcboxError(f"there is no folder {path.parent} to write {path.name} to: make it, or give another place")
            write_private(path, data)
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise errors.TcboxError(f"cannot write {path}: {error.strerror}; give another place") from error


def load(place: Path) -> State:
    """The state of a file, or of all files in a folder.

    Raises TcboxError with every mistake.
    """
    if not place.is_dir():
        return reading.read(place)
    paths = sorted(path for path in place.iterdir() if path.suffix in _ENDS and not path.name.startswith("."))
    if not paths:
        raise errors.TcboxError(f"there is no file with a state in {place}: it takes files that end in {', '.join(_ENDS)}, as 'tcbox state export' writes them")
    states: list[State] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            states.append(reading.read(path))
        except reading.FileFaults as error:
            faults += error.faults
    if faults:
        raise reading.FileFaults(faults)
    return _together(place, states)


def _together(place: Path, states: list[State]) -> State:
    """What several files say; they must be about the same names, and none may say what another says."""
    if len({state.prefixes for state in states}) > 1:
        raise errors.TcboxError(f"the files in {place} differ in their prefixes: export them again, together")
    whole = states[0]
    for state in states[1:]:
        found: dict[str, Any] = {}
        for kind in KINDS:
            one, other = whole.things(kind), state.things(kind)
            if one and other and (twice := sorted(one.keys() & other.keys())):
                raise errors.TcboxError(f"two files in {place} have the {kind.word} {twice[0]}: take it out of one of them")
            found[kind.key] = other if one is None else one if other is None else {**one, **other}
        whole = dataclasses.replace(whole, providers={**whole.providers, **state.providers}, **found)
    return whole
