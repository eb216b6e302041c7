"""The outbox and its delivery, on both engines."""

import asyncio
import contextlib

import pytest

from tcbox import clock as clocks
from tcbox import db, events
from tcbox.events import tail
from tcbox.events.bus import migrations as event_migrations
from tcbox.events.silent import Silent
from tests.support import outbox
from tests.support.databases import database  # noqa: F401
from tests.support.waiting import eventually

migrations = [event_migrations]
exchanges = events.Exchanges("demo", title="Demo", description="For tests.")
KEYS = (events.Key("routingKeyKind", "Kind.", constant="primary"), events.Key("name", "Name.", required=True), events.Key("rest", "Rest.", multiple_words=True))
changed = exchanges.declare("changed", name="changed", title="Changed", description="It changed.", schema="changed", keys=KEYS)
removed = exchanges.declare("removed", name="removed", title="Removed", description="It is gone.", schema="removed", keys=KEYS)


@pytest.fixture
async def bus(database, clock):
    made = events.Bus(database, clock)
    yield made
    await made.close()


async def tell(bus, database, number, *, exchange=changed, routes=(), name="a"):
    async def change(tx):
        await bus.publish(tx, exchange, {"n": number}, routes=routes, name=name)

    await database.transaction(change)


class Collector:
    """A subscriber that keeps what it gets, and fails as often as it is told to."""

    def __init__(self, failures=0):
        self.got, self.failures = [], failures

    async def handle(self, event):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        self.got.append(event.payload["n"])

    async def until(self, count):
        async with asyncio.timeout(20):
            while len(self.got) < count:
                await asyncio.sleep(0.005)


def looks(database):
    """How often what follows was looked for."""
    return database.stats["events.wanted_after"].calls


def binding(exchange=changed, pattern="#"):
    return [events.Binding(exchange.address, pattern)]


async def test_in_order_and_only_what_is_bound(bus, database):
    """A subscriber gets, in order, the messages that its bindings take, and no others."""
    by_name, by_route = Collector(), Collector()
    await bus.subscribe("by-name", binding(pattern="primary.a.#"), by_name.handle)
    await bus.subscribe("by-route", [*binding(pattern="route.x.*"), *binding(removed)], by_route.handle)
    for n in range(60):
        await tell(bus, database, n, name="ab"[n % 2], routes=["x.y"] if n % 3 == 0 else ["z"], exchange=removed if n % 10 == 7 else changed)
    await by_name.until(30)
    await by_route.until(24)
    assert by_name.got == [n for n in range(60) if n % 2 == 0]
    assert by_route.got == [n for n in range(60) if n % 10 == 7 or n % 3 == 0]


async def test_what_nobody_waits_for_is_passed_all_the_same(bus, database, monkeypatch):
    """A subscriber's position goes on past messages that it does not want, so that they can be removed, without a look for each."""
    monkeypatch.setattr(tail, "POLL", 0.05)
    collector = Collector()
    subscription = await bus.subscribe("s", binding(removed), collector.handle)
    await tell(bus, database, 1, exchange=removed)
    await collector.until(1)
    for n in range(20):
        await tell(bus, database, n)
    last = await bus.last_id()
    await eventually(lambda: subscription.position == last)
    assert collector.got == [1]
    await tell(bus, database, 2, exchange=removed)
    await collector.until(2)
    await bus.rebind(subscription, binding())
    await tell(bus, database, 3)
    await collector.until(3)
    assert collector.got == [1, 2, 3]


async def test_where_nobody_else_can_publish_nobody_looks(bus, database, monkeypatch):
    """Subscribers of a database for one process cost nothing while nothing is published; else they look for what others publish."""
    monkeypatch.setattr(tail, "POLL", 0.01)
    collector = Collector()
    await bus.subscribe("s", binding(), collector.handle)
    await tell(bus, database, 1)
    await collector.until(1)
    await eventually(lambda: not bus._bound._reading.locked())
    before = looks(database)
    if database.shared:
        await eventually(lambda: looks(database) > before + 3)
    else:
        await asyncio.sleep(0.2)
        assert looks(database) <= before + 1  # the one after which nothing was left


async def test_what_an_api_publishes_is_told_to_this_process(bus, database, monkeypatch):
    """A bus that delivers nothing itself tells the other of its process at once what it published."""
    monkeypatch.setattr(tail, "POLL", 60.0)
    collector = Collector()
    await bus.subscribe("s", binding(), collector.handle)
    await eventually(lambda: looks(database) > 0 and not bus._bound._reading.locked())
    await tell(Silent(bus), database, 1)
    await collector.until(1)


async def test_a_rolled_back_change_announces_nothing(bus, database):
    """A message whose transaction fails is never delivered."""
    collector = Collector()
    await bus.subscribe("s", binding(), collector.handle)

    async def fails(tx):
        await bus.publish(tx, changed, {"n": -1}, name="a")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await database.transaction(fails)
    await tell(bus, database, 1)
    await collector.until(1)
    assert collector.got == [1]


async def test_a_message_carries_what_was_published(bus, database):
    """A message comes with exchange, routing key, routes and exact payload."""
    got = asyncio.get_running_loop().create_future()

    async def handle(event):
        got.set_result(event)

    await bus.subscribe("s", binding(), handle)

    async def change(tx):
        await bus.publish(tx, changed, {"big": 10**30, "f": 1.0, "z": None, "a": "€"}, routes=["x"], name="n", rest="p.q")

    await database.transaction(change)
    event = await asyncio.wait_for(got, 10)
    assert (event.exchange, event.routing_key, event.cc) == ("exchange/taskcluster-demo/v1/changed", "primary.n.p.q", ("x",))
    assert str(event.payload) == "{'big': 1000000000000000000000000000000, 'f': 1.0, 'z': None, 'a': '€'}"


async def test_a_failing_subscriber_gets_it_again_before_the_next(bus, database, clock):
    """A handler that raises gets the same message again, and holds up no other subscriber."""
    failing, other = Collector(failures=3), Collector()
    await bus.subscribe("failing", binding(), failing.handle)
    await bus.subscribe("other", binding(), other.handle)
    await tell(bus, database, 1)
    await tell(bus, database, 2)
    await other.until(2)
    assert failing.got == []
    async with asyncio.timeout(20):
        while len(failing.got) < 2:
            clock.advance(5000)
            await asyncio.sleep(0.01)
    assert failing.got == [1, 2]


async def test_a_durable_subscriber_goes_on_where_it_stood(database, clock):
    """What is published while a durable subscriber does not run reaches it when it runs again; others miss it."""
    first = events.Bus(database, clock)
    collector, passing = Collector(), Collector()
    await first.subscribe("durable", binding(), collector.handle)
    await first.subscribe("passing", binding(), passing.handle, durable=False)
    await tell(first, database, 1)
    await collector.until(1)
    await first.close()
    await tell(first, database, 2)
    second = events.Bus(database, clock)
    await second.subscribe("durable", binding(), collector.handle)
    await second.subscribe("passing", binding(), passing.handle, durable=False)
    await tell(second, database, 3)
    await collector.until(3)
    await second.close()
    assert collector.got == [1, 2, 3]
    assert 2 not in passing.got


async def test_at_least_once_after_a_crash(database, clock):
    """A message whose handling a crash interrupts is delivered again to the next process."""
    first = events.Bus(database, clock)
    held, began = asyncio.Event(), asyncio.Event()

    async def never(event):
        began.set()
        await held.wait()

    subscription = await first.subscribe("durable", binding(), never)
    await tell(first, database, 1)
    await asyncio.wait_for(began.wait(), 10)
    subscription.task.cancel()  # the process dies: nothing is saved any more
    with contextlib.suppress(asyncio.CancelledError):
        await subscription.task
    second, collector = events.Bus(database, clock), Collector()
    await second.subscribe("durable", binding(), collector.handle)
    await collector.until(1)
    await second.close()
    assert collector.got == [1]


async def test_expiry_keeps_what_a_durable_subscriber_has_not_seen(database, clock):
    """Old messages go once every durable subscriber has seen them, running or not, and far older ones in any case."""
    first = events.Bus(database, clock)
    await first.subscribe("durable", binding(), Collector().handle)
    await first.close()
    second, other = events.Bus(database, clock), Collector()
    await second.subscribe("other", binding(), other.handle)
    await tell(second, database, 1)
    await other.until(1)
    clock.advance(2 * clocks.HOUR)
    assert await second.expire() == 0
    third, collector = events.Bus(database, clock), Collector()
    await third.subscribe("durable", binding(), collector.handle)
    await collector.until(1)
    await third.close()
    assert await second.expire() == 1
    await third.subscribe("abandoned", binding(), Collector().handle)
    await third.close()
    await tell(second, database, 2)
    clock.advance(31 * clocks.DAY)
    assert await second.expire() == 1
    await second.close()
    assert await second.read(0) == []


async def test_forgetting_a_subscriber_frees_its_messages(database, clock):
    """Messages are not kept for a durable subscriber that was given up."""
    bus = events.Bus(database, clock)
    await bus.subscribe("durable", binding(), Collector().handle)
    await bus.close()
    await tell(bus, database, 1)
    clock.advance(2 * clocks.HOUR)
    assert await bus.expire() == 0
    await bus.forget("durable")
    assert await bus.expire() == 1


async def test_no_message_is_passed_over_when_transactions_overlap(bus, database):
    """With many transactions at once, each of several messages, every subscriber gets every message once, each transaction's in order."""
    collector = Collector()
    await bus.subscribe("s", binding(), collector.handle)

    async def change(number):
        async def fn(tx):
            for part in range(3):
                await bus.publish(tx, changed, {"n": (number, part)}, name="a")
                if database.engine == "postgres":
                    await asyncio.sleep(0.001 * (number % 5))

        await database.transaction(fn)

    await asyncio.gather(*(change(n) for n in range(40)))
    await collector.until(120)
    await asyncio.sleep(0.05)
    assert sorted(map(tuple, collector.got)) == [(n, part) for n in range(40) for part in range(3)]
    for n in range(40):
        assert [part for number, part in collector.got if number == n] == [0, 1, 2]


async def test_followers_resume_after_any_id(bus, database):
    """A reader that starts after an id gets what follows it, and what comes later."""
    for n in range(5):
        await tell(bus, database, n)
    second = (await bus.read(0))[1].id
    got = []
    async with contextlib.aclosing(bus.follow(second)) as batches:
        async for batch in batches:
            got += [event.payload["n"] for event in batch]
            if len(got) == 3:
                await tell(bus, database, 5)
            if len(got) == 4:
                break
    assert got == [2, 3, 4, 5]


async def test_a_name_is_taken_once(bus):
    """Two subscriptions of one name are refused."""
    await bus.subscribe("s", binding(), Collector().handle)
    with pytest.raises(ValueError, match="already"):
        await bus.subscribe("s", binding(), Collector().handle)


@pytest.mark.parametrize(("values", "key"), [({"name": "n"}, "primary.n._"), ({"name": "n", "rest": "a.b"}, "primary.n.a.b"), ({"name": 1}, "primary.1._")])
def test_routing_keys(values, key):
    """Words come in order, a missing optional one as an underscore."""
    assert changed.routing_key(values) == key


@pytest.mark.parametrize("values", [{}, {"name": "a.b"}])
def test_wrong_routing_keys(values):
    """A missing required word, and a dot in a single word, are refused."""
    with pytest.raises(ValueError, match="name"):
        changed.routing_key(values)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_messages_of_one_change_keep_their_order(bus, database, count):
    """Messages that are published together come in the order in which they were given, each with its own key and routes."""
    messages = [events.Message(changed, {"name": f"n{n}"}, f'{{"n":{n}}}', [f"r{n}"]) for n in range(count)]
    await database.transaction(lambda tx: bus.publish_all(tx, messages))
    await tell(bus, database, 9)
    found = await bus.read(0)
    assert [(event.routing_key, event.cc, event.payload["n"]) for event in found[:-1]] == [(f"primary.n{n}._", (f"r{n}",), n) for n in range(count)]
    assert found[-1].payload["n"] == 9


async def test_a_subscription_can_be_bound_anew(bus, database):
    """A subscription's bindings can be changed, by its own handler too: the next message is already taken by the new ones."""
    got = []

    async def handle(event):
        got.append(event.payload["n"])
        if event.payload["n"] == 1:
            await bus.rebind(subscription, [*binding(pattern="primary.b.#"), *binding(removed)])

    subscription = await bus.subscribe("x", binding(pattern="primary.a.#"), handle)
    for number, name, exchange in ((1, "a", changed), (2, "a", changed), (3, "b", changed), (4, "a", removed)):
        await tell(bus, database, number, exchange=exchange, name=name)
    async with asyncio.timeout(20):
        while len(got) < 3:
            await asyncio.sleep(0.005)
    assert got == [1, 3, 4]


@pytest.mark.parametrize(("pattern", "expected"), [("primary.a._", [1, 2, 3, 4]), ("route.x", [2]), ("route.#", [2, 3])])
async def test_what_no_subscription_can_want_is_passed_over(bus, database, pattern, expected):
    """Messages that are not read are such as no binding takes, and the position goes on past them."""
    taker = Collector()
    subscription = await bus.subscribe("x", binding(pattern=pattern), taker.handle)
    for number, exchange, routes in ((1, changed, ()), (2, changed, ("x",)), (3, changed, ("y",)), (4, changed, ()), (5, removed, ())):
        await tell(bus, database, number, exchange=exchange, routes=routes)
    newest = await outbox.newest(bus)
    await eventually(lambda: subscription.position >= newest)
    assert taker.got == expected


async def test_what_was_passed_over_is_read_when_it_is_bound_to(bus, database):
    """A subscription that is bound anew while it handles a message gets those after it that were not read for it before."""
    got = []

    async def handle(event):
        got.append(event.payload["n"])
        if event.payload["n"] == 1:
            for number in (2, 3):
                await tell(bus, database, number, exchange=removed)
            await tell(bus, database, 4)
            await other.until(2)  # a read has passed over them by now
            await bus.rebind(subscription, [*binding(), *binding(removed)])

    other = Collector()
    subscription = await bus.subscribe("x", binding(), handle)
    await bus.subscribe("y", binding(), other.handle)
    await tell(bus, database, 1)
    async with asyncio.timeout(20):
        while len(got) < 4:
            await asyncio.sleep(0.005)
    assert got == [1, 2, 3, 4]
