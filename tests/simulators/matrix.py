"""A Matrix homeserver's client-server API, v3: rooms with members and invitations, and messages in them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

ME = "@taskcluster:example.com"
LARGEST = 65_536


class Matrix:
    """Refuses as the specification says: unknown tokens, rooms that one is not in, events of the wrong form.

    Attributes:
        rooms: the messages of each room, each once however often its transaction is sent.
        members, invited: the rooms that the token's user is in, or may join.
        limited: how many sends are answered with 429 first.
    """

    def __init__(self, token: str, rooms: tuple[str, ...] = ("!room:example.com",)) -> None:
        self.token = token
        self.rooms: dict[str, list[dict[str, Any]]] = {room: [] for room in rooms}
        self.members: set[str] = set()
        self.invited: set[str] = set()
        self.limited = 0
        self.broken = False
        self.transactions: dict[tuple[str, str], str] = {}
        self.app = web.Application(middlewares=[self._authenticate])
        place = "/_matrix/client/v3/rooms/{room}"
        self.app.router.add_put(place + "/send/{type}/{transaction}", self.send)
        self.app.router.add_post(place + "/join", self.join)

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.broken:
            return web.Response(status=502, text="<html>bad gateway</html>")
        given = request.headers.get("Authorization", "")
        if not given.startswith("Bearer "):
            return _no(401, "M_MISSING_TOKEN", "Missing access token")
        if given != f"Bearer {self.token}":
            return _no(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.")
        return await handler(request)

    async def send(self, request: web.Request) -> web.Response:
        room, transaction = request.match_info["room"], request.match_info["transaction"]
        if self.limited:
            self.limited -= 1
            return _no(429, "M_LIMIT_EXCEEDED", "Too many requests", retry_after_ms=4000)
        if not room.startswith("!"):
            return _no(400, "M_INVALID_PARAM", f"{room} is not a legal room ID")
        if room not in self.members:
            return _no(403, "M_FORBIDDEN", f"User {ME} not in room {room}")
        body = await request.json()
        if not isinstance(body.get("body"), str) or not isinstance(body.get("msgtype"), str):
            return _no(400, "M_BAD_JSON", "'body' and 'msgtype' must be strings")
        if len(await request.read()) > LARGEST:
            return _no(413, "M_TOO_LARGE", "event too large")
        key = (room, transaction)
        if key not in self.transactions:
            self.rooms[room].append(body)
            self.transactions[key] = f"$event{len(self.transactions)}"
        return web.json_response({"event_id": self.transactions[key]})

    async def join(self, request: web.Request) -> web.Response:
        room = request.match_info["room"]
        if room not in self.rooms:
            return _no(404, "M_NOT_FOUND", f"No known servers of {room}")
        if room not in self.invited | self.members:
            return _no(403, "M_FORBIDDEN", "You are not invited to this room.")
        self.members.add(room)
        return web.json_response({"room_id": room})


def _no(status: int, code: str, error: str, **more: Any) -> web.Response:
    return web.json_response({"errcode": code, "error": error, **more}, status=status)
