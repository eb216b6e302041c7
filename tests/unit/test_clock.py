"""Time: the wire format, and a clock that can be moved."""

import asyncio

import pytest

from tcbox import clock


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2026-01-31T12:00:00.000Z", 1769860800000),
        ("2026-01-31T12:00:00.789Z", 1769860800789),
        ("2026-01-31T13:00:00+01:00", 1769860800000),
        ("2026-01-31T12:00:00Z", 1769860800000),
    ],
)
def test_wire_times_are_read(text, milliseconds):
    """Every RFC 3339 form that clients send is the same instant in milliseconds."""
    assert clock.from_wire(text) == milliseconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-13-01T00:00:00Z"])
def test_other_texts_are_refused(text):
    """A text that is no instant is refused with what to write instead."""
    with pytest.raises(ValueError, match="write it like"):
        clock.from_wire(text)


def test_round_trip_keeps_milliseconds():
    """What was read is written back the same, milliseconds included."""
    for text in ("2026-01-31T12:00:00.001Z", "2038-01-19T03:14:08.999Z", "1999-12-31T23:59:59.500Z"):
        assert clock.to_wire(clock.from_wire(text)) == text


async def test_advance_wakes_those_whose_time_has_come():
    """Sleepers wake in the order of their times, and only those that the clock has passed."""
    virtual, woken = clock.VirtualClock(), []

    async def sleeper(name, milliseconds):
        await virtual.sleep(milliseconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(n, ms)) for n, ms in (("day", clock.DAY), ("hour", clock.HOUR), ("minute", clock.MINUTE))]
    await asyncio.sleep(0)
    before = virtual.now()
    virtual.advance(2 * clock.HOUR)
    await asyncio.gather(*tasks[1:])
    assert woken == ["minute", "hour"]
    assert virtual.now() - before >= 2 * clock.HOUR
    tasks[0].cancel()


async def test_a_clock_that_stands_still_moves_only_when_it_is_moved():
    """Its time passes by `advance` alone, to the millisecond, for those who ask it as for those who sleep on it."""
    still = clock.VirtualClock(still=True)
    before = still.now()
    sleeping = asyncio.create_task(still.sleep(20))
    await asyncio.sleep(0.05)
    assert still.now() == before and still.wall() > before
    still.advance(19)
    await asyncio.sleep(0)
    assert not sleeping.done()
    still.advance(1)
    await sleeping
    assert still.now() == before + 20
    await still.sleep(0)


def test_the_clock_never_goes_back():
    """Asking for a negative advance is an error, not a jump into the past."""
    with pytest.raises(ValueError, match="cannot go back"):
        clock.VirtualClock().advance(-1)
