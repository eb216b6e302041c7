"""Loops: guarded, tried again ever more slowly, and honest about it."""

import asyncio
import logging

import pytest

from tcbox import clock as clocks
from tcbox import errors
from tcbox.runtime import Loop, Loops, LoopSpec
from tcbox.runtime.loop import LONGEST_PAUSE, SETTLED
from tests.support.waiting import eventually


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


class Turns:
    """A turn that fails as long as it is told to."""

    def __init__(self):
        self.count = 0
        self.error = None

    async def __call__(self):
        self.count += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock():
    return clocks.VirtualClock(still=True)


@pytest.fixture
def turns():
    return Turns()


async def advance(clock, milliseconds):
    clock.advance(milliseconds)
    await settle()


async def test_a_loop_takes_turns_at_its_interval(clock, turns):
    """The first turn comes at once, each next one when the interval has passed on the clock."""
    loop = Loop("l", turns, interval_ms=60_000, clock=clock)
    loop.start()
    await settle()
    assert turns.count == 1
    await advance(clock, 50_000)
    assert turns.count == 1
    await advance(clock, 10_000)
    assert turns.count == 2
    await loop.stop()
    await advance(clock, 600_000)
    assert turns.count == 2


async def test_waking_cuts_the_pause_short(clock, turns):
    """A woken loop takes its turn at once, and its interval counts from then."""
    loop = Loop("l", turns, interval_ms=60_000, clock=clock)
    loop.start()
    await settle()
    loop.wake()
    await settle()
    assert turns.count == 2
    await settle()
    assert turns.count == 2
    await loop.stop()


async def test_waking_during_a_turn_brings_another_right_after(clock):
    """What came up while a turn was under way is not left until the next interval."""
    gate, count = asyncio.Event(), 0

    async def turn():
        nonlocal count
        count += 1
        await gate.wait()

    loop = Loop("l", turn, interval_ms=60_000, clock=clock)
    loop.start()
    await settle()
    loop.wake()
    gate.set()
    await settle()
    assert count == 2
    await loop.stop()


async def test_failures_back_off_from_a_second_to_a_minute(clock, turns, caplog):
    """A failing loop is tried again after 1 s, 2 s, 4 s and so on up to a minute, and says each time why, with traceback."""
    turns.error = RuntimeError("no luck")
    loop = Loop("expiry", turns, interval_ms=10, clock=clock, service="queue")
    with caplog.at_level(logging.ERROR, "tcbox.queue"):
        logging.getLogger("tcbox").propagate = True
        loop.start()
        await settle()
        for pause in (1, 2, 4, 8, 16, 32, 60, 60):
            before = turns.count
            await advance(clock, pause * 1000 - 1)
            assert turns.count == before, pause
            await advance(clock, 1)
            assert turns.count == before + 1, pause
    assert any(record.exc_info and record.loop == "expiry" and record.retry_ms == LONGEST_PAUSE for record in caplog.records)
    await loop.stop()


async def test_a_server_that_is_away_is_looked_for_every_few_seconds(clock, turns):
    """Failures for want of a server, such as the database, never make a loop wait for more than 5 s: it works again soon after the server does."""
    turns.error = errors.Unavailable("the database does not answer")
    loop = Loop("l", turns, interval_ms=1000, clock=clock)
    loop.start()
    await settle()
    await advance(clock, 60_000)
    for _ in range(8):
        before = turns.count
        await advance(clock, 5000)
        assert turns.count == before + 1
    turns.error = None
    await advance(clock, 5000)
    assert loop.fault is None
    await loop.stop()


async def test_a_loop_that_keeps_failing_degrades_until_it_works(clock, turns):
    """After three failures in a row the loop has a fault with its last error; one good turn clears it."""
    turns.error = RuntimeError("no luck")
    loop = Loop("l", turns, interval_ms=1000, clock=clock)
    loop.start()
    await settle()
    await advance(clock, 1000)
    assert loop.fault is None
    await advance(clock, 2000)
    assert loop.fault == "failed 3 times in a row, last with RuntimeError: no luck"
    turns.error = None
    await advance(clock, 4000)
    assert loop.fault is None
    status = loop.status()
    assert (status.runs, status.failures, status.in_a_row, status.last_error, status.running) == (1, 3, 0, None, True)
    await loop.stop()


async def test_a_loop_that_should_go_on_is_restarted_when_it_ends(clock):
    """A loop without interval that returns is started again, as a fault; one that goes on for a minute has recovered."""
    starts, gate = 0, asyncio.Event()

    async def forever():
        nonlocal starts
        starts += 1
        if starts > 3:
            await gate.wait()

    loop = Loop("l", forever, interval_ms=None, clock=clock)
    loop.start()
    await settle()
    for pause in (1000, 2000):
        await advance(clock, pause)
    assert "it ended, though it should go on for ever" in loop.fault
    await advance(clock, 4000)
    assert starts == 4
    assert loop.degraded
    await advance(clock, SETTLED)
    assert not loop.degraded
    await loop.stop()


async def test_a_cancelled_inner_wait_does_not_end_the_loop(clock):
    """A turn that is cancelled from inside fails like any other; only stopping ends the loop."""
    count = 0

    async def turn():
        nonlocal count
        count += 1
        if count == 1:
            raise asyncio.CancelledError

    loop = Loop("l", turn, interval_ms=1000, clock=clock)
    loop.start()
    await settle()
    await advance(clock, 1000)
    assert count == 2
    await loop.stop()
    assert not loop.status().running


async def test_a_turn_that_never_waits_lets_others_run(clock, turns):
    """A loop of interval 0 whose turn returns at once does not keep the event loop for itself."""
    loop = Loop("l", turns, interval_ms=0, clock=clock)
    loop.start()
    await eventually(lambda: turns.count > 1)
    await loop.stop()


async def test_a_loop_that_ignores_its_end_is_left_behind(clock):
    """Stopping is bounded even when a turn swallows its cancellation."""
    released = asyncio.Event()

    async def stubborn():
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    loop = Loop("l", stubborn, interval_ms=1000, clock=clock)
    loop.start()
    await settle()
    await asyncio.wait_for(loop.stop(wait=0.05), 15)
    released.set()
    await settle()


async def test_two_loops_of_a_name_are_refused(clock, turns):
    """Names tell the loops of a service apart."""
    with pytest.raises(ValueError, match="two loops named 'a'"):
        Loops("queue", [LoopSpec("a", 1, turns), ("a", 2, turns)], clock=clock)
