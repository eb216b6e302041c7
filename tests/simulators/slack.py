"""Slack's `chat.postMessage`: one workspace, a bot that is in some of its channels."""

from __future__ import annotations

from typing import Any

from aiohttp import web

TEXT = 40_000
BLOCKS = 50
TYPES = {"section", "context", "header", "divider", "actions", "image", "rich_text", "input", "file", "video", "markdown"}


class Slack:
    """Refuses as Slack does: always with status 200 and `ok: false`, but for its rate limit.

    Attributes:
        posted: the messages of each channel.
        failing: an error that it answers everything with, such as "internal_error".
        limited: how many calls are answered with 429 first.
    """

    def __init__(self, token: str, *, channels: tuple[str, ...] = ("C0PUBLIC",), private: tuple[str, ...] = ()) -> None:
        self.token = token
        self.posted: dict[str, list[dict[str, Any]]] = {channel: [] for channel in channels}
        self.private = private
        self.failing = ""
        self.limited = 0
        self.calls = 0
        self.app = web.Application(client_max_size=2**24)
        self.app.router.add_post("/api/chat.postMessage", self.post)

    async def post(self, request: web.Request) -> web.Response:
        self.calls += 1
        if self.limited:
            self.limited -= 1
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "7"})
        given = request.headers.get("Authorization", "")
        if not given.startswith("Bearer "):
            return _no("not_authed")
        if given != f"Bearer {self.token}":
            return _no("invalid_auth")
        if not request.headers.get("Content-Type", "").startswith("application/json"):
            return _no("invalid_form_data")
        if self.failing:
            return _no(self.failing)
        body = await request.json()
        channel = body.get("channel")
        if channel in self.private:
            return _no("not_in_channel")
        if channel not in self.posted:
            return _no("channel_not_found")
        if not body.get("text") and not body.get("blocks") and not body.get("attachments"):
            return _no("no_text")
        if len(body.get("text") or "") > TEXT:
            return _no("msg_too_long")
        blocks = body.get("blocks", [])
        if not isinstance(blocks, list) or len(blocks) > BLOCKS or not all(isinstance(block, dict) and block.get("type") in TYPES for block in blocks):
            return _no("invalid_blocks", ["[ERROR] unsupported type [json-pointer:/blocks/0/type]"])
        if not isinstance(body.get("attachments", []), list):
            return _no("invalid_attachments")
        self.posted[channel].append(body)
        return web.json_response({"ok": True, "channel": channel, "ts": f"{len(self.posted[channel])}.0", "message": body})


def _no(error: str, messages: list[str] | None = None) -> web.Response:
    more = {"response_metadata": {"messages": messages}} if messages else {}
    return web.json_response({"ok": False, "error": error, **more})
