"""What of a browser's request can be trusted: where it comes from, and the cookies that it shows.

Cookies have no ports: a server at another port of the same host gets them too. So where the instance is reached by
plain HTTP, as on one's own machine, they are sent to `/login` alone, and pages of other origins are told apart by the
headers `Origin` and `Sec-Fetch-Site`, not by SameSite.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

_LOGIN = "/login"


class Door:
    """Knows the instance's own origins, and reads and writes its cookies.

    Args:
        root_url: as clients reach the instance.
    """

    def __init__(self, root_url: str) -> None:
        parts = urlsplit(root_url)
        self.root_url = root_url
        self.host = parts.netloc.lower()
        self._https = parts.scheme == "https"

    def is_own(self, request: web.BaseRequest) -> bool:
        """Whether a request comes from a page of the instance itself, or from no page at all.

        A page from elsewhere can have a name of its own lead here, and be of one origin with what it asks then.
        """
        origin = request.headers.get("Origin")
        if origin is not None:
            scheme, _, host = origin.lower().partition("://")
            if host == self.host:  # whatever a proxy between makes of the Host
                return scheme == "https" or (scheme == "http" and not self._https)  # a page by plain HTTP may be of whoever is on the way
            return scheme in ("http", "https") and host == request.host.lower() and _fixed(host)
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")

    def at_root(self, request: web.BaseRequest) -> bool:
        """Whether the browser has the instance open at its root URL, and not, say, at 127.0.0.1 for localhost."""
        return request.host.lower() == self.host

    def cookie(self, request: web.BaseRequest, name: str) -> str:
        """What the browser shows under a name; empty when it shows nothing."""
        return request.cookies.get(self._name(request, name), "")

    def set_cookie(self, request: web.BaseRequest, response: web.Response, name: str, value: str, max_age_ms: int) -> None:
        """Have the browser show a value under a name, hidden from scripts, and from requests that other sites cause."""
        secure = self._secure(request)
        response.set_cookie(
            self._name(request, name), value, max_age=max(0, max_age_ms // 1000), path="/" if secure else _LOGIN,
            httponly=True, secure=secure, samesite="Lax",
        )  # fmt: skip

    def drop_cookie(self, request: web.BaseRequest, response: web.Response, name: str) -> None:
        """Have the browser show nothing under a name."""
        self.set_cookie(request, response, name, "", 0)

    def _secure(self, request: web.BaseRequest) -> bool:
        return self._https and self.at_root(request)

    def _name(self, request: web.BaseRequest, name: str) -> str:
        """With `__Host-`, no other host can plant it; without, the port keeps instances on one machine apart."""
        if self._secure(request):
            return f"__Host-tcbox-{name}"
        return f"tcbox-{name}-{request.host.rpartition(':')[2] if ':' in request.host else '80'}"


def _fixed(host: str) -> bool:
    """Whether a Host is none that a stranger can have lead here: an address, or localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def within(path: str) -> str:
    """A place within the instance, to go to after signing in; what could lead elsewhere becomes the start page."""
    parts = urlsplit(path)
    sound = path.startswith("/") and not path.startswith(("//", "/\\", "/login/")) and not parts.scheme and not parts.netloc
    return path if sound and len(path) <= 4096 and all("\x20" < letter < "\x7f" and letter != "\\" for letter in path) else "/"
