"""What was probably meant, when a key or a value is not known."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from typing import Any


def meant(name: str, known: Sequence[str]) -> str:
    """`did you mean …?` for the known name that looks most like this one; empty when none does."""
    found = nearest(name, known)
    return f"did you mean {found}?" if found else ""


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that looks most like this one; empty when none does."""
    import difflib

    plain = {_plain(each): each for each in known}
    close = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=0.6)
    return plain[close[0]] if close else ""


def elsewhere(name: str) -> str:
    """Where a key of that name does belong; empty when it belongs nowhere, or to several places."""
    from tcbox.config.settings import Settings

    places = [path for path in paths(Settings) if _plain(path.rpartition(".")[2]) == _plain(name)]
    return f"did you mean {places[0]}?" if len(places) == 1 else ""


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def paths(kind: Any, key: str = "") -> Iterator[str]:
    """The keys of a section and of those below it, each as a path with dots; `key` is the section's own."""
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        if item.metadata.get("key", True):
            path = f"{key}.{item.name}" if key else item.name
            yield path
            if dataclasses.is_dataclass(hints[item.name]):
                yield from paths(hints[item.name], path)
