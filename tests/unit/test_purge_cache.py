"""The purge-cache service: requests are seen at once by those who may see them, and for a day."""

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox.services.purge_cache import times
from tcbox.services.purge_cache.service import Service
from tcbox.services.purge_cache.store import migrations as own
from tests.support.databases import database  # noqa: F401
from tests.support.service import Caller

migrations = [own]
POOL = "prov/pool"


@pytest.fixture
def service(database, clock):
    return Service(database=database, clock=clock)


@pytest.fixture
def call(service, clock):
    return Caller(service, clock)


async def purge(call, name="c", pool=POOL):
    assert (await call("purgeCache", pool, payload={"cacheName": name})).status == 204


async def requests(call, pool=POOL, **query):
    """The requests for a pool, as name and time."""
    found = (await call("purgeRequests", pool, **query)).body["requests"]
    assert {(each["provisionerId"], each["workerType"]) for each in found} <= {tuple(pool.split("/"))}
    return [(each["cacheName"], each["before"]) for each in found]


async def test_a_request_is_seen_at_once(call, clock):
    """What `purgeCache` requests, the very next call shows, with its time, to its own pool alone."""
    assert await requests(call) == []
    now = clock.now()
    await purge(call)
    ((name, before),) = await requests(call)
    assert name == "c"
    assert 0 <= clocks.from_wire(before) - now < 5000
    assert await requests(call, "prov/other") == []
    await purge(call, "b")
    assert [name for name, _ in await requests(call)] == ["b", "c"]


async def test_a_request_that_is_repeated_gets_a_later_time(call, clock):
    """A second request for the same cache takes the place of the first, and has a later time, also within a millisecond."""
    await purge(call)
    ((_, first),) = await requests(call)
    await asyncio.gather(*(purge(call) for _ in range(5)))
    ((_, second),) = await requests(call)
    assert second > first
    clock.advance(clocks.HOUR)
    await purge(call)
    ((_, third),) = await requests(call)
    assert clocks.from_wire(third) - clocks.from_wire(second) >= clocks.HOUR - 5000


async def test_since(call, clock):
    """With `since` come the requests of that time and later ones."""
    await purge(call, "old")
    clock.advance(clocks.HOUR)
    await purge(call, "new")
    times = dict(await requests(call))
    assert [name for name, _ in await requests(call, since=times["old"])] == ["new", "old"]
    assert [name for name, _ in await requests(call, since=times["new"])] == ["new"]
    assert await requests(call, since=clocks.to_wire(clock.now() + 5000)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T13:00:00.5+01:00", "2026-01-31T12:00:00.500Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("Sat, 31 Jan 2026 12:00:00 GMT", "2026-01-31T12:00:00.000Z"),
        ("Sat Jan 31 2026 13:00:00 GMT+0100 (Central European Standard Time)", "2026-01-31T12:00:00.000Z"),
    ],
)
def test_times_in_a_query(text, expected):
    """Times may be written as the API does, as a date, as in e-mails, and as JavaScript shows them."""
    assert clocks.to_wire(times.moment(text)) == expected


@pytest.mark.parametrize("text", ["soon", "", "-1", "2026-13-01", "9" * 400, "(", "2026-01-31T12:00:00.000Z "])
async def test_what_is_no_time(call, text):
    """A `since` that is no time is refused with the form that it should have, unless its meaning is beyond doubt."""
    reply = await call("purgeRequests", POOL, since=text)
    if text.endswith(" "):
        assert reply.status == 200
    else:
        assert (reply.status, reply.code) == (400, "InvalidRequestArguments")
        assert "since" in reply.message


async def test_a_request_lasts_for_a_day(call, clock, service, database):
    """After a day a request is not shown any more, and the sweep forgets it alone."""
    await purge(call, "old")
    clock.advance(23 * clocks.HOUR)
    await purge(call, "new")
    assert [name for name, _ in await requests(call)] == ["new", "old"]
    clock.advance(2 * clocks.HOUR)
    assert [name for name, _ in await requests(call)] == ["new"]
    assert [each["cacheName"] for each in (await call("allPurgeRequests")).body["requests"]] == ["new"]
    assert await service.store.expire() == 1
    assert [name for name, _ in await requests(call)] == ["new"]
    await purge(call, "old")
    assert [name for name, _ in await requests(call)] == ["new", "old"]


async def test_all_requests_in_pages(call):
    """All requests come in the order of pools and names, in pages whose tokens lead on."""
    made = sorted((f"p{pool}/w", f"c{name}") for pool in range(3) for name in range(3))
    for pool, name in reversed(made):
        await purge(call, name, pool)
    found, token = [], {}
    while True:
        page = (await call("allPurgeRequests", limit="2", **token)).body
        assert len(page["requests"]) <= 2
        found += [(f"{each['provisionerId']}/{each['workerType']}", each["cacheName"]) for each in page["requests"]]
        if "continuationToken" not in page:
            break
        token = {"continuationToken": page["continuationToken"]}
    assert found == made
    assert (await call("allPurgeRequests", continuationToken="W10")).code == "InputError"


async def test_a_pool_with_very_many_requests(call, service):
    """A worker gets all requests of its pool in one reply, however many there are, an empty name included."""
    names = ["", "a", *(f"cache-{number:04}" for number in range(1998)), "z"]
    for start in range(0, len(names), 200):
        await asyncio.gather(*(service.store.request(POOL, name) for name in names[start : start + 200]))
    assert [name for name, _ in await requests(call)] == names


@pytest.mark.parametrize(
    ("scope", "method", "args", "payload"),
    [
        ("purge-cache:prov/pool:c", "purgeCache", (POOL,), {"cacheName": "c"}),
        ("purge-cache:prov/pool:*", "purgeCache", (POOL,), {"cacheName": "c"}),
        ("purge-cache:purge-requests::prov/pool", "purgeRequests", (POOL,), None),
        ("purge-cache:all-purge-requests", "allPurgeRequests", (), None),
    ],
)
async def test_scopes(call, scope, method, args, payload):
    """Each method needs its own scope: purging needs it for just this pool and cache."""
    for scopes, allowed in (((scope,), True), ((), False), ((scope.rstrip("*") + "x",), False)):
        call.scopes = scopes
        assert ((await call(method, *args, payload=payload)).status < 400) == allowed


@pytest.mark.parametrize("pool", ["prov", "prov/", "/pool", "a/b/c", "a b/c", "x" * 39 + "/y"])
async def test_what_is_no_worker_pool(call, pool):
    """A worker pool's id that is none is refused."""
    refused = await call("purgeRequests", pool)
    assert (refused.status, refused.code) == (400, "InvalidRequestArguments")


async def test_a_pool_with_its_slash_as_it_is(call):
    """The slash in a pool's id may be written as it is, and a pool named `list` is no list of all."""
    assert (await call.request("POST", "/purge-cache/prov/pool", {"cacheName": "c"})).status == 204
    assert len((await call.request("GET", "/purge-cache/prov/pool")).body["requests"]) == 1
    assert (await call.request("GET", "/purge-cache/list/pool")).body == {"requests": []}


@pytest.mark.parametrize("name", ["a\0b", "x" * 1001, "é" * 501])
async def test_what_is_no_cache_name(call, name):
    """A name that no cache can have is refused in words."""
    refused = await call("purgeCache", POOL, payload={"cacheName": name})
    assert (refused.status, refused.code) == (400, "InputError")
    assert (await call("purgeCache", POOL, payload={})).code == "InputValidationError"
