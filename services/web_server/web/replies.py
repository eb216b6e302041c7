"""What browsers and web tools are answered: JSON, redirects, and pages of a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tcbox import errors

if TYPE_CHECKING:
    from aiohttp import web

_COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<title>{title}</title><link rel="icon" href="/ui/icon.svg"><link rel="stylesheet" href="/ui/style.css"></head>'
    '<body><main><h1>{title}</h1><p class="description">{text}</p><p><a href="/">To the start page</a></p></main></body></html>'
)
_MOST = 64 * 1024


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A value as JSON."""
    from aiohttp import web

    return web.Response(
        status=status, body=msgspec.json.encode(value), headers={**_COMMON, "Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )


def refusal(status: int, code: str, message: str) -> web.Response:
    """A refusal for a script of the pages."""
    return json({"code": code, "message": message}, status)


def of_error(error: errors.ApiError) -> web.Response:
    """The refusal that another service, or GitHub, is the reason of."""
    return refusal(error.status, error.code, str(error))


def redirect(url: str, status: int = 302) -> web.Response:
    """Send the browser elsewhere."""
    from aiohttp import web

    return web.Response(status=status, headers={**_COMMON, "Location": url})


def page(status: int, title: str, text: str) -> web.Response:
    """A page of a few words, in which nothing that others wrote becomes markup."""
    from aiohttp import web

    policy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    import html

    body = _PAGE.format(title=html.escape(title), text=html.escape(text))
    return web.Response(status=status, text=body, content_type="text/html", charset="utf-8", headers={**_COMMON, "Content-Security-Policy": policy})


def explained(request: web.BaseRequest, status: int, code: str, message: str) -> web.Response:
    """A refusal for whoever asks: a page for a person, JSON for a program."""
    if "text/html" in request.headers.get("Accept", ""):
        return page(status, "This sign-in cannot go on", f"{message} ({code})")
    return json({"code": code, "error": code, "error_description": message, "message": message}, status)


class TooLargeError(Exception):
    """The body is larger than any that is needed here."""


async def body(request: web.BaseRequest) -> bytes:
    """The body, which is small here; raises TooLargeError for another."""
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > _MOST:
            raise TooLargeError
    return bytes(data)
