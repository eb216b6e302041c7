"""Coroutines that begin without a task, and go on in one if they wait."""

import asyncio

import pytest

from tcbox import db
from tcbox.api import started
from tcbox.events.bus import migrations as event_migrations
from tcbox.events.tail import sql
from tests.support.databases import database  # noqa: F401

migrations = [event_migrations]


async def test_one_that_never_waits():
    """Its value is there at once."""

    async def coroutine():
        return 3

    done = started.first_step(coroutine())
    assert isinstance(done, started.Done)
    assert done.value == 3


async def test_one_that_raises_at_once():
    """What it raises is raised."""

    async def coroutine():
        raise LookupError("x")

    with pytest.raises(LookupError):
        started.first_step(coroutine())


@pytest.mark.parametrize("how", ["future", "done future", "sleep", "task"])
async def test_one_that_waits(how):
    """It goes on in a task with what it waited for, whatever that was, and its own time-outs work."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    async def coroutine():
        if how == "sleep":
            await asyncio.sleep(0.01)
        elif how == "task":
            await asyncio.create_task(asyncio.sleep(0.01))
        else:
            assert await future == 7
        async with asyncio.timeout(15):
            await asyncio.sleep(0)
        return asyncio.current_task()

    step = started.first_step(coroutine())
    assert isinstance(step, started.Started)
    if how == "done future":
        future.set_result(7)
    else:
        loop.call_later(0.01, lambda: future.done() or future.set_result(7))
    task = loop.create_task(step)
    assert await task is task


async def test_the_error_of_what_it_waits_for():
    """An error of what it waits for is raised inside it, and its own error is the task's."""
    future = asyncio.get_running_loop().create_future()

    async def coroutine():
        try:
            await future
        except LookupError:
            raise ValueError("mine") from None

    step = started.first_step(coroutine())
    future.set_exception(LookupError())
    with pytest.raises(ValueError, match="mine"):
        await asyncio.create_task(step)


@pytest.mark.parametrize("wait_first", [False, True])
async def test_cancelled(wait_first):
    """Cancelled, before its task has begun or later, it is cancelled where it waits, and cleans up."""
    cleaned = []

    async def coroutine():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned.append(True)
            raise

    task = asyncio.create_task(started.first_step(coroutine()))
    if wait_first:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def test_a_bounded_read(database):
    """A bounded read may stand in it on either engine, though one waits and the other does not."""

    async def coroutine():
        return await database.point(sql.get_position, name="none")

    step = started.first_step(coroutine())
    assert isinstance(step, started.Done) == (database.engine == "sqlite")
    assert (step.value if isinstance(step, started.Done) else await asyncio.create_task(step)) is None
