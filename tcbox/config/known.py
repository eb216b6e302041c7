"""The instances that have run on this machine, so that they can be listed side by side.

A note holds nothing but the path of a data folder; all else is read from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from tcbox.config import places


def remember(data: Path, env: Mapping[str, str]) -> None:
    """Note an instance; a folder for notes that cannot be written to does not keep it from starting."""
    note = _note(data, env)
    with contextlib.suppress(OSError):
        if note.is_file() and note.read_text() == f"{data}\n":
            return
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = note.with_suffix(f".{os.getpid()}")
        temporary.write_text(f"{data}\n")
        temporary.replace(note)


def forget(data: Path, env: Mapping[str, str]) -> None:
    """Drop the note on an instance."""
    with contextlib.suppress(OSError):
        _note(data, env).unlink()


def folders(env: Mapping[str, str]) -> list[Path]:
    """The data folders that are still there, in order; notes on those that are gone are dropped."""
    notes: list[Path] = []
    with contextlib.suppress(OSError):
        notes = sorted(places.known_instances(env).glob("*.path"))
    found = set()
    for note in notes:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            data = Path(note.read_text().removesuffix("\n"))
            if data.is_dir():
                found.add(data)
            else:
                note.unlink()
    return sorted(found)


def _note(data: Path, env: Mapping[str, str]) -> Path:
    return places.known_instances(env) / f"{hashlib.sha256(str(data).encode()).hexdigest()[:20]}.path"
