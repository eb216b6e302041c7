"""Connections that aiohttp has: API calls that come there are answered alike, by the longer way.

Imported when the first request comes that needs aiohttp, whose import costs more than the rest of a start.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from tcbox import errors
from tcbox.api import head as heads
from tcbox.api import wire
from tcbox.api.connection import Owner, Work


class Handed(web.Server):
    """aiohttp's server, for connections that were begun elsewhere.

    Args:
        handler: answers every request.
        owner: knows the methods of the API.
        keep_alive: seconds after which a connection that says nothing is closed.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], owner: Owner, keep_alive: float) -> None:
        super().__init__(
            handler, access_log=None, keepalive_timeout=keep_alive, lingering_time=10, max_line_size=heads.MAX_HEAD, max_field_size=heads.MAX_HEAD,
            auto_decompress=False,  # what is mounted gets bodies as they were sent
        )  # fmt: skip
        self._owner = owner
        self._patient: dict[RequestHandler, asyncio.Task[wire.Answer]] = {}

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """A client has gone; what it waited long for is given up at once, other work goes on to its end."""
        super().connection_lost(handler, exc)
        if handler in self._patient:
            self._patient.pop(handler).cancel()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a call of the API."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in _decoded(request):
            size += len(chunk)
            if size > wire.MAX_BODY:
                break
            chunks.append(chunk)
        headers = wire.fold(request.headers.items())
        request_id = wire.clean_request_id(headers.get("x-request-id")) or wire.new_request_id()
        asked = wire.Request(request.method, request.raw_path, headers, b"".join(chunks), request.remote or "", request_id)
        if size > wire.MAX_BODY:
            answer = self._owner.refuse(asked, errors.InputTooLarge())
        else:
            work = self._owner.start(asked)
            answer = work if isinstance(work, wire.Answer) else await self._finish(work, request)
        own = {**wire.COMMON_HEADERS, "X-Request-Id": request_id, **(answer.headers or {})}
        if answer.status != 204 and "content-type" not in own:
            own["Content-Type"] = wire.JSON
        response = web.Response(status=answer.status, body=answer.body, headers=own)
        if size > wire.MAX_BODY:
            response.force_close()
        return response

    async def _finish(self, work: Work, request: web.BaseRequest) -> wire.Answer:
        task = asyncio.get_running_loop().create_task(work.coroutine)
        self._owner.running.add(task)
        task.add_done_callback(self._owner.running.discard)
        if work.patient and request.transport is None:  # gone before its call was read to the end
            task.cancel()
        elif work.patient:
            caller = request.protocol
            self._patient[caller] = task
            task.add_done_callback(lambda _: self._patient.pop(caller, None))
        return await asyncio.shield(task)


async def _decoded(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """The chunks of a body, a gzip or deflate coding taken off, never many bytes more than a body may have."""
    if request.headers.get("Content-Encoding", "").lower() not in ("gzip", "x-gzip", "deflate"):
        async for chunk in request.content.iter_any():
            yield chunk
        return
    decoder = zlib.decompressobj(32 + zlib.MAX_WBITS)
    async for chunk in request.content.iter_any():
        try:
            yield decoder.decompress(chunk, wire.MAX_BODY + 1)
        except zlib.error:
            yield b"\x00"  # which no parser takes for JSON
            return
