"""Shells in a running container, each over a WebSocket, in the protocol of docker-worker's own.

A message is binary: a byte that says what it is, and what belongs to it. The URL's query has the command, in one
`command` each word, and `tty`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import tarfile
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from tcbox import clock as clocks
from tcbox import log
from tcbox.workers.docker.engine import Engine, EngineError

if TYPE_CHECKING:
    from aiohttp import web

_LOG = log.get("workers")
_MOST = 10
_HEARTBEAT_S = 30.0
_CHUNK = 64 * 1024

DONE = ".tcbox-shells-done"
_WRAPPER = f"""trap 'kill -TERM "$task" 2>/dev/null' TERM INT
"$@" &
task=$!
wait "$task"
code=$?
while kill -0 "$task" 2>/dev/null; do wait "$task"; code=$?; done
while [ ! -e /{DONE} ]; do sleep 1; done
exit "$code"
"""


class Code(IntEnum):
    """What a message is."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    RESIZE = 50
    RESUME = 100
    PAUSE = 101
    END = 102
    STOPPED = 200
    SHUTDOWN = 201
    ERROR = 202


def wrapped(entrypoint: list[str], command: list[str]) -> list[str]:
    """A command that runs another, and then waits until the file `DONE` is in the root folder; it ends as that did."""
    return ["/bin/sh", "-c", _WRAPPER, "sh", *entrypoint, *command]


def done() -> bytes:
    """A tar with the file `DONE`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(DONE))
    return out.getvalue()


class Shells:
    """All shells in one container.

    Args:
        least_ms: how long there may be a first one.
        after_ms: how long there may be another after one was closed.
    """

    def __init__(self, engine: Engine, container: str, clock: clocks.Clock, least_ms: int, after_ms: int) -> None:
        self._engine, self._container, self._clock, self._after_ms = engine, container, clock, after_ms
        self._until = clock.now() + least_ms
        self._open: set[_Shell] = set()
        self._changed = asyncio.Event()

    async def over(self) -> None:
        """Return when no shell is open, and the time for another is over."""
        while self._open or self._clock.now() < self._until:
            self._changed.clear()
            left = None if self._open else max(0.05, (self._until - self._clock.now()) / 1000)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def close(self) -> None:
        """Tell those who have a shell that it is over."""
        await asyncio.gather(*(shell.shut_down() for shell in list(self._open)), return_exceptions=True)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request for a shell."""
        from aiohttp import web

        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=16 * 1024 * 1024)
        if not socket.can_prepare(request):
            return web.Response(
                status=426, headers={"Upgrade": "websocket"}, text="A shell is had over a WebSocket: open the task's shell.html in a browser.\n"
            )
        await socket.prepare(request)
        if len(self._open) >= _MOST:
            await socket.send_bytes(bytes([Code.ERROR]) + f"There are {_MOST} shells already".encode())
            await socket.close()
            return socket
        shell = _Shell(self._engine, socket)
        self._open.add(shell)
        try:
            await shell.serve(self._container, request.query.getall("command", ["sh"]), tty=request.query.get("tty", "").lower() == "true")
        except EngineError as error:
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(bytes([Code.ERROR]) + str(error).encode())
        finally:
            self._open.discard(shell)
            self._until = max(self._until, self._clock.now() + self._after_ms)
            self._changed.set()
            await socket.close()
        return socket


class _Shell:
    def __init__(self, engine: Engine, socket: web.WebSocketResponse) -> None:
        self._engine, self._socket = engine, socket
        self._id = ""
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def serve(self, container: str, command: list[str], *, tty: bool) -> None:
        asked = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": tty, "Cmd": command}
        self._id = (await self._engine.call("POST", f"/containers/{container}/exec", body=asked))["Id"]
        # without a word of the terminal here, the engine says of each piece which stream it is of
        reader, writer = await self._engine.hijack(f"/exec/{self._id}/start", {"Detach": False, "Tty": False})
        try:
            await self._send(Code.RESUME)
            down = asyncio.ensure_future(self._down(reader))
            up = asyncio.ensure_future(self._up(writer, tty=tty))
            done, pending = await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            if down in done and down.exception() is None:
                state = await self._engine.call("GET", f"/exec/{self._id}/json")
                await self._send(Code.STOPPED, bytes([(state.get("ExitCode") or 0) & 255]))
        finally:
            writer.close()

    async def shut_down(self) -> None:
        await self._send(Code.SHUTDOWN)
        await self._socket.close()

    async def _down(self, reader: asyncio.StreamReader) -> None:
        """Hand on what the process writes, until it ends."""
        while True:
            try:
                kind, left = struct.unpack(">BxxxI", await reader.readexactly(8))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            while left:
                await self._flowing.wait()
                piece = await reader.read(min(left, _CHUNK))
                if not piece:
                    return
                left -= len(piece)
                await self._send(Code.STDERR if kind == Code.STDERR else Code.STDOUT, piece)

    async def _up(self, writer: asyncio.StreamWriter, *, tty: bool) -> None:
        """Hand on what the person sends, until the socket closes."""
        from aiohttp import WSMsgType

        async for message in self._socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            code, content = message.data[0], message.data[1:]
            if code == Code.STDIN:
                writer.write(content)
                await writer.drain()
            elif code == Code.END:
                with contextlib.suppress(OSError):
                    writer.write_eof()
            elif code == Code.PAUSE:
                self._flowing.clear()
            elif code == Code.RESUME:
                self._flowing.set()
            elif code == Code.RESIZE:
                await self._resize(content, tty=tty)

    async def _resize(self, content: bytes, *, tty: bool) -> None:
        if not tty or len(content) < 4:
            await self._send(Code.ERROR, b"cannot be resized: this shell has no terminal")
            return
        height, width = struct.unpack("<HH", content[:4])
        try:
            await self._engine.call("POST", f"/exec/{self._id}/resize", query={"h": str(height), "w": str(width)})
        except EngineError as error:
            _LOG.debug("a shell cannot be resized", extra={"error": str(error)})

    async def _send(self, code: Code, content: Any = b"") -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.send_bytes(bytes([code]) + content)
