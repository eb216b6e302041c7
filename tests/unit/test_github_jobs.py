"""Work that needs GitHub: done in order where that matters, apart where it does not, once, and in the end."""

from __future__ import annotations

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox.services.github import jobs, store
from tcbox.services.github.hub import Limited, Refused
from tcbox.services.github.jobs import Job, Jobs
from tests.support.databases import database, listening, repeated, two  # noqa: F401
from tests.support.waiting import eventually

migrations = [store.migrations]


class Work:
    """A handler that notes what it does, and does as it is told: `say[key]` is raised, `gates[key]` waited for."""

    def __init__(self, database, clock) -> None:  # noqa: F811
        self.clock = clock
        self.done: list[str] = []
        self.under_way: list[str] = []
        self.most = 0
        self.say: dict[str, Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.jobs = Jobs(database, clock, {"x": self.handle})
        self.events = 0

    async def handle(self, job: Job) -> None:
        self.under_way.append(job.key)
        self.most = max(self.most, len(self.under_way))
        try:
            if job.key in self.gates:
                await self.gates[job.key].wait()
            else:
                await asyncio.sleep(0)
            if job.key in self.say:
                raise self.say[job.key]
            self.done.append(f"{job.key}{job.payload.get('n', '')}")
        finally:
            self.under_way.remove(job.key)

    async def add(self, key: str, lane: str = "", installation: int = 1, **payload) -> None:
        self.events += 1
        await self.jobs.add(Job("x", key, lane or key, installation, payload), self.events)

    async def turn(self) -> None:
        async def at_once(milliseconds: int) -> None:
            return

        self.jobs._alarm.sleep = at_once
        await self.jobs.turn()

    async def settle(self) -> None:
        for _ in range(3):
            await self.turn()
            await self.jobs.idle()


@pytest.fixture
def work(database, clock):  # noqa: F811
    return Work(database, clock)


async def test_work_is_done_once(work):
    """What is asked for is done, and then forgotten."""
    await work.add("a")
    await work.settle()
    await work.settle()
    assert work.done == ["a"]


async def test_what_is_asked_for_again_is_done_once(work):
    """What is asked for several times before it is begun is done once, as it was asked for last; an older message changes nothing."""
    for number in range(3):
        await work.add("a", n=number)
    await work.jobs.add(Job("x", "a", "a", 1, {"n": "old"}), 1)
    await work.settle()
    assert work.done == ["a2"]


async def test_what_is_asked_for_meanwhile_is_done_again(work):
    """What is asked for again while it is being done is done once more afterwards."""
    work.gates["a"] = asyncio.Event()
    await work.add("a", n=1)
    await work.turn()
    await eventually(lambda: work.under_way)
    await work.add("a", n=2)
    work.gates["a"].set()
    await work.jobs.idle()
    await work.settle()
    assert work.done == ["a1", "a2"]


async def test_lanes(work):
    """Work of one lane is done in order, one after another; what is tried again holds up its lane, and no other."""
    for key in ("a1", "a2", "a3"):
        await work.add(key, "a")
    await work.add("b1", "b")
    work.say["a1"] = OSError("not now")
    await work.settle()
    assert work.done == ["b1"]
    del work.say["a1"]
    work.clock.advance(clocks.MINUTE)
    for _ in range(4):
        await work.settle()
    assert work.done == ["b1", "a1", "a2", "a3"]


async def test_installations_share(work):
    """Of one installation only some jobs are under way at once, so that others have their turn."""
    gate = asyncio.Event()
    for number in range(20):
        work.gates[f"a{number}"] = gate
        await work.add(f"a{number}", installation=1)
    for number in range(3):
        await work.add(f"b{number}", installation=2)
    await work.turn()
    await eventually(lambda: len(work.done) == 3 and len(work.under_way) == jobs.PARALLEL)
    assert sorted(work.done) == ["b0", "b1", "b2"] and len(work.under_way) == jobs.PARALLEL
    gate.set()
    await work.jobs.idle()
    assert len(work.done) == 23


async def test_limits(work):
    """When GitHub limits an installation, all of its work waits until then, and no other's does."""
    until = work.clock.now() + clocks.HOUR
    work.say["a"] = Limited(until)
    await work.add("a")
    await work.settle()
    await work.add("b")
    await work.add("c", installation=2)
    work.say.clear()
    await work.settle()
    assert "c" in work.done and "a" not in work.done
    work.clock.advance(clocks.HOUR + 1000)
    await work.settle()
    assert sorted(work.done) == ["a", "b", "c"]


async def test_pauses_grow(work):
    """What fails is tried again ever more slowly, and given up after a day, with a word in the log."""
    tries = []
    work.say["a"] = OSError("never")
    real = work.handle

    async def count(job):
        tries.append(work.clock.now())
        await real(job)

    work.jobs._handlers = {"x": count}
    await work.add("a")
    await work.settle()
    assert "never" in work.jobs.fault
    for _ in range(400):
        await work.settle()
        work.clock.advance(5 * clocks.MINUTE)
    pauses = [later - earlier for earlier, later in zip(tries, tries[1:], strict=False)]
    assert 15 < len(tries) < 60 and pauses[0] < pauses[-1] and max(pauses) < 70 * clocks.MINUTE
    assert tries[-1] - tries[0] < 26 * clocks.HOUR
    assert work.jobs.fault is None


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (422, 1), (403, 2), (401, 2)])
async def test_refusals(work, status, tries):
    """What GitHub will never do is not asked for again; what a permission may change is."""
    work.say["a"] = Refused(status, "no")
    await work.add("a")
    count = 0
    real = work.handle

    async def counted(job):
        nonlocal count
        count += 1
        await real(job)

    work.jobs._handlers = {"x": counted}
    await work.settle()
    work.clock.advance(clocks.MINUTE)
    await work.settle()
    assert count == tries and work.jobs.fault is None


async def test_another_process_is_told(clock, tmp_path, monkeypatch):
    """Work that one process asks for is taken on at once by another, which does the work."""
    monkeypatch.setattr(jobs, "POLL", clocks.DAY)  # it does not come to look by itself
    async with two(migrations, clock, tmp_path) as (one, other):
        asks, works = Work(one, clock), Work(other, clock)
        await works.jobs.start()
        await listening(other)
        async with repeated(clock, works.jobs.turn):
            await asks.add("a")
            await eventually(lambda: works.done == ["a"])
        await works.jobs.stop()


async def test_two_processes(database, clock):  # noqa: F811
    """Two processes on one database share the work, and do none of it at once."""
    one, two = Work(database, clock), Work(database, clock)
    for number in range(30):
        await one.add(f"k{number}", f"lane {number % 7}")
    for _ in range(12):
        await asyncio.gather(one.settle(), two.settle())
    assert sorted(one.done + two.done) == sorted(f"k{number}" for number in range(30))


async def test_who_stops_lets_others_go_on(database, clock):  # noqa: F811
    """Work that is cut off by a stop is there for the next start at once; after a crash, some seconds later."""
    one, two = Work(database, clock), Work(database, clock)
    one.gates["a"] = asyncio.Event()
    await one.add("a")
    await one.turn()
    await eventually(lambda: one.under_way)
    await two.settle()
    assert two.done == []
    await one.jobs.stop()
    await two.settle()
    assert (one.done, two.done) == ([], ["a"])
    one.gates["b"] = asyncio.Event()
    await one.jobs.start()
    await one.add("b")
    await one.turn()
    await eventually(lambda: one.under_way and sum(map(len, one.jobs._workers.values())) == 1)  # nobody there looks for more
    one.jobs._put_off = None  # as if the process was gone
    clock.advance(jobs.LEASE + 1000)
    await two.settle()
    assert two.done == ["a", "b"]
    for group in list(one.jobs._workers.values()):
        for worker in list(group):
            worker.cancel()


async def test_long_work_is_held(database, clock):  # noqa: F811
    """Work that takes longer than a lease stays with who does it."""
    one, two = Work(database, clock), Work(database, clock)
    one.gates["a"] = asyncio.Event()
    await one.add("a")
    await one.turn()
    await eventually(lambda: one.under_way)
    for _ in range(6):
        clock.advance(jobs.RENEWAL + 100)
        await asyncio.sleep(0.05)
        await two.settle()
    one.gates["a"].set()
    await one.jobs.idle()
    await two.settle()
    assert (one.done, two.done) == (["a"], [])
