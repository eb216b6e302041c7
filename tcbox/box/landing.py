"""The page at `/`: where people begin who open the root URL in a browser."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

    from tcbox.api.front import Mounted

_PAGES = frozenset({"", "tasks", "groups", "index", "hooks", "events", "worker-manager", "auth", "secrets", "account", "shell", "sign-in", "third-party"})
"""What begins the paths that the page itself makes something of."""
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; connect-src 'self' http: https: ws: wss:; frame-ancestors 'none'; base-uri 'none'",
}


def handler(describe: Callable[[], dict[str, Any]]) -> Mounted:
    """What answers `/` and the files of the page; everything else that reaches it is not found.

    Args:
        describe: what is told of the instance, without credentials.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        from tcbox.api import wire

        path = request.path
        if path == "/ui/instance.json":
            shown = {key: value for key, value in describe().items() if key not in ("credentials", "pid", "data", "defaultData", "log", "database", "seed")}
            return web.Response(body=wire.encode(shown), headers={"Content-Type": wire.JSON, "Cache-Control": "no-store"})
        name = "index.html" if path.split("/", 2)[1] in _PAGES else path.removeprefix("/ui/")
        file = resources.files("tcbox.ui").joinpath(name)
        if "/" in name or name.rpartition(".")[2] not in _TYPES or not file.is_file():
            missing = {"code": "ResourceNotFound", "message": f"There is nothing at {path}. The API is below /api/, its description below /references/."}
            return web.Response(status=404, body=wire.encode(missing), headers={"Content-Type": wire.JSON})
        kind = f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8"
        return web.Response(body=file.read_bytes(), headers={"Content-Type": kind, **_HEADERS})

    return handle
