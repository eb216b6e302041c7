"""What is done now and then is done by one of several processes each time."""

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox.events.bus import migrations as event_migrations
from tcbox.events.turns import Turn
from tests.support.databases import database  # noqa: F401

migrations = [event_migrations]


async def nothing():
    pass


async def failing():
    raise OSError("nobody answers")


async def test_one_of_many_has_the_turn_each_time(database, clock):
    """However many ask at once, one does it; the next turn comes when the interval is over; another thing has turns of its own."""
    asking = [Turn(database, "scan", clocks.HOUR) for _ in range(6)]
    for _ in range(3):
        assert sum(await asyncio.gather(*(each.take(nothing) for each in asking))) == 1
        clock.advance(clocks.HOUR // 2)
        assert sum(await asyncio.gather(*(each.take(nothing) for each in asking))) == 0
        clock.advance(clocks.HOUR // 2)
    assert await Turn(database, "other", clocks.HOUR).take(nothing)


async def test_a_turn_that_fails_is_anothers(database):
    """What failed in one process can be done at once by the next, and counts from then."""
    first, second = Turn(database, "scan", clocks.HOUR), Turn(database, "scan", clocks.HOUR)
    with pytest.raises(OSError, match="nobody answers"):
        await first.take(failing)
    assert await second.take(nothing)
    assert not await first.take(nothing)


async def test_a_clock_that_was_wrong_holds_nobody_up(database, clock):
    """A turn that was taken in what is the far future now counts for nothing."""
    first, second = Turn(database, "scan", clocks.HOUR), Turn(database, "scan", clocks.HOUR)
    clock.advance(100 * clocks.DAY)
    assert await first.take(nothing)
    clock.offset = 0
    assert await second.take(nothing)
    assert not await first.take(nothing)


async def test_a_turn_can_be_taken_anyway(database):
    """A process may insist; the others then wait for the next turn as after any."""
    first, second = Turn(database, "sync", clocks.DAY), Turn(database, "sync", clocks.DAY)
    assert await first.take(nothing)
    assert await second.take(nothing, anyway=True)
    assert not await first.take(nothing)
