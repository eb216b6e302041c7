"""The `Range` header of a request for bytes (RFC 9110, section 14)."""

from __future__ import annotations

import re

_ONE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.IGNORECASE)


class BehindTheEndError(ValueError):
    """None of the bytes asked for exist."""


def span(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last, or None for all bytes.

    A header that asks for several ranges, or is malformed, is ignored, as the specification allows.
    Raises BehindTheEndError when the range lies behind the end.
    """
    match = _ONE.fullmatch(header) if header else None
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        last = int(match[2])
        if last == 0 or size == 0:
            raise BehindTheEndError
        return max(0, size - last), size
    first = int(match[1])
    end = int(match[2]) + 1 if match[2] else size
    if end <= first and match[2]:
        return None
    if first >= size:
        raise BehindTheEndError
    return first, min(end, size)
