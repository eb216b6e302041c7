"""Reads the head of a plain API request; whatever is out of the ordinary is left to aiohttp's parser.

Plain is what API clients send: HTTP/1.1, a path below /api/, well-formed headers, a body with a Content-Length. All
other forms (chunked or compressed bodies, upgrades, HTTP/1.0, folded or malformed headers) are no errors here, they
are only not read here, so that each byte of such a request can be handed over as it came.
Source: RFC 9112, RFC 9110.
"""

from __future__ import annotations

import re

MAX_HEAD = 64 * 1024
"""Bytes of a request line with all its headers; more is refused with 431."""
MAX_HEADERS = 200

_LINE = re.compile(r"(GET|HEAD|POST|PUT|DELETE|OPTIONS) (/api/[!-~]*) HTTP/1\.1")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_PLAIN = bytes(range(0x20, 0x7F))
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ELSEWHERE = frozenset({"transfer-encoding", "upgrade", "content-encoding", "trailer"})
_SINGLE = frozenset({"host", "content-length", "content-type", "authorization", "expect", "connection"})
_names: dict[str, str] = {}


class Head:
    """What stands before a request's body."""

    __slots__ = ("headers", "length", "method", "target")

    def __init__(self, method: str, target: str, headers: dict[str, str], length: int) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.length = length


def read(raw: bytes) -> Head | None:
    """The head in these bytes, which end before the empty line; None when it is not plain."""
    lines = raw.decode("latin-1").split("\r\n")
    first = _LINE.fullmatch(lines[0])
    if first is None or len(lines) > MAX_HEADERS:
        return None
    headers: dict[str, str] = {}
    plain = len(raw.translate(None, _PLAIN)) == 2 * len(lines) - 2  # nothing but printable ASCII between the line ends
    for index in range(1, len(lines)):
        name, colon, value = lines[index].partition(":")
        key = _names.get(name) or _learn(name)
        if not key or not colon or not plain and _CONTROL.search(value):  # noqa: RUF021 - quickest first
            return None
        value = value.strip(" \t")
        if key in headers:
            if key in _SINGLE:
                return None
            value = f"{headers[key]}, {value}"
        headers[key] = value
    if "host" not in headers or not _ELSEWHERE.isdisjoint(headers):
        return None
    length = headers.get("content-length")
    if length is None:
        return Head(first[1], first[2], headers, 0)
    return Head(first[1], first[2], headers, int(length)) if _NUMBER.fullmatch(length) else None


def _learn(name: str) -> str:
    """The name in lower case, "" when it is none; names that clients send again and again are kept."""
    if not _TOKEN.fullmatch(name):
        return ""
    key = name.lower()
    if len(_names) < 1000:
        _names[name] = key
    return key
