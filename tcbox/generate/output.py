"""Puts a client's files into a folder, and takes away what an earlier one has left; files of others are never touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tcbox import errors
from tcbox.generate import text

_ENDS = (".py", ".ts", ".go")


def differing(folder: Path, files: Mapping[str, str]) -> list[str]:
    """The names of files that are not as they would be written, those that would be removed among them."""
    stale = [name for name, wanted in files.items() if _content(folder / name) != wanted]
    return sorted([*stale, *_left(folder, files)])


def put(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files that differ, and give their names.

    Raises TcboxError, before anything is written, when a file there is somebody's own.
    """
    for name in files:
        content = _content(folder / name)
        if content and not _is_ours(content):
            raise errors.TcboxError(f"{folder / name} is not a generated file, and would be overwritten: give a folder of its own with --out")
    changed = differing(folder, files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in changed:
            if name in files:
                (folder / name).write_bytes(files[name].encode())
            else:
                (folder / name).unlink()
    except OSError as error:
        raise errors.TcboxError(f"cannot write to {folder}: {error.strerror}") from error
    return changed


def _left(folder: Path, files: Mapping[str, str]) -> list[str]:
    """What an earlier generation wrote, and this one does not."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix in _ENDS and path.name not in files)
    return [path.name for path in found if _is_ours(_content(path) or "")]


def _is_ours(content: str) -> bool:
    return text.MARK in content.partition("\n")[0]


def _content(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise errors.TcboxError(f"cannot read {path}: {error.strerror}") from error
