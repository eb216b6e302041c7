"""Shows task logs while they are written: a small HTTP server, each log under a secret path; and what else a running task has to show."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    from aiohttp import web

    Door = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_CHUNK = 64 * 1024
_LOOK_S = 0.1
_HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",
}


class LiveLogs:
    """Serves the logs that were added to it, from their beginning, until each is finished.

    The server starts with the first log that is added. `handle` can be mounted in another server instead, given that
    server's address as `url`.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, url: str | None = None, *, mounted: bool = False) -> None:
        self._host, self._port, self._url, self._mounted = host, port, url, mounted
        self._logs: dict[str, TaskLog] = {}
        self._doors: dict[str, Door] = {}
        self._runner: web.ServerRunner | None = None
        self._starting = asyncio.Lock()

    async def add(self, log: TaskLog) -> str:
        """Show a log, and give the URL that it can be read at."""
        await self._serve()
        token = secrets.token_urlsafe(24)
        self._logs[token] = log
        return f"{self._url}/{token}/live.log"

    async def open(self, name: str, door: Door) -> str:
        """Answer requests, WebSockets among them, by `door`, and give the URL: secret, and ending in `name`."""
        await self._serve()
        token = secrets.token_urlsafe(24)
        self._doors[token] = door
        return f"{self._url}/{token}/{name}"

    def shut(self, door: Door) -> None:
        """Answer no more requests by `door`; those under way go on."""
        self._doors = {token: opened for token, opened in self._doors.items() if opened != door}

    def remove(self, log: TaskLog) -> None:
        """Show a log no longer; those who read it now read on to its end."""
        self._logs = {token: shown for token, shown in self._logs.items() if shown is not log}

    async def close(self) -> None:
        """Stop serving; may be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        from aiohttp import web

        parts = request.path.rstrip("/").rsplit("/", 2)
        door = self._doors.get(parts[-2]) if len(parts) > 1 else None
        if door is not None:
            return await door(request)
        log = self._logs.get(parts[-2]) if len(parts) > 1 else None
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_HEADERS)
        if log is None or request.method not in ("GET", "HEAD"):
            return web.Response(status=404, headers=_HEADERS, text="This log is not being written any more; the task's artifacts have what was kept of it.\n")
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        if request.method == "GET":
            await _follow(log, response)
        await response.write_eof()
        return response

    async def _serve(self) -> None:
        async with self._starting:
            if self._runner is None and not self._mounted:
                await self._start()

    async def _start(self) -> None:
        from aiohttp import web

        runner = web.ServerRunner(web.Server(self.handle, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port)
        await site.start()
        self._runner = runner
        if self._url is None:
            host, port = runner.addresses[0][:2]
            self._url = f"http://{f'[{host}]' if ':' in host else host}:{port}/log"


async def _follow(log: TaskLog, response: web.StreamResponse) -> None:
    with open(log.path, "rb", buffering=0) as file:
        offset = 0
        while True:
            finished = log.finished
            data = os.pread(file.fileno(), _CHUNK, offset)
            if data:
                offset += len(data)
                await response.write(data)
            elif finished:
                return
            else:
                await asyncio.sleep(_LOOK_S)
