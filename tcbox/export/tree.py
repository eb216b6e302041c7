"""A tree of made files: written where nothing else is lost, read back to be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tcbox import errors
from tcbox.export.yamltext import HEAD

Tree = Mapping[str, str]
"""Contents by path, with slashes, below the folder."""


@dataclass(frozen=True)
class Written:
    """What writing came to, as paths."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    same: tuple[str, ...]


def write(folder: Path, files: Tree) -> Written:
    """Write a tree. Files of an earlier one that are no longer in it are removed; a file that is the same is not touched.

    Raises TcboxError, with nothing written, when a file would be lost that was not made here, or that is another target's.
    """
    before = read(folder)
    refuse_another(folder, before, files, "it would be lost: export to another folder with --out")
    foreign = [path for path in files if path not in before and (folder / path).exists()]
    if foreign:
        raise errors.TcboxError(f"{folder / foreign[0]} is not from an export, and would be lost: move it away, or export to another folder with --out")
    try:
        for path, text in files.items():
            if before.get(path) != text:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8", newline="\n")
        removed = tuple(sorted(before.keys() - files.keys()))
        for path in removed:
            (folder / path).unlink()
            _forget_empty(folder, (folder / path).parent)
    except OSError as error:
        raise errors.TcboxError(f"the tree cannot be written: {error.filename or folder}: {error.strerror}") from error
    return Written(
        new=tuple(sorted(files.keys() - before.keys())),
        changed=tuple(sorted(path for path in files if path in before and before[path] != files[path])),
        removed=removed,
        same=tuple(sorted(path for path in files if before.get(path) == files[path])),
    )


def refuse_another(folder: Path, before: Tree, files: Tree, remedy: str) -> None:
    """Raise TcboxError when what a folder has of an earlier export is of another target."""
    if before and before.keys().isdisjoint(files):
        raise errors.TcboxError(f"{folder} holds an export for another target; {remedy}")


def read(folder: Path) -> dict[str, str]:
    """The files below a folder that an export made."""
    return dict(_made(folder))


def _made(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue
            if text.startswith(HEAD):
                yield path.relative_to(folder).as_posix(), text


def _forget_empty(top: Path, folder: Path) -> None:
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
