"""Reads lzip files (`.lz`), with what the standard library has for LZMA."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator
from typing import IO, Any

_CHUNK = 256 * 1024
_HEAD, _TAIL = 6, 20


def read(source: IO[bytes]) -> Iterator[bytes]:
    """All that the members of a file hold.

    Raises ValueError when it is no lzip file, or a broken one.
    """
    rest = source.read(_HEAD)
    if not rest:
        raise ValueError("it is empty")
    while rest:
        rest += source.read(_HEAD - len(rest)) if len(rest) < _HEAD else b""
        decoder = _decoder(rest[:_HEAD])
        data, checksum, size = rest[_HEAD:], 0, 0
        while not decoder.eof:
            if not data:
                data = source.read(_CHUNK)
                if not data:
                    raise ValueError("it ends too early")
            try:
                out = decoder.decompress(data)
            except lzma.LZMAError as error:
                raise ValueError(str(error)) from error
            data = b""
            checksum, size = zlib.crc32(out, checksum), size + len(out)
            if out:
                yield out
        rest = decoder.unused_data
        rest += source.read(max(0, _TAIL - len(rest)))
        if len(rest) < _TAIL or int.from_bytes(rest[:4], "little") != checksum or int.from_bytes(rest[4:12], "little") != size:
            raise ValueError("its checksum is wrong")
        rest = rest[_TAIL:] or source.read(_HEAD)


def _decoder(head: bytes) -> lzma.LZMADecompressor:
    if head[:4] != b"LZIP" or len(head) < _HEAD or head[4] != 1:
        raise ValueError("it does not begin as lzip files do")
    base = 1 << (head[5] & 31)
    size = base - (base // 16) * (head[5] >> 5)
    filters: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": 3, "lp": 0, "pb": 2}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
