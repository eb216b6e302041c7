"""What the command line asks of a running instance: its status, restarting a service, moving the clock.

Served at `/instance/` on the instance's own port, for whoever holds the token in the data folder.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tcbox import errors
from tcbox.api import wire

if TYPE_CHECKING:
    from aiohttp import web

Action = Callable[[dict[str, Any]], Awaitable[Any]]


class Control:
    """Answers `GET /instance/<name>` and `POST /instance/<name>` by the actions that it is given."""

    def __init__(self, token: str, actions: dict[str, Action]) -> None:
        self._token = token
        self._actions = actions

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; errors are JSON with a `message`."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode()):
            return _answer(401, {"message": "This needs the token in run/instance.json of the data folder; use the tcbox command on the same machine."})
        name = request.path.removeprefix("/instance/").strip("/")
        action = self._actions.get(name)
        if action is None:
            return _answer(404, {"message": f"There is no {name}; there are: {', '.join(sorted(self._actions))}."})
        try:
            asked = wire.decode(await request.read() or b"{}")
            if not isinstance(asked, dict):
                raise TypeError
        except (ValueError, TypeError, RecursionError):
            return _answer(400, {"message": f"The body for {name} is no JSON object: send one, or nothing."})
        try:
            return _answer(200, await action(asked))
        except errors.TcboxError as error:
            return _answer(409, {"message": str(error)})


def _answer(status: int, value: Any) -> web.StreamResponse:
    from aiohttp import web

    return web.Response(status=status, body=wire.encode(value), headers={"Content-Type": wire.JSON})
