"""`/events`: the newest messages for many who watch, and the stream of server-sent events over real HTTP."""

import asyncio
import contextlib
import json
import random
from urllib.parse import quote

import aiohttp
import pytest

from tcbox import clock as clocks
from tcbox import errors, events
from tcbox.api import streams
from tcbox.api.front import Front
from tcbox.client import sse
from tcbox.credentials import Failure, Success
from tcbox.credentials.identity import LazyScopes
from tcbox.events import hub as hubs
from tcbox.events.bus import migrations as event_migrations
from tcbox.scopes import ScopeSet
from tests.support import outbox
from tests.support.databases import database  # noqa: F401
from tests.support.waiting import eventually

migrations = [event_migrations]
exchanges = events.Exchanges("demo", title="Demo", description="For tests.")
KEYS = (events.Key("routingKeyKind", "Kind.", constant="primary"), events.Key("name", "Name.", required=True))
changed, removed = (
    exchanges.declare(name, name=name, title=name, description=name, schema=name, keys=KEYS) for name in ("changed", "removed")
)  # fmt: skip
ALL = [entry.address for entry in exchanges.entries.values()]


@pytest.fixture
async def bus(database, clock):
    made = events.Bus(database, clock)
    yield made
    await made.close()


async def tell(bus, database, *numbers, exchange=changed, name="a", routes=(), filling=""):
    async def change(tx):
        for number in numbers:
            await bus.publish(tx, exchange, {"n": number, **({"filling": filling} if filling else {})}, name=name, routes=routes)

    await database.transaction(change)


class Site:
    """The stream behind a front door. `scopes` are what a caller has; `known` turns false when signatures are wrong."""

    def __init__(self, bus, clock):
        self.scopes, self.scheme, self.valid, self.expires = ("web:read-pulse",), "none", True, 2**52
        self.hub = hubs.Hub(bus, hubs.encoded)
        self.streams = streams.Streams(bus, self.hub, self, clock, lambda: ALL)
        self.front = Front(clock)
        self.url = ""

    def authenticate(self, request):
        if not self.valid:
            return Failure("Bad mac: the signature does not fit")
        return Success(self.scheme, "tester", self.expires, LazyScopes(ScopeSet(self.scopes)))


@pytest.fixture
async def site(bus, clock):
    made = Site(bus, clock)
    made.front.mount(streams.PREFIX, made.streams.handle)
    made.url = f"http://127.0.0.1:{await made.front.listen('127.0.0.1', 0)}/events"
    yield made
    made.hub.end()
    await made.front.close(2)


class Client:
    """Reads one stream."""

    def __init__(self, reply):
        self.reply, self.reader, self.got = reply, sse.Reader(), []
        self.raw = b""

    async def more(self):
        chunk = await self.reply.content.readany()
        self.raw += chunk
        self.got += self.reader.feed(chunk)
        return bool(chunk)

    async def until(self, ready, seconds=20):
        async with asyncio.timeout(seconds):
            while not ready(self):
                if not await self.more():
                    raise AssertionError(f"the stream ended with {self.got}")

    async def end(self, seconds=20):
        async with asyncio.timeout(seconds):
            while await self.more():
                pass

    @property
    def numbers(self):
        return [json.loads(event.data)["payload"]["n"] for event in self.got if event.kind == "message"]


@contextlib.asynccontextmanager
async def reading(site, query="", **headers):
    async with aiohttp.ClientSession() as session, session.get(f"{site.url}{query}", headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        client = Client(reply)
        await client.until(lambda client: any(event.kind == "ready" for event in client.got))
        yield client


async def refusal(site, query="", method="GET", **headers):
    async with aiohttp.ClientSession() as session, session.request(method, f"{site.url}{query}", headers=headers) as reply:
        return reply.status, await reply.json(), reply.headers


async def test_who_asks_before_all_is_there_waits(site):
    """A browser that asks while an instance starts is not told that there is no stream, after which it would not ask again."""
    site.front.unmount(streams.PREFIX)
    site.front.complete.clear()
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.get(f"{site.url}?binding={changed.address}"))
        assert not (await asyncio.wait({asking}, timeout=0.5))[0]
        site.front.mount(streams.PREFIX, site.streams.handle)
        site.front.complete.set()
        async with await asking as reply:
            assert reply.status == 200


async def test_what_is_bound_comes_as_it_happens(site, bus, database):
    """A stream brings, from now on and in order, what one of its bindings takes, whole and to the letter."""
    await tell(bus, database, 0)
    async with reading(site, f"?binding={changed.address}:primary.a&binding={removed.address}:route.%23") as client:
        await tell(bus, database, 1, 2)
        await tell(bus, database, 3, name="b")
        await tell(bus, database, 4, exchange=removed)
        await tell(bus, database, 2**70, exchange=removed, routes=["x.y"])
        await client.until(lambda client: len(client.numbers) == 3)
        assert client.numbers == [1, 2, 2**70]
        last = json.loads(client.got[-1].data)
        assert list(last) == ["id", "exchange", "routingKey", "cc", "time", "payload"]
        assert (last["exchange"], last["routingKey"], last["cc"], last["id"]) == (removed.address, "primary.a", ["route.x.y"], client.reader.last_id)
        assert client.reply.headers["Content-Type"].startswith("text/event-stream") and client.reply.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "query",
    ["", "?binding=*", "?binding=exchange/taskcluster-demo/v1/*:primary.%23", "?bindings=" + quote(json.dumps({"bindings": [{"exchange": each, "routingKeyPattern": "#"} for each in ALL]})),
     "?bindings=" + quote(json.dumps([{"exchange": each} for each in ALL]))],
)  # fmt: skip
async def test_all_ways_to_ask_for_everything(site, bus, database, query):
    """Without bindings, with wild cards, and with bindings as JSON everything comes."""
    async with reading(site, query) as client:
        await tell(bus, database, 1)
        await tell(bus, database, 2, exchange=removed)
        await client.until(lambda client: client.numbers == [1, 2])


async def test_a_stream_goes_on_from_an_id(site, bus, database):
    """A client that comes back gets what it has missed, by the query and, stronger, by the header; 0 is all that is kept."""
    await tell(bus, database, *range(30))
    ids = [event.id for event in await outbox.read(bus)]
    asked = ((0, "?since=0", {}, 0), (1, f"?since={ids[9]}", {}, 10), (2, f"?since={ids[3]}", {"Last-Event-ID": str(ids[19])}, 20))
    for turn, query, headers, first in asked:
        async with reading(site, query, **headers) as client:
            await client.until(lambda client: len(client.numbers) == 30 + turn - first)
            await tell(bus, database, 30 + turn)
            await client.until(lambda client: client.numbers == list(range(first, 31 + turn)))


async def test_what_is_gone_is_told(site, bus, database, clock):
    """An id whose successors were removed, and one from another database, are refused with the oldest; in a stream that is resumed an event says so, and all that is kept follows."""
    await tell(bus, database, *range(10))
    ids = [event.id for event in await outbox.read(bus)]
    clock.advance(2 * clocks.HOUR)
    await bus.expire()
    await tell(bus, database, 10, 11)
    kept = [event.id for event in await outbox.read(bus)]
    for given in (ids[0], ids[8], kept[-1] + 1000):
        status, body, _ = await refusal(site, f"?since={given}")
        assert (status, body["code"], body["oldest"], body["since"]) == (410, "ResourceExpired", str(kept[0]), str(ids[-1])), given
        assert str(kept[0]) in body["message"]
        async with reading(site, **{"Last-Event-ID": str(given)}) as client:
            await client.until(lambda client: len(client.numbers) == 2)
            assert client.got[0].kind == "gap" and json.loads(client.got[0].data)["oldest"] == str(kept[0])
            assert client.numbers == [10, 11]
    for given in (ids[-1], 0):
        async with reading(site, f"?since={given}") as client:
            await client.until(lambda client: client.numbers == [10, 11])
            assert "gap" not in [event.kind for event in client.got]
    async with reading(site, **{"Last-Event-ID": "nonsense"}) as client:
        assert client.got[0].kind == "gap"


async def test_who_may_read(site, bus, clock):
    """The scope web:read-pulse is needed, and a signature that does not fit is refused."""
    site.scopes = ("queue:*",)
    status, body, headers = await refusal(site)
    assert (status, body["code"]) == (403, "InsufficientScopes") and "web:read-pulse" in body["message"]
    assert headers["Access-Control-Allow-Origin"] == "*"
    site.valid = False
    assert (await refusal(site))[0] == 401


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("?binding=exchange/taskcluster-demo/v1/nothing", 404, "exchange/taskcluster-demo/v1/changed"),
        ("?binding=exchange/other/*", 404, "exchange/other/*"),
        ("?bindings={", 400, "routingKeyPattern"),
        ('?bindings=[{"exchange":1}]', 400, "routingKeyPattern"),
        ("?bindings=[1]", 400, "routingKeyPattern"),
        ("?since=-1", 400, "since=-1"),
        ("?since=99999999999999999999999", 400, "no id"),
        ("?pattern=x", 400, "There is no parameter pattern"),
        (f"?binding={changed.address}:{'x' * 256}", 400, "255"),
        ("?" + "&".join([f"binding={changed.address}:{n}" for n in range(101)]), 400, "at most 100"),
        ("x", 404, "/eventsx"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked(site, query, status, said):
    """What cannot be is refused with what to do."""
    found, body, _ = await refusal(site, query)
    assert found == status and said in body["message"]


async def test_other_methods(site):
    """A browser may ask beforehand; HEAD tells the kind; nothing can be sent."""
    async with aiohttp.ClientSession() as session:
        async with session.options(site.url) as reply:
            assert reply.status == 204 and "Last-Event-ID" in reply.headers["Access-Control-Allow-Headers"]
        async with session.head(site.url) as reply:
            assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/event-stream")
        async with session.post(site.url) as reply:
            assert reply.status == 405
    assert site.streams.open == 0


async def test_a_quiet_stream_lives_and_moves_on(site, bus, database, monkeypatch):
    """When nothing of its own comes, comments show that a stream lives, and its client's id moves on all the same."""
    monkeypatch.setattr(streams, "HEARTBEAT", 0.1)
    async with reading(site, f"?binding={removed.address}") as client:
        before = client.reader.last_id
        await tell(bus, database, 1, 2)
        newest = str(await outbox.newest(bus))
        await client.until(lambda client: client.reader.last_id == newest)
        assert b": heartbeat\n" in client.raw and client.numbers == [] and newest != before


async def test_a_stream_ends_with_the_right_to_it(site, clock, monkeypatch):
    """A stream ends when the anonymous role loses the scope, or when the credentials that it was opened with end, or after an hour."""
    monkeypatch.setattr(streams, "HEARTBEAT", 0.1)
    async with reading(site) as client:
        site.scopes = ()
        await client.end()
    site.scopes, site.scheme, site.expires = ("web:read-pulse",), "hawk", clock.now() + clocks.MINUTE
    async with reading(site) as client:
        clock.advance(2 * clocks.MINUTE)
        await client.end()
    site.expires = 2**52
    async with reading(site) as client:
        clock.advance(clocks.MINUTE)
        await client.until(lambda client: client.raw.count(b": heartbeat") > 3)
        clock.advance(clocks.HOUR)
        await client.end()


async def test_streams_end_when_the_instance_does(site, bus, database):
    """Open streams end at once when the instance drains."""
    async with reading(site) as one, reading(site) as other:
        site.hub.end()
        await one.end()
        await other.end()


async def test_who_does_not_read_is_cut_off(site, bus, database, monkeypatch):
    """A client that takes nothing is cut off, while what is kept for it stays small, and others get everything."""
    monkeypatch.setattr(streams, "SLOW", 3.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.split(":")[2].split("/")[0]), limit=1024)
    writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()
    writer.transport.pause_reading()
    async with reading(site) as client:
        for start in range(0, 200, 20):
            await tell(bus, database, *range(start, start + 20), filling="x" * 50_000)
            await client.until(lambda client, start=start: len(client.got) > start + 20)  # the first says that the stream is ready
        await eventually(lambda: site.streams.cut)
        assert client.numbers == list(range(200))
    assert site.streams.cut == 1 and site.hub._bytes <= hubs.KEPT_BYTES
    writer.close()


async def test_a_thousand_watchers_cost_one_reading(bus, database):
    """A thousand who keep up share each reading of the outbox."""
    hub = hubs.Hub(bus, hubs.encoded)
    feeds = [await hub.open([events.Binding(changed.address, f"primary.{'ab'[n % 2]}")]) for n in range(1000)]
    stats = database.stats

    def reads():
        return sum(stat.calls for name, stat in stats.items() if name == "events.events_after")

    before = reads()

    async def watch(feed):
        got = b""
        while got.count(b"\n\n") < 25:
            got += await feed.read(10)
        return got

    watching = [asyncio.create_task(watch(feed)) for feed in feeds]
    for n in range(50):
        await tell(bus, database, n, name="ab"[n % 2])
    results = await asyncio.wait_for(asyncio.gather(*watching), 30)
    assert reads() - before < 150
    assert len(set(results)) == 2
    for feed in feeds:
        feed.close()
    assert hub._task is None and not hub._groups and not hub._ring


async def test_whoever_reads_however_slowly_gets_everything_once(bus, database, monkeypatch):
    """Feeds that begin anywhere, read at any pace and are passed by what is kept in memory get exactly what they are bound to, in order."""
    monkeypatch.setattr(hubs, "KEPT", 7)
    monkeypatch.setattr(hubs, "PART", 300)
    hub, chance = hubs.Hub(bus, hubs.encoded), random.Random(5)
    await tell(bus, database, *range(20))
    choices = [
        [events.Binding(changed.address)],
        [events.Binding(changed.address, "*.a")],
        [events.Binding(changed.address, "#.b"), events.Binding(removed.address)],
    ]

    async def watch(bindings, after, pace):
        feed = await hub.open(bindings, after)
        begun, got = feed.position, []
        while True:
            chunk = await feed.read(0.05)
            got += [int(line[4:]) for line in (chunk or b"").decode().split("\n") if line.startswith("id: ")]
            if stopping and not chunk and feed.position >= newest:
                break
            await asyncio.sleep(pace * chance.random())
        feed.close()
        return begun, bindings, got

    stopping, newest = False, 0
    ids = [event.id for event in await outbox.read(bus)]
    watching = [asyncio.create_task(watch(chance.choice(choices), chance.choice([None, 0, *ids]), chance.choice([0, 0.01, 0.1]))) for _ in range(30)]
    await asyncio.sleep(0.05)
    for n in range(150):
        await tell(bus, database, n, exchange=chance.choice([changed, removed]), name=chance.choice("ab"))
    await asyncio.sleep(0.3)
    newest = await outbox.newest(bus)
    stopping = True
    every = await outbox.read(bus)
    for begun, bindings, got in await asyncio.wait_for(asyncio.gather(*watching), 30):
        expected = [event.id for event in every if event.id > begun and any(b.takes(event.exchange, [event.routing_key]) for b in bindings)]
        assert got == expected


def test_payloads_with_line_breaks_stay_whole():
    """A payload whose JSON text has line breaks comes as several lines of data, and reads as the same."""
    row = {"id": 7, "exchange": "e", "routing_key": "k", "cc": '["r"]', "payload": '{\n  "a": 1.0,\r\n  "b": "\\n"\n}', "created": 0}
    (event,) = sse.Reader().feed(hubs.encoded(row))
    assert json.loads(event.data)["payload"] == {"a": 1.0, "b": "\n"}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_streams_are_read_however_they_are_cut(size):
    """Bytes may come in pieces of any size; comments are passed over, ids alone move the id on, fields keep their colons."""
    text = ": hi\n\nid: 1\ndata: a:b\ndata:c\n\nevent: gap\r\ndata: {}\r\n\r\nid: 2\n\ndata: é\n\ndata: half".encode()
    reader = sse.Reader()
    got = [event for start in range(0, len(text), size) for event in reader.feed(text[start : start + size])]
    assert got == [("message", "a:b\nc"), ("gap", "{}"), ("message", "é")] and reader.last_id == "2"


def test_patterns_of_strangers_take_no_time():
    """A pattern made to be slow is not."""
    import time

    from tcbox.events import topics

    began = time.thread_time()
    for pattern in ("#." * 120 + "x", ".".join(["#", "*"] * 60) + ".x", "#.a." * 60 + "x"):
        assert not topics.matches(pattern[:255], "a." * 120 + "b")
    assert time.thread_time() - began < 4


def test_foreign_words():
    """Which errors the stream knows is part of the published table."""
    assert issubclass(streams.Gap, errors.ApiError) and streams.Gap.status == 410
