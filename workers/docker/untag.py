"""Takes the names out of a `docker save` archive on its way into the engine.

An image that is loaded with its names takes them over: a task's own archive could make `debian:12` another image for
every task after it.

Every header is written anew, as it was understood here: what two readers of one archive would understand differently,
such as a link that claims to have content, could hide a list from one of them. What has no place in such an archive is
refused.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1024 * 1024
_MOST = 16 * 1024 * 1024
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_BARE = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
"""Kinds of entries that are a header alone."""
_NAMES = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=\0]+)=")
_OF_IMAGES = ("Config", "Layers", "LayerSources")
_OF_INDEXES = ("schemaVersion", "mediaType")
_OF_MANIFESTS = ("mediaType", "digest", "size", "platform", "artifactType")
_NAMING = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_NUMBER = re.compile(r"[0-9]{1,18}")


class ArchiveError(Exception):
    """What was read is no archive of one image."""


def untagged(source: IO[bytes]) -> Iterator[bytes]:
    """The bytes of an archive without the names of its image; blocking.

    Raises ArchiveError.
    """
    more: dict[str, str] = {}  # what extended headers say of the entry that comes
    while (head := _exactly(source, _BLOCK)).strip(b"\0"):
        try:
            entry = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ArchiveError(f"it is no tar archive: {error}") from error
        if entry.type in _NAMES:
            more[_NAMES[entry.type]] = _content(source, entry).partition(b"\0")[0].decode("utf-8", "surrogateescape")
        elif entry.type == tarfile.XHDTYPE:
            more |= _records(_content(source, entry))
        elif entry.type == tarfile.XGLTYPE:
            if told := _telling(_records(_content(source, entry))):
                raise ArchiveError(f"it has a global header that sets {told}; save the image again with 'docker save'")
        else:
            yield from _entry(source, _understood(entry, more))
            more = {}
    if more:
        raise ArchiveError("it ends with an extended header of nothing")
    yield b"\0" * (2 * _BLOCK)


def _understood(entry: tarfile.TarInfo, more: dict[str, str]) -> tarfile.TarInfo:
    """An entry as it is to be written: what its header and those before it say, as far as it matters to an image.

    Raises ArchiveError when it is of a kind that images do not have, or says two things of itself.
    """
    name, link, size = more.get("path", entry.name), more.get("linkpath", entry.linkname), entry.size
    if any(key.startswith("GNU.sparse.") for key in more) or entry.type not in (*_FILES, *_BARE):
        raise ArchiveError(f"{name} is neither a file, a folder nor a link")
    if "size" in more:
        if entry.type not in _FILES or not _NUMBER.fullmatch(more["size"]) or size not in (0, int(more["size"])):
            raise ArchiveError(f"{name} has a size of {entry.size} in its header and of {more['size']} before it")
        size = int(more["size"])  # of 8 GiB or more, for which the header has no room
    if size < 0 or (size and entry.type in _BARE):
        raise ArchiveError(f"{name} has a size of {size}, which nothing of its kind has")
    if not name or "\0" in name + link or ".." in name.split("/"):
        raise ArchiveError(f"{name!r} is no name within an archive")
    made = tarfile.TarInfo(name)
    made.type = entry.type if entry.type in _BARE else tarfile.REGTYPE
    made.size, made.mode, made.mtime = size, entry.mode & 0o7777, max(0, entry.mtime)
    if made.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        made.linkname = link
    return made


def _entry(source: IO[bytes], entry: tarfile.TarInfo) -> Iterator[bytes]:
    """An entry's header and content, which is another for the lists that name images."""
    folder, _, name = posixpath.normpath(entry.name).lstrip("/").rpartition("/")
    change = _CHANGES.get(name)
    if change is None:
        yield _header(entry)
        yield from _through(source, _padded(entry.size))
        return
    if folder or not entry.isreg():
        raise ArchiveError(f"{entry.name} is not where or what it should be")
    content = change(_content(source, entry))
    entry.name, entry.size = name, len(content)
    yield _header(entry)
    yield content + b"\0" * (_padded(len(content)) - len(content))


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _content(source: IO[bytes], entry: tarfile.TarInfo) -> bytes:
    """All that an entry holds; for those that are small.

    Raises ArchiveError when this one is not.
    """
    if not 0 <= entry.size <= _MOST:
        raise ArchiveError(f"{entry.name} is larger than any such thing is")
    return _exactly(source, _padded(entry.size))[: entry.size]


def _records(content: bytes) -> dict[str, str]:
    """What an extended header says.

    Raises ArchiveError when it cannot be understood.
    """
    said, at = {}, 0
    while at < len(content):
        found = _RECORD.match(content, at)
        end = at + int(found[1]) if found else 0
        if found is None or not found.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise ArchiveError("it has an extended header that cannot be read")
        said[found[2].decode("utf-8", "surrogateescape")] = content[found.end() : end - 1].decode("utf-8", "surrogateescape")
        at = end
    return said


def _telling(said: dict[str, str]) -> str:
    """What of an extended header changes how entries are read; empty when nothing does."""
    return ", ".join(sorted(key for key in said if key in ("path", "linkpath", "size") or key.startswith("GNU.sparse.")))


def _exactly(source: IO[bytes], size: int) -> bytes:
    return b"".join(_through(source, size))


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
    return msgspec.json.encode([{**_only(images[0], _OF_IMAGES), "RepoTags": None}])


def _index(content: bytes) -> bytes:
    index = _decoded(content, "index.json")
    listed = index.get("manifests") or [] if isinstance(index, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) and isinstance(each.get("annotations") or {}, dict) for each in listed):
        raise ArchiveError("its index.json is no list of manifests")
    return msgspec.json.encode({**_only(index, _OF_INDEXES), "manifests": [_manifested(each) for each in listed]})


def _manifested(each: dict[str, Any]) -> dict[str, Any]:
    notes = {key: value for key, value in (each.get("annotations") or {}).items() if key not in _NAMING}
    return {**_only(each, _OF_MANIFESTS), **({"annotations": notes} if notes else {})}


def _only(given: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """What is known of a list: the engine takes a key in any case of letters, so that "repotags" would be one more "RepoTags"."""
    return {key: given[key] for key in keys if key in given}


def _decoded(content: bytes, name: str) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ArchiveError(f"its {name} is no JSON: {error}") from error


_CHANGES: dict[str, Callable[[bytes], bytes]] = {"manifest.json": _manifest, "index.json": _index, "repositories": lambda _: b"{}"}
