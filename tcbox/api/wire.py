"""An HTTP request and answer as the dispatcher sees them, whichever server read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

JSON = "application/json; charset=utf-8"
MAX_BODY = 10 * 1024 * 1024
"""Bytes of a request's body; a larger one is refused with 413."""

_COMMON = (
    "Cache-Control: no-store no-cache must-revalidate\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Max-Age: 900\r\n"
    "Access-Control-Allow-Methods: OPTIONS,GET,HEAD,POST,PUT,DELETE,TRACE,CONNECT\r\n"
    "Access-Control-Request-Method: *\r\n"
    "Access-Control-Allow-Headers: X-Requested-With,Content-Type,Authorization,Accept,Origin,Cache-Control\r\n"
    "Access-Control-Expose-Headers: X-Request-Id\r\n"
)
COMMON_HEADERS = dict(line.split(": ", 1) for line in _COMMON.splitlines())
"""On every answer of an API: no caching, and open to pages of any origin, since only signatures authorize."""

_HEADS = {
    status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{_COMMON}Content-Type: {JSON}\r\nX-Request-Id: ".encode()
    for status in (200, 204, 303, 400, 401, 403, 404, 405, 409, 410, 413, 424, 500, 503)
}
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}")

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class Request:
    """A request whose body has been read whole.

    Attributes:
        target: path and query as they came, which is what a Hawk signature covers.
        headers: names in lower case.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str = ""
    request_id: str = ""


@dataclass(slots=True)
class Answer:
    """What goes back: a status, a body, and headers beyond the common ones."""

    status: int
    body: bytes
    headers: Mapping[str, str] | None = None

    def to_bytes(self, request_id: str, *, close: bool) -> bytes:
        """The answer as it goes over an HTTP/1.1 connection."""
        head = _HEADS.get(self.status) or _head(self.status)
        extra = "".join(f"{k}: {v}\r\n" for k, v in self.headers.items()) if self.headers else ""
        end = "\r\nConnection: close\r\n\r\n" if close else "\r\n\r\n"
        if self.status == HTTPStatus.NO_CONTENT:
            return b"%s%s\r\n%s%s" % (head, request_id.encode(), extra.encode("latin-1"), end[2:].encode())
        tail = f"{request_id}\r\n{extra}Content-Length: {len(self.body)}{end}"
        return b"%s%s%s" % (head, tail.encode("latin-1"), self.body)


def _head(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\n{_COMMON}Content-Type: {JSON}\r\nX-Request-Id: ".encode()


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that carries a value as JSON."""
    return Answer(status, encode(value), headers)


def clean_request_id(text: str | None) -> str | None:
    """The caller's own request id, if it may stand in a header and a log."""
    return text if text and _REQUEST_ID.fullmatch(text) else None


def host_and_port(headers: Mapping[str, str]) -> tuple[str, int]:
    """Host and port as the client saw them, from `Host` and a proxy's `X-Forwarded-Port` and `-Proto`."""
    host = headers.get("host", "")
    name, colon, digits = host.rpartition(":")
    if not colon or "]" in digits:
        name, digits = host, ""
    forwarded = headers.get("x-forwarded-port")
    if forwarded and forwarded.isdigit():
        return name, int(forwarded)
    if digits.isdigit():
        return name, int(digits)
    return name, 443 if headers.get("x-forwarded-proto") == "https" else 80
