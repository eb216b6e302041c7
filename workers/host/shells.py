"""Shells in running tasks, over WebSockets, as the terminal of the web UI speaks them.

A message of the browser begins with what it is: 1 and what was typed, or 2 and the size of the terminal, rows and columns
as two bytes each, the lower one first. The shell's output goes back as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

from tcbox import clock as clocks
from tcbox import log as logs
from tcbox.workers.artifacts import Uploads
from tcbox.workers.livelog import LiveLogs
from tcbox.workers.runs import Run

if TYPE_CHECKING:
    from aiohttp import web

_LOG = logs.get("workers")
_TYPED, _SIZE = 1, 2
_TRIES = 20
_PAUSE_S = 1.0
_MARGIN_MS = 15 * clocks.MINUTE
_HTML = "text/html; charset=utf-8"
NAME = "private/generic-worker/shell.html"
"""The artifact that leads to the terminal."""


class NotReady(Exception):
    """No shell can be opened yet; the message says why."""


class Terminal(Protocol):
    """A shell and its terminal."""

    async def read(self) -> bytes:
        """What it has written next; nothing when it has ended."""
        ...

    async def write(self, data: bytes) -> None:
        """Type."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Say how large the window is."""
        ...

    async def close(self) -> None:
        """End the shell; may be called twice."""
        ...


class Shells:
    """The shells of one task, from `show` to `close`.

    Args:
        open_one: opens a shell; raises NotReady when the task is not so far, and OSError when there is none to be had.
    """

    def __init__(self, server: LiveLogs, open_one: Callable[[], Awaitable[Terminal]]) -> None:
        self._server, self._open = server, open_one
        self._sessions: set[asyncio.Task[None]] = set()

    async def show(self, run: Run, uploads: Uploads, ui_url: str, max_run_time: int) -> None:
        """Make the artifact that leads to the web UI's terminal.

        Args:
            ui_url: root URL of the web UI.
            max_run_time: in seconds.

        Raises RunEnded when the artifact cannot be made, OSError when nothing can be served.
        """
        url = await self._server.open("shell", self.handle)
        socket = "ws" + url.removeprefix("http")
        query = urlencode({"v": "2", "socketUrl": socket, "taskId": run.task_id, "runId": run.run_id})
        expires = min(run.clock.now() + max_run_time * clocks.SECOND + _MARGIN_MS, clocks.from_wire(run.expires))
        payload = {"storageType": "reference", "expires": clocks.to_wire(expires), "url": f"{ui_url}/shell/?{query}", "contentType": _HTML}
        await uploads.create(NAME, payload)

    async def close(self) -> None:
        """End all shells, and open no more; may be called twice."""
        self._server.shut(self.handle)
        for session in self._sessions:
            session.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one browser."""
        from aiohttp import web

        socket = web.WebSocketResponse(heartbeat=30, max_msg_size=1 << 20)
        if not socket.can_prepare(request):
            return web.Response(status=426, text="This is a shell in a running task: connect by WebSocket.\n")
        await socket.prepare(request)
        session = asyncio.ensure_future(self._serve(socket))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await session
        await socket.close()
        return socket

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                terminal = await self._ready(socket)
            except (NotReady, OSError) as error:
                await socket.send_bytes(f"\r\nNo shell can be opened: {error}\r\n".encode())
                return
            shown = asyncio.ensure_future(_show(terminal, socket))
            typed = asyncio.ensure_future(_type(terminal, socket))
            try:
                await asyncio.wait((shown, typed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (shown, typed):
                    each.cancel()
                await asyncio.gather(shown, typed, return_exceptions=True)
                await terminal.close()

    async def _ready(self, socket: web.WebSocketResponse) -> Terminal:
        for attempt in range(_TRIES):
            try:
                terminal = await self._open()
            except NotReady:
                if attempt == _TRIES - 1:
                    raise
                await socket.send_bytes(b"." if attempt else b"Waiting for the task to be ready.")
                await asyncio.sleep(_PAUSE_S)
            else:
                if attempt:
                    await socket.send_bytes(b"\r\n")
                return terminal
        raise AssertionError


async def _show(terminal: Terminal, socket: web.WebSocketResponse) -> None:
    while data := await terminal.read():
        await socket.send_bytes(data)


async def _type(terminal: Terminal, socket: web.WebSocketResponse) -> None:
    from aiohttp import WSMsgType

    async for message in socket:
        data = message.data if message.type is WSMsgType.BINARY else b""
        if data[:1] == bytes((_TYPED,)):
            await terminal.write(data[1:])
        elif data[:1] == bytes((_SIZE,)) and len(data) >= 5:
            terminal.resize(int.from_bytes(data[1:3], "little"), int.from_bytes(data[3:5], "little"))
        else:
            _LOG.debug("a message to a shell is neither typed nor a size", extra={"bytes": len(data)})
