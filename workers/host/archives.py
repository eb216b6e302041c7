"""Unpacks what mounts bring: archives into folders, compressed files into files. All of it blocks.

What the standard library and zstandard cannot do is done by programs of the machine, where they are.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from tcbox.workers.host import lzip

_CHUNK = 1024 * 1024
_MOST_LINKS = 40
"""As many as Linux follows in one path."""


class CannotUnpack(Exception):
    """The content is not what its format says, or cannot be written; the message says why."""


class _Chunks(io.RawIOBase):
    """A file to read of what an iterator gives."""

    def __init__(self, chunks: Iterator[bytes], source: IO[bytes]) -> None:
        self._chunks, self._source, self._left = chunks, source, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


def _zstd(path: Path) -> IO[bytes]:
    import zstandard

    return _streamed(path, zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj)


def _zlib(path: Path) -> IO[bytes]:
    return _streamed(path, zlib.decompressobj)


def _lzip(path: Path) -> IO[bytes]:
    source = path.open("rb")
    return io.BufferedReader(_Chunks(lzip.read(source), source), _CHUNK)


def _streamed(path: Path, decoder: Callable[[], Any]) -> IO[bytes]:
    """What one stream after another holds; one that ends too early is an error, which not every reader makes of it."""

    def chunks() -> Iterator[bytes]:
        data = source.read(_CHUNK)
        while data:
            stream = decoder()
            while not stream.eof:
                if not data:
                    raise ValueError("it ends too early")
                yield stream.decompress(data)
                data = b"" if stream.eof else source.read(_CHUNK)
            data = stream.unused_data or source.read(_CHUNK)

    source = path.open("rb")
    return io.BufferedReader(_Chunks(chunks(), source), _CHUNK)


@contextlib.contextmanager
def _piped(path: Path, form: str) -> Iterator[IO[bytes]]:
    """What a program of the machine makes of a file."""
    argv = program(_FILTERS[form])
    if argv is None:
        raise CannotUnpack(f"no program is here that unpacks {form}: install {_one_of(_FILTERS[form])}")
    with path.open("rb") as source, tempfile.TemporaryFile() as said, subprocess.Popen(argv, stdin=source, stdout=subprocess.PIPE, stderr=said) as process:  # noqa: S603 - a table's
        assert process.stdout is not None
        try:
            yield process.stdout
            process.stdout.read(1)  # a reader may stop before the end, and the program's word still counts
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
        if process.wait():
            said.seek(0)
            raise CannotUnpack(f"{argv[0]}: {said.read(2000).decode(errors='replace').strip() or f'exit code {process.returncode}'}")


_READERS: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {
    "bz2": bz2.open, "gz": gzip.open, "lz": _lzip, "xz": lzma.open, "zst": _zstd, "zz": _zlib,
}  # fmt: skip
_FILTERS = {
    "br": (("brotli", "-dc"),),
    "lz4": (("lz4", "-dc"),),
    "mz": (("mz", "d", "-c", "-"), ("mz", "d", "-c")),
    "sz": (("snzip", "-dc"), ("szip", "-dc")),
}
"""Programs that unpack standard input to standard output."""
_SEVEN = ("x", "-y", "-bd", "-o{folder}", "{source}")
_SEVENS = (("7zz", *_SEVEN), ("7z", *_SEVEN), ("7za", *_SEVEN))
_BSDTAR = ("bsdtar", "-xf", "{source}", "-C", "{folder}")
_EXTRACTORS = {
    "7z": (*_SEVENS, _BSDTAR),
    "rar": (("unrar", "x", "-y", "-idq", "{source}", "{folder}/"), _BSDTAR, ("unar", "-f", "-q", "-D", "-o", "{folder}", "{source}"), *_SEVENS[:2]),
}
"""Programs that unpack an archive into a folder."""
FILE_FORMATS = tuple(sorted((*_READERS, *_FILTERS)))
ARCHIVE_FORMATS = tuple(sorted(("tar", *(f"tar.{name}" for name in FILE_FORMATS), "zip", *_EXTRACTORS)))


def program(choices: tuple[tuple[str, ...], ...]) -> list[str] | None:
    """The first of some commands whose program is on this machine."""
    return next((list(argv) for argv in choices if shutil.which(argv[0])), None)


def missing(form: str) -> str:
    """What must be installed before a format can be unpacked here; empty when nothing must."""
    choices = _EXTRACTORS.get(form) or _FILTERS.get(form.removeprefix("tar."))
    return "" if choices is None or program(choices) else _one_of(choices)


def _one_of(choices: tuple[tuple[str, ...], ...]) -> str:
    names = list(dict.fromkeys(argv[0] for argv in choices))
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _open(source: Path, form: str) -> AbstractContextManager[Any]:
    return _READERS[form](source) if form in _READERS else _piped(source, form)


def decompress(source: Path, form: str, target: Path) -> None:
    """Write the file that a compressed one holds.

    Raises CannotUnpack, or OSError when the disk is full.
    """
    with _faults(f"{form} file"), _open(source, form) as packed, target.open("wb") as out:
        shutil.copyfileobj(packed, out, _CHUNK)


def unpack(source: Path, form: str, folder: Path) -> None:
    """Write all that an archive holds below a folder; entries that point outside are refused.

    Raises CannotUnpack, or OSError when the disk is full.
    """
    with _faults(f"{form} archive"):
        if form == "zip":
            _unzip(source, folder)
        elif form == "tar":
            with tarfile.open(source, "r:") as archive:
                _untar(archive, folder)
        elif form in _EXTRACTORS:
            _extract(source, form, folder)
        else:
            with _open(source, form.removeprefix("tar.")) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
                _untar(archive, folder)


@contextlib.contextmanager
def _faults(what: str) -> Iterator[None]:
    try:
        yield
    except CannotUnpack as error:
        raise CannotUnpack(f"it is not a {what} that can be unpacked: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile) and error.errno is not None:
            raise
        raise CannotUnpack(f"it is not a {what} that can be unpacked: {error}") from error


def _untar(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack a tar; the checks are ours, since the library has them from Python 3.11.4 on only, and Debian 12 has 3.11.2.

    Each entry is looked at as late as it is unpacked, and folders once more when they get their rights at the end: a link
    that came in between may have changed what an earlier one leads to.
    """
    trusted: Any = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    home = os.path.realpath(folder)
    folders = []
    for entry in archive:
        entry.name = entry.name.lstrip("/")
        entry.mode &= 0o755  # neither writable for others, nor with another's rights
        _check(home, entry.name, *([entry.linkname] if entry.islnk() else []))
        archive.extract(entry, home, set_attrs=not entry.isdir(), **trusted)
        if entry.isdir():
            folders.append(entry)
    for entry in sorted(folders, key=lambda each: each.name, reverse=True):
        path = os.path.join(home, entry.name)
        _check(home, entry.name)
        with contextlib.suppress(tarfile.ExtractError):  # what the file system does not keep is not missed
            archive.chown(entry, path, numeric_owner=False)
            archive.utime(entry, path)
            archive.chmod(entry, path)


def _check(home: str, *names: str) -> None:
    """Raises CannotUnpack unless all names stay below the folder now."""
    for name in names:
        if not _stays(home, name):
            raise CannotUnpack(f"the entry {name} points outside of the archive")


def _stays(home: str, name: str) -> bool:
    """Whether a name below a folder never leaves it, when every link on the way is followed as the system would.

    Path.resolve is not enough: what it cannot look at, as a path that is too long, it takes for no link.

    Raises CannotUnpack when links go in a circle, or something cannot be looked at.
    """
    place, left, links = home, name.split("/")[::-1], 0
    if os.path.isabs(name):
        return False
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if place == home:
                return False
            place = os.path.dirname(place)
            continue
        place = os.path.join(place, part)
        target = _target(place)
        if target is None:
            continue
        links += 1
        if links > _MOST_LINKS:
            raise CannotUnpack(f"the entry {name} leads through too many links")
        if os.path.isabs(target):
            return False
        left += target.split("/")[::-1]
        place = os.path.dirname(place)
    return True


def _target(path: str) -> str | None:
    """Where a link leads, None for what is no link or not there."""
    try:
        return os.readlink(path) if stat.S_ISLNK(os.lstat(path).st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CannotUnpack(f"an entry's place cannot be looked at: {error.strerror or error}") from error


def _extract(source: Path, form: str, folder: Path) -> None:
    argv = program(_EXTRACTORS[form])
    if argv is None:
        raise CannotUnpack(f"no program is here that unpacks {form}: install {_one_of(_EXTRACTORS[form])}")
    filled = [part.format(source=source, folder=folder) for part in argv]
    done = subprocess.run(filled, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # noqa: S603 - a table's
    if done.returncode:
        raise CannotUnpack(f"{argv[0]}: {done.stdout[-2000:].decode(errors='replace').strip() or f'exit code {done.returncode}'}")


def _unzip(source: Path, folder: Path) -> None:
    home = os.path.realpath(folder)
    links = []
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            name = "/".join(part for part in entry.filename.split("/") if part not in ("", ".", ".."))  # as the library writes it
            if stat.S_ISLNK(mode):
                _link(archive.read(entry).decode(), home, name)
                links.append(name)
                continue
            _check(home, name)
            path = archive.extract(entry, home)
            if mode and not entry.is_dir():
                os.chmod(path, (mode & 0o755) | stat.S_IRUSR)  # neither writable for others, nor with another's rights
    _check(home, *links)  # a later link may have changed where an earlier one leads


def _link(target: str, home: str, name: str) -> None:
    above = os.path.dirname(name)
    if not name or os.path.isabs(target) or not _stays(home, os.path.join(above, target)):
        raise CannotUnpack(f"the link {name} points outside of the archive, to {target}")
    path = os.path.join(home, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(target, path)
