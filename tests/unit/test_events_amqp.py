"""Publishing the outbox to RabbitMQ, and hearing there of others: a real broker, both databases."""

import asyncio
import itertools
import json
import logging

import pytest

from tcbox import clock as clocks
from tcbox import events
from tcbox.events import lease as leases
from tcbox.events.amqp import address, queues, relay
from tcbox.events.amqp.link import Link
from tcbox.events.bus import migrations as event_migrations
from tests.support import rabbitmq_server
from tests.support.amqp import Listener
from tests.support.databases import database  # noqa: F401
from tests.support.waiting import eventually

migrations = [event_migrations]
_numbers = itertools.count(1)
KEYS = (events.Key("routingKeyKind", "Kind.", constant="primary"), events.Key("name", "Name.", required=True, multiple_words=True))


@pytest.fixture(scope="module")
def broker():
    return rabbitmq_server.broker()


@pytest.fixture
async def bus(database, clock):
    made = events.Bus(database, clock)
    yield made
    await made.close()


@pytest.fixture
def exchange():
    """An exchange that no other test has."""
    declared = events.Exchanges("demo", title="Demo", description="For tests.")
    return declared.declare(f"changed-{next(_numbers)}", name="changed", title="Changed", description="It changed.", schema="changed", keys=KEYS)


@pytest.fixture
def listen(broker):
    made = []

    def start(exchange, pattern="#"):
        made.append(Listener(broker, [(exchange, pattern)], f"queue/outsider/{next(_numbers)}"))
        return made[-1]

    yield start
    for each in made:
        each.stop()


@pytest.fixture
async def publishing(broker, bus, database, exchange, monkeypatch):
    """Make what publishes, as one of several processes would; it is ended with the test."""
    monkeypatch.setattr(leases, "_LOOK", 0.1)
    made = []

    async def start(holder="one", url=broker.url, begin=True):
        link = Link(address.parse(url), "test", first_pause=0.05)
        made.append(
            relay.Relay(bus, database, link, lambda: [exchange.address], lease=leases.Lease(database, relay.NAME, holder=holder, beat=0.1, patience=60.0))
        )
        if begin:
            await made[-1].start()
        return made[-1]

    yield start
    for each in made:
        await each.stop()


async def tell(bus, database, exchange, *numbers, name="a", routes=()):
    async def change(tx):
        for number in numbers:
            await bus.publish(tx, exchange, {"n": number}, name=name, routes=routes)

    await database.transaction(change)


def numbers(listener):
    return [each["body"]["n"] for each in listener.got]


async def _noted(publisher, listener):
    """It is written down that all was published: what was not would be published again by whoever goes on."""

    async def noted():
        return await publisher.position() == int(listener.got[-1]["id"])

    await eventually(noted)


async def test_messages_go_out_in_order_with_their_keys(bus, database, exchange, listen, publishing):
    """What is published from the first start on goes out in order, once, with routing key, routes and id; what was before does not."""
    await tell(bus, database, exchange, -1)
    listener = listen(exchange.address)
    first = await publishing()
    await tell(bus, database, exchange, *range(450), routes=["x.y"])
    await eventually(lambda: len(listener.got) == 450)
    assert numbers(listener) == list(range(450))
    ids = [int(each["id"]) for each in listener.got]
    assert ids == sorted(ids)
    assert {(each["key"], tuple(each["cc"]), each["type"], each["mode"]) for each in listener.got} == {("primary.a", ("route.x.y",), "application/json", 2)}
    await eventually(lambda: first.published == {exchange.address: 450})
    await _noted(first, listener)


async def test_of_two_processes_one_publishes_and_the_other_replaces_it(bus, database, exchange, listen, publishing):
    """Two processes on one database publish each message once; when the one is gone without a word, the other goes on."""
    listener = listen(exchange.address)
    first = await publishing("one")
    await eventually(lambda: first.link.works)
    second = await publishing("two")
    await eventually(lambda: second.lease.other == "one")
    await tell(bus, database, exchange, *range(20))
    await eventually(lambda: len(listener.got) == 20)
    await _noted(first, listener)
    assert not second.lease.held and second.fault() is None and numbers(listener) == list(range(20))
    first.lease.held = False  # so that it does not give the lease back, as a killed process would not
    first._task.cancel()
    await asyncio.gather(first._task, return_exceptions=True)
    first._task = None
    second.lease._patience = 0.6
    await tell(bus, database, exchange, *range(20, 40))
    await eventually(lambda: len(listener.got) == 40)
    assert second.lease.held and numbers(listener) == list(range(40))


async def test_who_has_lost_the_lease_moves_nothing_on(bus, database, exchange, publishing):
    """A process that lost its lease without noticing cannot say that more was published."""
    first = await publishing(begin=False)
    await first.lease.acquire()
    other = leases.Lease(database, relay.NAME, holder="other", patience=0.3)
    await other.acquire()
    await tell(bus, database, exchange, 1)
    before = await first.position()
    with pytest.raises(leases.LeaseLost):
        await first._confirmed(await bus.read_rows(0))
    assert await first.position() == before


async def test_a_holder_that_cannot_reach_the_broker_lets_others_try(bus, database, exchange, listen, publishing):
    """A process without a way to the broker does not keep one that has it from publishing."""
    listener = listen(exchange.address)
    await publishing("lost", url="amqp://u:p@127.0.0.1:1/v")
    good = await publishing("good")
    await tell(bus, database, exchange, 1)
    await eventually(lambda: numbers(listener) == [1])
    assert good.lease.held


async def test_what_waits_is_told(bus, database, exchange, publishing):
    """Without a broker the fault says which, why, and how many events wait, and no password."""
    lost = await publishing(url="amqp://someone:hush@127.0.0.1:1/v")
    await tell(bus, database, exchange, 1, 2, 3)
    await eventually(lambda: lost.link.why)
    lost._task.cancel()
    lost._task = asyncio.create_task(lost._measure())
    await eventually(lambda: lost.waiting == 3)
    assert "amqp://127.0.0.1:1/v" in lost.fault() and "3 events wait" in lost.fault() and "hush" not in lost.fault()
    assert lost.oldest > 0


async def test_a_queue_that_refuses_is_tried_again(bus, broker, database, exchange, publishing):
    """A message that a full queue makes the broker refuse is sent again until there is room, and nothing is lost."""
    name = f"queue/full/{next(_numbers)}"
    with broker.channel() as channel:
        channel.exchange_declare(exchange.address, exchange_type="topic", durable=True)
        channel.queue_declare(name, durable=True, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
        channel.queue_bind(name, exchange.address, "#")
        made = await publishing()
        await tell(bus, database, exchange, *range(4))
        await eventually(lambda: sum(made.published.values()) >= 2)
        await asyncio.sleep(0.3)
        seen = []
        for _ in range(200):
            method, _, body = channel.basic_get(name, auto_ack=True)
            if method is None:
                await asyncio.sleep(0.05)
            else:
                seen.append(json.loads(body)["n"])
            if set(seen) == set(range(4)):
                break
        assert set(seen) == set(range(4)) and made.refused == 0
        channel.queue_delete(name)


async def test_what_no_broker_can_take_is_passed_over(bus, database, exchange, listen, publishing):
    """A message whose routing key is too long for AMQP is told and passed over, and the next go out."""
    listener = listen(exchange.address)
    made = await publishing()
    await tell(bus, database, exchange, 1)
    await tell(bus, database, exchange, 2, name="x" * 300)
    await tell(bus, database, exchange, 3)
    await eventually(lambda: len(listener.got) == 2)
    await eventually(lambda: made.refused == 1)
    await asyncio.sleep(0.2)
    assert numbers(listener) == [1, 3]


async def test_messages_are_kept_until_they_are_published(bus, clock, database, exchange, listen, publishing):
    """Old messages that the broker has not confirmed do not expire."""
    made = await publishing(url="amqp://u:p@127.0.0.1:1/v")
    await tell(bus, database, exchange, 1)
    clock.advance(2 * clocks.DAY)
    assert await bus.expire() == 0
    await made.stop()
    listener = listen(exchange.address)
    await publishing()
    await eventually(lambda: numbers(listener) == [1])
    await eventually(bus.expire)


# -- what others announce


@pytest.fixture
async def hearing(broker, bus, database, clock, monkeypatch):
    """Make what hears of others; it is ended with the test."""
    monkeypatch.setattr(queues, "_AGAIN", 0.2)
    made = []

    async def start():
        made.append(queues.Queues(database, Link(address.parse(broker.url), "test", first_pause=0.05), clock))
        await made[-1].start()
        await bus.reach(made[-1])
        return made[-1]

    yield start
    for each in made:
        await each.stop()


@pytest.fixture
def foreign(broker):
    name = f"exchange/other-system/v1/thing-{next(_numbers)}"
    with broker.channel() as channel:
        channel.exchange_declare(name, exchange_type="topic", durable=True)
        yield (
            name,
            lambda key, body, **headers: channel.basic_publish(name, key, body if isinstance(body, bytes) else json.dumps(body).encode(), _properties(headers)),
        )
        channel.exchange_delete(name)


def _properties(headers):
    import pika

    return pika.BasicProperties(headers=headers)


class Collector:
    def __init__(self, failures=0):
        self.got, self.failures = [], failures

    async def handle(self, event):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        self.got.append(event)


def queue_exists(broker, name):
    import pika

    try:
        with broker.channel() as channel:
            channel.queue_declare(f"queue/{rabbitmq_server.USER}/{name}", passive=True)
            return True
    except pika.exceptions.ChannelClosedByBroker:
        return False


async def ready(heard, name):
    await eventually(lambda: name in heard._queues and heard._queues[name].tag and not heard._queues[name].unbound)


async def test_a_subscription_hears_of_others_and_of_its_own(bus, database, exchange, foreign, hearing):
    """One subscription with bindings to both gets messages of another system by the broker, and the instance's own by the outbox."""
    name, send = foreign
    heard, collector, sub = await hearing(), Collector(), f"hooks/{next(_numbers)}"
    await bus.subscribe(sub, [events.Binding(name, "a.*"), events.Binding(exchange.address)], collector.handle)
    await ready(heard, sub)
    send("b.x", {"n": 0})
    send("a.x", {"n": 1, "big": 2**70}, CC=["route.r.s", "other"])
    await tell(bus, database, exchange, 2)
    await eventually(lambda: len(collector.got) == 2)
    far, own = sorted(collector.got, key=lambda event: event.payload["n"])
    assert (far.exchange, far.routing_key, far.cc, far.id, far.payload["big"]) == (name, "a.x", ("r.s",), 0, 2**70)
    assert own.exchange == exchange.address and own.id > 0


async def test_messages_of_others_wait_while_the_instance_is_away(bus, broker, foreign, hearing):
    """What another system announces while no process runs is handed over by the next one, in order."""
    name, send = foreign
    heard, collector, sub = await hearing(), Collector(), f"hooks/{next(_numbers)}"
    subscription = await bus.subscribe(sub, [events.Binding(name)], collector.handle)
    await ready(heard, sub)
    await bus.unsubscribe(subscription)
    await heard.stop()
    for n in range(5):
        send("k", {"n": n})
    await hearing()
    await bus.subscribe(sub, [events.Binding(name)], collector.handle)
    await eventually(lambda: len(collector.got) == 5)
    assert [event.payload["n"] for event in collector.got] == list(range(5))


async def test_a_failing_subscriber_gets_it_again(bus, clock, foreign, hearing):
    """A handler that raises gets the same message again before the next, and what is no JSON is passed over."""
    name, send = foreign
    heard, collector, sub = await hearing(), Collector(failures=2), f"hooks/{next(_numbers)}"
    await bus.subscribe(sub, [events.Binding(name)], collector.handle)
    await ready(heard, sub)
    send("k", b"{no json")
    send("k", {"n": 1})
    send("k", {"n": 2})
    async with asyncio.timeout(20):
        while len(collector.got) < 2:
            clock.advance(5000)
            await asyncio.sleep(0.02)
    assert [event.payload["n"] for event in collector.got] == [1, 2]


async def test_bindings_that_are_not_wanted_any_more_are_taken_back(bus, foreign, hearing):
    """When a subscription's bindings change, messages of the old ones come no longer, and those of the new ones do."""
    name, send = foreign
    heard, collector, sub = await hearing(), Collector(), f"hooks/{next(_numbers)}"
    subscription = await bus.subscribe(sub, [events.Binding(name, "old.#")], collector.handle)
    await ready(heard, sub)
    await bus.unsubscribe(subscription)
    await bus.subscribe(sub, [events.Binding(name, "new.#")], collector.handle)
    await ready(heard, sub)
    send("old.x", {"n": 1})
    send("new.x", {"n": 2})
    await eventually(lambda: collector.got)
    await asyncio.sleep(0.2)
    assert [event.payload["n"] for event in collector.got] == [2]


async def test_a_subscription_is_bound_anew_while_it_runs(bus, broker, database, exchange, foreign, hearing):
    """A running subscription's bindings to others change without a message lost; without any left its queue goes, and comes back with the next."""
    name, send = foreign
    heard, collector, sub = await hearing(), Collector(), f"hooks/{next(_numbers)}"
    own = events.Binding(exchange.address)
    subscription = await bus.subscribe(sub, [own], collector.handle)
    assert not queue_exists(broker, sub)
    for turn, pattern in enumerate(("a.#", "b.#")):
        await bus.rebind(subscription, [own, events.Binding(name, pattern)])
        await eventually(lambda: sub in heard._queues and heard._consumes(heard._queues[sub]))
        for key in "ab":
            send(f"{key}.x", {"n": f"{key}{turn}"})
        await eventually(lambda: len(collector.got) == turn + 1)
    await asyncio.sleep(0.2)
    assert [event.payload["n"] for event in collector.got] == ["a0", "b1"]
    await bus.rebind(subscription, [own])
    async with asyncio.timeout(20):
        while await asyncio.to_thread(queue_exists, broker, sub):
            await asyncio.sleep(0.1)
    await tell(bus, database, exchange, 3)
    await eventually(lambda: len(collector.got) == 3)
    await bus.rebind(subscription, [events.Binding(name)])
    await eventually(lambda: sub in heard._queues and heard._consumes(heard._queues[sub]))
    send("c", {"n": 4})
    await eventually(lambda: len(collector.got) == 4)


async def test_an_exchange_that_comes_later_is_bound_then(bus, broker, hearing):
    """A binding to an exchange that is not there is told as a fault, and made as soon as there is one; other bindings work meanwhile."""
    name, sub = f"exchange/other-system/v1/late-{next(_numbers)}", f"hooks/{next(_numbers)}"
    heard, collector = await hearing(), Collector()
    await bus.subscribe(sub, [events.Binding(name)], collector.handle)
    await eventually(heard.faults)
    assert name in heard.faults()[0]
    with broker.channel() as channel:
        channel.exchange_declare(name, exchange_type="topic", durable=True)
        await ready(heard, sub)
        assert heard.faults() == []
        channel.basic_publish(name, "k", b'{"n":1}')
        await eventually(lambda: collector.got)
        channel.exchange_delete(name)


async def test_a_queue_that_somebody_deletes_is_made_anew(bus, broker, foreign, hearing):
    """A subscription survives that its queue is deleted on the broker."""
    name, send = foreign
    heard, collector, sub = await hearing(), Collector(), f"hooks/{next(_numbers)}"
    await bus.subscribe(sub, [events.Binding(name)], collector.handle)
    await ready(heard, sub)
    before = heard._queues[sub].tag
    with broker.channel() as channel:
        channel.queue_delete(f"queue/{rabbitmq_server.USER}/{sub}")
    await eventually(lambda: heard._queues[sub].tag != before and heard._consumes(heard._queues[sub]))
    send("k", {"n": 1})
    await eventually(lambda: collector.got)


async def test_a_subscription_that_is_given_up_leaves_no_queue(bus, broker, foreign, hearing):
    """Forgetting a subscription deletes its queue on the broker, also when that was away just then."""
    name, _ = foreign
    heard, sub, other = await hearing(), f"hooks/{next(_numbers)}", f"hooks/{next(_numbers)}"
    for each in (sub, other):
        subscription = await bus.subscribe(each, [events.Binding(name)], Collector().handle)
        await ready(heard, each)
        assert queue_exists(broker, each)
        if each == other:
            await heard.stop()
            await bus.reach(None)
        await bus.unsubscribe(subscription)
        await bus.forget(each)
        if each == other:
            assert queue_exists(broker, each)
            await hearing()
        async with asyncio.timeout(20):
            while await asyncio.to_thread(queue_exists, broker, each):
                await asyncio.sleep(0.1)


async def test_hearing_goes_on_over_a_restart_of_the_broker(bus, database, clock):
    """After the broker was away, messages of other systems come again, those from before its end included."""
    broker, name = rabbitmq_server.own(), "exchange/other-system/v1/thing"
    heard, collector = queues.Queues(database, Link(address.parse(broker.url), "test", first_pause=0.05), clock), Collector(failures=10**6)
    try:
        with broker.channel() as channel:
            channel.exchange_declare(name, exchange_type="topic", durable=True)
        await heard.start()
        await bus.reach(heard)
        await bus.subscribe("s", [events.Binding(name)], collector.handle)
        await ready(heard, "s")
        with broker.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(name, "k", b'{"n":1}', _properties({}))
        await eventually(lambda: collector.failures < 10**6)
        await asyncio.to_thread(broker.halt)
        await eventually(lambda: not heard.link.works and heard.faults())
        assert "do not arrive" in heard.faults()[0]
        collector.failures = 0
        await asyncio.to_thread(broker.resume)
        with broker.channel() as channel:
            channel.basic_publish(name, "k", b'{"n":2}')
        await eventually(lambda: {event.payload["n"] for event in collector.got} == {1, 2}, 40)
        assert heard.faults() == []
    finally:
        await heard.stop()
        broker.stop()


async def test_without_a_broker_bindings_to_others_say_that_they_have_no_effect(bus, database, exchange, caplog):
    """Without AMQP a binding to another system's exchange is told to have no effect, and the others work."""
    far, collector = events.Binding("exchange/other/v1/x"), Collector()
    with caplog.at_level(logging.WARNING, "tcbox"):
        await bus.subscribe("s", [far, events.Binding(exchange.address)], collector.handle)
        await eventually(lambda: "exchange/other/v1/x has no effect" in caplog.text)
    assert exchange.address not in caplog.text
    await tell(bus, database, exchange, 1)
    await eventually(lambda: collector.got)


@pytest.mark.parametrize(
    ("url", "user", "place"),
    [
        ("amqp://u:p@mq/v", "u", "amqp://mq:5672/v"),
        ("amqps://u%40x:p%2Fq@mq:1234/%2Fv%20w", "u@x", "amqps://mq:1234/v%20w"),
        ("amqp://mq", "guest", "amqp://mq:5672/"),
        ("amqp://mq/", "guest", "amqp://mq:5672/"),
        ("amqp://u:p@[::1]:5672/%2F?heartbeat=10", "u", "amqp://[::1]:5672/"),
    ],
)
def test_addresses(url, user, place):
    """A server's URL is taken apart: whose queues, and what may be shown."""
    found = address.parse(url)
    assert (found.user, found.place) == (user, place)
    assert found.queue("x/y") == f"queue/{user}/x/y"
    assert "p%2Fq" not in repr(found)


def test_a_silent_server_is_lost_within_seconds():
    """Unless the URL says otherwise, both sides take a connection for lost after some seconds of silence; the driver's own is two minutes."""
    assert address.parse("amqp://u:p@mq/v").url == "amqp://u:p@mq:5672/v?heartbeat=10"
    assert address.parse("amqps://u:p@mq/v?heartbeat=33&cafile=%2Fca.pem").url == "amqps://u:p@mq:5671/v?heartbeat=33&cafile=%2Fca.pem"
