"""What a place for bytes is to the rest of tcbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tcbox import errors

ALGORITHMS = ("sha256", "sha512")
"""Hashes that uploads are checked against."""


class NoSuchBlob(errors.TcboxError):
    """There are no bytes under this key."""


class Incomplete(errors.TcboxError):
    """Fewer or more bytes came than were announced."""


class HashMismatch(errors.TcboxError):
    """The bytes do not have the hash that they should have."""


class Interrupted(errors.Unavailable):
    """Reading broke off in the middle; what was read is right, and the rest can be asked for anew."""


class Sealed(errors.TcboxError):
    """The bytes under this key are final, and cannot be replaced."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of some bytes without reading them.

    Attributes:
        size: in bytes, as stored (encoded, if there is a content encoding).
        content_encoding: such as "gzip"; empty when the bytes are the content itself.
        content_disposition: the header that they are served with; empty for none.
        etag: changes whenever the bytes do; without quotes.
        modified: when they were written, in ms since the epoch.
        hashes: those that the place has recorded, hexadecimal, by algorithm.
        origin: the `etag` of the bytes elsewhere of which these are a copy; empty when they are no copy.
        sealed: whether they are final.
    """

    size: int
    content_type: str
    content_encoding: str
    content_disposition: str
    etag: str
    modified: int
    hashes: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    sealed: bool = False


class Blobs(Protocol):
    """A place for bytes under keys; keys are any text, such as `object/<uploadId>/<name>`.

    Implementers must keep memory bounded however large a blob is, must show a blob whole or not at all, must have it
    on stable storage before `put_stream` returns, and must never touch anything outside their place, whatever the key.

    Attributes:
        backend: names the place in records of what is where, such as "files" or "s3:bucket/prefix".
    """

    @property
    def backend(self) -> str:
        """The place's name; the same as long as the same bytes are found there."""
        ...

    async def start(self) -> None:
        """Make the place ready, and clear away what writes that were cut off left behind."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...

    async def check(self) -> None:
        """See that the place is there and can be read, without changing anything.

        Raises TcboxError with what is in the way.
        """
        ...

    def listing(self, damaged: Callable[[str], None]) -> AsyncIterator[str]:
        """The keys of all artifacts and objects, as locations, in any order; works on a place that was not started.

        Args:
            damaged: is told, in words, of bytes that are there and cannot be read.
        """
        ...

    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,
        content_encoding: str = "",
        content_disposition: str = "",
        length: int | None = None,
        expected_hashes: Mapping[str, str] | None = None,
        origin: str = "",
    ) -> Stat:
        """Write bytes under a key, replacing what is there.

        Args:
            length: how many bytes there must be; None for any number.
            expected_hashes: hexadecimal, by algorithm; algorithms that are not known here are ignored.
            origin: kept with the bytes (see `Stat`); goes when others replace them.

        Raises Incomplete, HashMismatch or Sealed; then what was there is still there.
        """
        ...

    async def open(self, key: str, span: tuple[int, int] | None = None) -> tuple[Stat, AsyncIterator[bytes]]:
        """Read bytes: all, or those from the first to before the second number of `span`.

        Raises NoSuchBlob.
        """
        ...

    async def stat(self, key: str) -> Stat | None:
        """What is known of the bytes under a key, or None when there are none."""
        ...

    async def hashes(self, key: str, algorithms: Iterable[str]) -> dict[str, str]:
        """Hashes of the bytes under a key, hexadecimal, for those algorithms that are known here.

        Raises NoSuchBlob.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove what is under these keys; those with nothing under them are passed over."""
        ...

    async def seal(self, key: str) -> None:
        """Refuse to replace what is under a key from now on, where the place can do that; it can still be deleted."""
        ...

    async def unseal(self, key: str) -> None:
        """Let what is under a key be replaced again."""
        ...

    def put_url(
        self,
        key: str,
        *,
        content_type: str,
        content_length: int | None = None,
        content_disposition: str = "",
        expires_ms: int,
    ) -> str:
        """A URL that takes one PUT of the bytes until a time (ms since the epoch), with just these headers.

        Raises InputError when the place cannot take so many bytes in one PUT.
        """
        ...

    def get_url(self, key: str, *, expires_ms: int, disposition: str = "", content_type: str = "") -> str:
        """A URL that gives the bytes until a time (ms since the epoch), with a Content-Disposition other than the stored one if given.

        Args:
            content_type: what the bytes were stored with, where the caller knows it, for places that do not keep it to the letter.
        """
        ...
