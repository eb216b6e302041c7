"""Durable subscriptions of several processes on one database: one at a time delivers, and nothing is missed."""

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox import db, events
from tcbox.events import bus as buses
from tcbox.events import lease as leases
from tcbox.events.bus import migrations as event_migrations
from tests.support import databases
from tests.support.waiting import eventually
from tests.unit.test_events_bus import Collector, binding, tell

migrations = [event_migrations]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(buses, "BEAT", 0.1)
    monkeypatch.setattr(buses, "PATIENCE", 60.0)  # whoever lives is not replaced, however slow the machine is
    monkeypatch.setattr(leases, "_LOOK", 0.1)


@pytest.fixture
async def replicas(tmp_path):
    """Two processes' buses, each with connections of its own, on one PostgreSQL database."""
    url = await databases.fresh("postgres", migrations, tmp_path)
    made = []
    for _ in range(2):
        database = db.connect(url, clock=clocks.SystemClock())
        await database.start(migrations)
        made.append((events.Bus(database, clocks.SystemClock()), database))
    yield made
    for bus, database in made:
        await bus.close()
        await database.close()


async def test_each_message_is_delivered_by_one_of_two(replicas):
    """Of two processes with a subscription of one name each message reaches one; when that one ends, the other goes on where it stood."""
    (one, database), (two, _) = replicas
    first, second = Collector(), Collector()
    leading = await one.subscribe("s", binding(), first.handle)
    await eventually(lambda: leading.active)
    following = await two.subscribe("s", binding(), second.handle)
    await eventually(lambda: following.lease.other)
    for n in range(50):
        await tell(one if n % 2 else two, database if n % 2 else replicas[1][1], n)
    await first.until(50)
    assert sorted(first.got) == list(range(50)) and second.got == [] and not following.active
    await one.unsubscribe(leading)
    for n in range(50, 60):
        await tell(one, database, n)
    await second.until(10)
    assert sorted(second.got) == list(range(50, 60))
    assert len(first.got) == 50


async def test_a_silent_process_is_replaced(replicas, monkeypatch):
    """A process that gives no more signs of life is replaced within its patience, and cannot set the position back."""
    (one, database), (two, other) = replicas
    stuck = asyncio.Event()

    class Stuck(Collector):
        async def handle(self, event):
            await super().handle(event)
            stuck.set()
            await asyncio.sleep(3600)

    first, second = Stuck(), Collector()
    leading = await one.subscribe("s", binding(), first.handle)
    await tell(one, database, 1)
    await asyncio.wait_for(stuck.wait(), 15)

    async def silent(tx):
        pass

    monkeypatch.setattr(leading.lease, "confirm", silent)
    monkeypatch.setattr(buses, "PATIENCE", 0.8)
    await two.subscribe("s", binding(), second.handle)
    await second.until(1)
    assert first.got == [1] and second.got == [1]
    await tell(two, other, 2)
    await second.until(2)
    monkeypatch.undo()
    await one.unsubscribe(leading)
    await tell(two, other, 3)
    await second.until(3)
    assert second.got == [1, 2, 3]


async def test_who_takes_over_prepares(replicas):
    """Before a process delivers, what prepares it has run, so that it knows what it was not told of."""
    (one, database), (two, other) = replicas
    seen, collector = [], Collector()

    async def prepare():
        seen.append(list(collector.got))

    leading = await one.subscribe("s", binding(), Collector().handle)
    await eventually(lambda: leading.active)
    following = await two.subscribe("s", binding(), collector.handle, prepare=prepare)
    await eventually(lambda: following.lease.other)
    assert seen == []
    await one.unsubscribe(leading)
    await tell(two, other, 7)
    await collector.until(1)
    assert seen == [[]]
