"""Serves an aiohttp application from a thread of its own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.simulators.serving import served


@contextmanager
def threaded(app: web.Application) -> Iterator[str]:
    """The URL at which the application answers."""
    ready: list[str] = []
    loop = asyncio.new_event_loop()
    up, end = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with served(app) as url:
            ready.append(url)
            up.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
