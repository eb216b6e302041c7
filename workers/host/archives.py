"""Unpacks what mounts bring: archives into folders, compressed files into files. All of it blocks."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any


class CannotUnpack(Exception):
    """The content is not what its format says, or cannot be written; the message says why."""


def _zstd(path: Path) -> IO[bytes]:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True, read_across_frames=True)


_READERS: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {"bz2": bz2.open, "gz": gzip.open, "xz": lzma.open, "zst": _zstd}
FILE_FORMATS = tuple(_READERS)
ARCHIVE_FORMATS = ("tar", *(f"tar.{name}" for name in _READERS), "zip")


def decompress(source: Path, form: str, target: Path) -> None:
    """Write the file that a compressed one holds.

    Raises CannotUnpack.
    """
    try:
        with _READERS[form](source) as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out, 1024 * 1024)
    except Exception as error:
        raise CannotUnpack(f"it is not a {form} file that can be unpacked: {error}") from error


def unpack(source: Path, form: str, folder: Path) -> None:
    """Write all that an archive holds below a folder; entries that point outside are refused.

    Raises CannotUnpack.
    """
    try:
        if form == "zip":
            _unzip(source, folder)
        elif form == "tar":
            with tarfile.open(source, "r:") as archive:
                archive.extractall(folder, filter="tar")
        else:
            with _READERS[form.removeprefix("tar.")](source) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
                archive.extractall(folder, filter="tar")
    except Exception as error:
        raise CannotUnpack(f"it is not a {form} archive that can be unpacked: {error}") from error


def _unzip(source: Path, folder: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            if stat.S_ISLNK(mode):
                _link(archive.read(entry).decode(), folder, entry.filename)
                continue
            path = archive.extract(entry, folder)
            if mode and not entry.is_dir():
                os.chmod(path, stat.S_IMODE(mode) | stat.S_IRUSR)


def _link(target: str, folder: Path, name: str) -> None:
    path = folder / name
    home = path.parent.resolve()  # where an earlier link among the folders above it leads
    if os.path.isabs(target) or not all(each.is_relative_to(folder.resolve()) for each in (home, (home / target).resolve())):
        raise CannotUnpack(f"the link {name} points outside of the archive, to {target}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
