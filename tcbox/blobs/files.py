"""A blob in one file: the bytes, then what is known of them, so that one rename replaces all of it.

    the bytes
    JSON        a `Meta`
    4 bytes     the length of that JSON, big-endian
    8 bytes     "tcboxblb"

A sealed blob's file has no write permission. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
from pathlib import Path

import msgspec

from tcbox import errors
from tcbox.blobs import hashing
from tcbox.blobs.interface import Incomplete, Sealed, Stat

_MAGIC = b"tcboxblb"
_END = struct.Struct(">I8s")
_GUESS = 4096
"""Bytes at the end that nearly always hold all that is not content."""


class Meta(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What a file says of its bytes; times in ms since the epoch."""

    key: str
    size: int
    content_type: str
    modified: int
    etag: str
    content_encoding: str = ""
    content_disposition: str = ""
    hashes: dict[str, str] = {}
    origin: str = ""

    def stat(self, *, sealed: bool = False) -> Stat:
        """The same for those outside."""
        return Stat(
            self.size, self.content_type, self.content_encoding, self.content_disposition, self.etag, self.modified, self.hashes, self.origin, sealed
        )  # fmt: skip


_decoder = msgspec.json.Decoder(Meta)


class Stored:
    """An open blob; it stays readable while it is replaced or deleted."""

    def __init__(self, fd: int, meta: Meta, *, sealed: bool) -> None:
        self.fd = fd
        self.meta = meta
        self.sealed = sealed

    def stat(self) -> Stat:
        """What is known of the blob."""
        return self.meta.stat(sealed=self.sealed)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the content from an offset, fewer than asked for only at its end."""
        wanted = min(length, self.meta.size - offset)
        data = _pread(self.fd, wanted, offset) if wanted > 0 else b""
        if len(data) < wanted:
            data += self._more(offset + len(data), wanted - len(data))
        return data

    def _more(self, offset: int, wanted: int) -> bytes:
        parts = []
        while wanted > 0:
            part = _pread(self.fd, wanted, offset)
            if not part:
                raise errors.TcboxError(f"the blob {self.meta.key} was cut short on disk: check the disk, and restore the data folder from a backup")
            parts.append(part)
            offset += len(part)
            wanted -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def _pread(fd: int, length: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, length, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


def open_blob(path: Path) -> Stored | None:
    """The blob in a file, or None when there is no file.

    Raises TcboxError when the file is damaged.
    """
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    try:
        info = os.fstat(fd)
        tail = _pread(fd, _GUESS, max(0, info.st_size - _GUESS))
        length, magic = _END.unpack(tail[-_END.size :]) if len(tail) >= _END.size else (0, b"")
        start = info.st_size - _END.size - length
        if magic != _MAGIC or start < 0:
            raise ValueError(path)
        if length + _END.size > len(tail):
            tail = _pread(fd, length + _END.size, start)
        meta = _decoder.decode(tail[-length - _END.size : -_END.size])
        if meta.size != start:
            raise ValueError(path)
    except (ValueError, struct.error, msgspec.MsgspecError):
        os.close(fd)
        raise errors.TcboxError(f"the file {path} is no whole blob: it was damaged; restore it from a backup or remove it") from None
    except BaseException:
        os.close(fd)
        raise
    return Stored(fd, meta, sealed=not info.st_mode & 0o200)


class Upload:
    """A blob that is being written, under a name of its own until it is finished."""

    def __init__(self, folder: Path, hashes: hashing.Hashes) -> None:
        self.path = folder / secrets.token_hex(16)
        self.size = 0
        self.hashes = hashes
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)

    def write(self, chunks: list[bytes]) -> None:
        """Add these bytes."""
        for chunk in chunks:
            self.hashes.update(chunk)
            self.size += len(chunk)
            self._write(chunk)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self, target: Path, meta: Meta) -> None:
        """Give the blob its place, durably.

        Raises Sealed when what is there must not be replaced.
        """
        tail = msgspec.json.encode(meta)
        self._write(tail + _END.pack(len(tail), _MAGIC))
        os.fsync(self._fd)
        self._close()
        if is_sealed(target):
            raise Sealed(f"{meta.key} is final and cannot be replaced: upload under another name")
        try:
            os.replace(self.path, target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync(target.parent.parent)
            os.replace(self.path, target)
        _sync(target.parent)

    def check(self, key: str, length: int | None) -> None:
        """Raise Incomplete unless as many bytes came as were announced."""
        if length is not None and self.size != length:
            raise Incomplete(f"{key} should have {length} bytes, and {self.size} came: send it again, whole")

    def abandon(self) -> None:
        """Remove what was written, unless it was finished."""
        self._close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def is_sealed(path: Path) -> bool:
    """Whether there is a blob that must not be replaced."""
    try:
        return not path.stat().st_mode & 0o200
    except FileNotFoundError:
        return False


def set_sealed(path: Path, *, sealed: bool) -> None:
    """Seal a blob, or open it to be replaced again; nothing happens when it is not there."""
    with contextlib.suppress(FileNotFoundError):
        path.chmod(0o400 if sealed else 0o600)


def remove(path: Path) -> None:
    """Remove a blob, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        if os.name == "nt":
            path.chmod(0o600)
        path.unlink()


def _sync(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
