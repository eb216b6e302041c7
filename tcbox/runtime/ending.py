"""Ends that neither hang nor break off, nor stay unseen: bounded in time, shielded from cancellation, failures told and survived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any

ATTEMPTS = 3
"""How often what hangs is cancelled, so that what comes after it gets its turn too."""


async def bounded(work: Awaitable[object], what: str, seconds: float, logger: logging.Logger) -> bool:
    """Await a teardown; what fails or takes longer than so many seconds is told, not raised. Whether all went well.

    What does not end in time is cancelled, which in an exit stack lets the next callbacks run, and in the end left
    behind.
    """
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=seconds)
    well = task.done()
    for _ in range(ATTEMPTS):
        if task.done():
            break
        logger.error("%s takes longer than %g s: cancelling what hangs", what, seconds)
        task.cancel()
        await asyncio.wait([task], timeout=max(seconds, 0.1))
    if not task.done():
        logger.error("%s does not end: leaving it behind", what)
        return False
    if task.cancelled():
        return False
    error = task.exception()
    if error is not None:
        logger.error("%s failed", what, exc_info=error)
    return well and error is None


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Carry work to its end even when the caller is cancelled meanwhile; the cancellation comes into effect after it."""
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


def watched(task: asyncio.Task[None], logger: logging.Logger) -> asyncio.Task[None]:
    """Have a task that is to run until it is cancelled tell the log when it ends by itself; gives the task."""

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled():
            logger.error("%s has ended, which only a fault in tcbox explains: restart this process, and report it", done.get_name(), exc_info=done.exception())

    task.add_done_callback(ended)
    return task


async def together(*works: Coroutine[Any, Any, object]) -> None:
    """Run works side by side until the first ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
