"""An HTTP request and answer as the dispatcher sees them, whichever server read them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

JSON = "application/json; charset=utf-8"
MAX_BODY = 10 * 1024 * 1024
"""Bytes of a request's body; a larger one is refused with 413."""
MAX_DEPTH = 250
"""Lists and objects within each other in a body: what reads it later, with less of the stack left, must be able to."""

_COMMON = (
    "Cache-Control: no-store no-cache must-revalidate\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Max-Age: 900\r\n"
    "Access-Control-Allow-Methods: OPTIONS,GET,HEAD,POST,PUT,DELETE,TRACE,CONNECT\r\n"
    "Access-Control-Request-Method: *\r\n"
    "Access-Control-Allow-Headers: X-Requested-With,Content-Type,Authorization,Accept,Origin,Cache-Control\r\n"
    "Access-Control-Expose-Headers: X-Request-Id\r\n"
)
_NO_CACHING = _COMMON[: _COMMON.index("\n") + 1].encode()
COMMON_HEADERS = dict(line.split(": ", 1) for line in _COMMON.splitlines())
"""On every answer of an API: no caching, and open to pages of any origin, since only signatures authorize."""

_PROXIED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")
"""What proxies add, one or another. `X-Forwarded-Proto` is left out, which the sidecars of a mesh add to what comes from within too."""
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_PROCESS = os.urandom(8).hex()
_count = itertools.count(int.from_bytes(os.urandom(3)))

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class Request:
    """A request whose body has been read whole.

    Attributes:
        target: path and query as they came, which is what a Hawk signature covers.
        headers: names in lower case.
        close: the client wants the connection closed after the answer.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str = ""
    request_id: str = ""
    close: bool = False


@dataclass(slots=True)
class Answer:
    """What goes back: a status, a body, and headers beyond the common ones.

    The body is JSON unless a header says otherwise, spelt `content-type`.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] | None = None

    def to_bytes(self, request_id: str, *, close: bool) -> bytes:
        """The answer as it goes over an HTTP/1.1 connection."""
        status, body, headers = self.status, self.body, self.headers
        first = _HEADS.get(status) or _head(status)
        last = "\r\nConnection: close\r\n\r\n" if close else "\r\n\r\n"
        if headers:
            if "content-type" in headers:
                first = _head(status, headers["content-type"])
                headers = {name: value for name, value in headers.items() if name != "content-type"}
            if "Cache-Control" in headers:
                first = first.replace(_NO_CACHING, b"", 1)
            request_id += "".join([f"\r\n{name}: {value}" for name, value in headers.items()])
        if status == HTTPStatus.NO_CONTENT:
            return first + f"{request_id}{last}".encode("latin-1")
        return b"%b%b%b" % (first, f"{request_id}\r\nContent-Length: {len(body)}{last}".encode("latin-1"), body)


def _head(status: int, content_type: str = JSON) -> bytes:
    """The beginning of an answer, up to its request id, which is the last of the constant headers."""
    kind = "" if status == HTTPStatus.NO_CONTENT else f"Content-Type: {content_type}\r\n"
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{_COMMON}{kind}X-Request-Id: ".encode()


_HEADS = {status: _head(status) for status in (200, 201, 204, 303, 400, 401, 403, 404, 409, 410, 413, 424, 431, 500, 503)}


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that carries a value as JSON."""
    return Answer(status, encode(value), headers)


def too_deep(body: bytes, value: Any) -> bool:
    """Whether a body, and the value that was decoded from it, nests lists and objects deeper than is taken."""
    if len(body) <= 2 * MAX_DEPTH or body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for each in level for item in (each.values() if type(each) is dict else each) if type(item) is dict or type(item) is list]
        if not level:
            return False
    return True


def clean_request_id(text: str | None) -> str | None:
    """The caller's own request id, if it may stand in a header and a log."""
    return text if text and _REQUEST_ID.fullmatch(text) else None


def new_request_id() -> str:
    """An id for a request that brings none: unique, and cheap."""
    return f"{_PROCESS}{next(_count):08x}"


def fold(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by their names in lower case; the values of one that comes several times are joined by commas."""
    folded: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        folded[key] = f"{folded[key]}, {value}" if key in folded else value
    return folded


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises ValueError for a header that would break out of its line, or cannot stand in one."""
    for name, value in headers.items():
        if _BREAKS.search(name) or _BREAKS.search(value):
            raise ValueError(f"the header {name!r} cannot have the value {value!r}: a header holds Latin-1 text without line breaks")


def proxied(headers: Mapping[str, str]) -> bool:
    """Whether a request came through a proxy, by its headers, which are found in whatever case."""
    return any(name in headers for name in _PROXIED)


def host_and_port(headers: Mapping[str, str]) -> tuple[str, int]:
    """Host and port as the client saw them, from `Host` and a proxy's `X-Forwarded-Port` and `-Proto`."""
    host = headers.get("host", "")
    name, colon, digits = host.rpartition(":")
    if not colon or "]" in digits:
        name, digits = host, ""
    forwarded = headers.get("x-forwarded-port")
    if forwarded:
        first = forwarded.partition(",")[0].strip()
        if first.isdecimal() and len(first) <= 5:
            return name, int(first)
    if "x-forwarded-proto" in headers and headers["x-forwarded-proto"].strip() == "https":
        return name, 443
    if digits.isdecimal() and len(digits) <= 5:
        return name, int(digits)
    return name, 80
