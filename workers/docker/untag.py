"""Takes the names out of a `docker save` archive on its way into the engine.

An image that is loaded with its names takes them over: a task's own archive could make `debian:12` another image for
every task after it.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1024 * 1024
_MOST = 16 * 1024 * 1024
_FOLLOWED = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


class ArchiveError(Exception):
    """What was read is no archive of one image."""


def untagged(source: IO[bytes]) -> Iterator[bytes]:
    """The bytes of an archive without the names of its image; blocking.

    Raises ArchiveError.
    """
    while True:
        head = _exactly(source, _BLOCK)
        if not head.strip(b"\0"):
            yield head
            while rest := source.read(_CHUNK):
                yield rest
            return
        try:
            entry = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ArchiveError(f"it is no tar archive: {error}") from error
        padded = -(-entry.size // _BLOCK) * _BLOCK
        if entry.type in _FOLLOWED:
            yield head
            yield _harmless(_exactly(source, _small(entry, padded)))
            continue
        folder, _, name = posixpath.normpath(entry.name).lstrip("/").rpartition("/")
        change = _CHANGES.get(name)
        if change is None:
            yield head
            yield from _through(source, padded)
            continue
        if folder or not entry.isreg():
            raise ArchiveError(f"{entry.name} is not where or what it should be")
        _small(entry, padded)
        content = change(_exactly(source, padded)[: entry.size])
        entry.size = len(content)
        yield entry.tobuf(tarfile.GNU_FORMAT)
        yield content + b"\0" * (-len(content) % _BLOCK)


def _small(entry: tarfile.TarInfo, size: int) -> int:
    if size > _MOST:
        raise ArchiveError(f"{entry.name} is larger than any such thing is")
    return size


def _harmless(extension: bytes) -> bytes:
    """A header's extension, unless it could give the next entry one of the names that are looked for."""
    if any(name.encode() in extension for name in _CHANGES):
        raise ArchiveError("a list of it has its name in an extended header")
    return extension


def _exactly(source: IO[bytes], size: int) -> bytes:
    parts, left = [], size
    while left:
        part = source.read(min(left, _CHUNK))
        if not part:
            raise ArchiveError("it breaks off")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _through(source: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        part = source.read(min(size, _CHUNK))
        if not part:
            raise ArchiveError("it breaks off")
        size -= len(part)
        yield part


def _manifest(content: bytes) -> bytes:
    images = _decoded(content, "manifest.json")
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise ArchiveError("it must hold exactly one image")
    return msgspec.json.encode([{**images[0], "RepoTags": None}])


def _index(content: bytes) -> bytes:
    index = _decoded(content, "index.json")
    for each in index.get("manifests", ()) if isinstance(index, dict) else ():
        notes = each.get("annotations")
        if isinstance(notes, dict):
            each["annotations"] = {key: value for key, value in notes.items() if key not in ("io.containerd.image.name", "org.opencontainers.image.ref.name")}
    return msgspec.json.encode(index)


def _decoded(content: bytes, name: str) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ArchiveError(f"its {name} is no JSON: {error}") from error


_CHANGES: dict[str, Callable[[bytes], bytes]] = {"manifest.json": _manifest, "index.json": _index, "repositories": lambda _: b"{}"}
