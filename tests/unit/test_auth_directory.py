"""Clients and roles in memory, kept up with the database and with other processes on it, on both engines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import credentials, db, errors, scopes
from tcbox.credentials import Failure, Success
from tcbox.credentials.sealed import Sealer
from tcbox.services.auth import static
from tcbox.services.auth.directory import Directory
from tcbox.services.auth.static import StaticClient
from tests.support import auth as support
from tests.support import databases
from tests.support.auth import ROOT, SEALER, Auth, refused
from tests.support.databases import database  # noqa: F401
from tests.support.waiting import eventually

migrations = support.MIGRATIONS
SOON = "2035-01-01T00:00:00.000Z"


@pytest_asyncio.fixture
async def pair(database: db.Database, clock: clocks.VirtualClock) -> AsyncIterator[tuple[Auth, Auth]]:  # noqa: F811
    """Two processes' worth of the service on one database, which look for the other's changes only when a test says so."""
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(support.running(database, clock)) for _ in range(2)]
        for auth in (one, two):
            auth.service._hear = lambda: None  # type: ignore[method-assign]
            if auth.service._hearing is not None:
                await auth.service._hearing
        yield one, two


def signed(client_id: str, token: str) -> credentials.SignedRequest:
    header = credentials.sign_header(client_id, token, method="get", url="http://h:80/x", now_ms=int(time.time() * 1000))
    return credentials.SignedRequest("get", "/x", "h", 80, header)


async def test_what_one_process_changes_counts_in_the_others(pair: tuple[Auth, Auth]) -> None:
    """Clients made, disabled, rotated and deleted, and roles changed elsewhere, count after one refresh."""
    one, two = pair
    made = await one.root.createClient("a", {"description": "", "expires": SOON, "scopes": ["assume:r"]})
    ask = signed("a", made["accessToken"])
    known = two.service.directory
    assert isinstance(known.authenticate(ask), Failure)
    await known.refresh()
    assert isinstance(known.authenticate(ask), Success)
    await one.root.createRole("r", {"description": "", "scopes": ["deep"]})
    await known.refresh()
    found = known.authenticate(ask)
    assert isinstance(found, Success)
    assert found.scopes.satisfied("deep")
    for change, accepted in (("disableClient", False), ("enableClient", True), ("resetAccessToken", False)):
        await getattr(one.root, change)("a")
        await known.refresh()
        assert isinstance(known.authenticate(ask), Success) == accepted
    await one.root.deleteClient("a")
    await one.root.deleteRole("r")
    await known.refresh()
    assert isinstance(known.authenticate(ask), Failure)
    assert list(known.expand(["assume:r"])) == ["assume:r"]


async def test_what_one_process_changes_is_heard_in_the_others(tmp_path: Path, clock: clocks.VirtualClock) -> None:
    """A process that nobody asks takes over at once what another one changes, long before its loop would look."""
    async with databases.two(migrations, clock, tmp_path) as (here, there), support.running(here, clock) as one, support.running(there, clock) as two:
        await databases.listening(there)
        await one.root.createRole("r", {"description": "", "scopes": ["deep"]})
        known = two.service.directory
        await eventually(lambda: list(known.expand(["assume:r"])) == ["assume:r", "deep"])


async def test_roles_are_checked_against_those_that_others_have_made(pair: tuple[Auth, Auth]) -> None:
    """A circle that two processes would close together is refused, though neither has seen the other's role yet."""
    one, two = pair
    await one.root.createRole("x", {"description": "", "scopes": ["assume:y"]})
    await refused(two.root.createRole("y", {"description": "", "scopes": ["assume:x"]}), 400, "InputError")
    await two.root.createRole("y", {"description": "", "scopes": ["plain"]})
    await asyncio.gather(*(auth.root.createRole(f"r{n}", {"description": "", "scopes": ["s"]}) for n, auth in enumerate([one, two] * 4)))
    assert len((await one.root.listRoleIds())["roleIds"]) == 10


async def test_a_change_during_a_look_is_not_passed_over(pair: tuple[Auth, Auth]) -> None:
    """A role that another process changes while this one reads what changed is known after the next look."""
    one, two = pair
    await one.root.createRole("a", {"description": "", "scopes": ["first"]})
    known = two.service.directory
    read = known._db.all

    async def meanwhile(*args: Any, **named: Any) -> Any:
        known._db.all = read  # type: ignore[method-assign]
        await one.root.createRole("b", {"description": "", "scopes": ["second"]})
        return await read(*args, **named)

    known._db.all = meanwhile  # type: ignore[method-assign]
    await known.refresh()
    await known.refresh()
    assert list(known.expand(["assume:a", "assume:b"])) == ["assume:a", "assume:b", "first", "second"]
    await two.root.createRole("c", {"description": "", "scopes": []})


async def test_a_process_that_was_away_for_long_loads_all_anew(pair: tuple[Auth, Auth]) -> None:
    """When the list of changes no longer reaches back far enough, everything is loaded again, removals included."""
    one, two = pair
    made = {name: await one.root.createClient(name, {"description": "", "expires": SOON}) for name in ("a", "b")}
    await two.service.directory.refresh()
    await one.root.deleteClient("a")
    await one.root.createRole("r", {"description": "", "scopes": ["deep"]})
    one.clock.advance(2 * clocks.HOUR)
    await one.service.clients.forget_changes()
    await one.root.disableClient("b")
    known = two.service.directory
    await known.refresh()
    for name in ("a", "b"):
        assert isinstance(known.authenticate(signed(name, made[name]["accessToken"])), Failure)
    assert list(known.expand(["assume:r"])) == ["assume:r", "deep"]


async def test_what_was_changed_before_a_request_came_counts_for_it(pair: tuple[Auth, Auth]) -> None:
    """A process that is asked who signed a request knows what another one has just changed: a client made, disabled or given a new token."""
    one, two = pair
    known = two.service.directory
    if not known._db.shared:
        pytest.skip("a database of one process knows of no others")
    made = await one.root.createClient("a", {"description": "", "expires": SOON})
    ask = signed("a", made["accessToken"])
    payload = {"method": ask.method, "resource": ask.resource, "host": ask.host, "port": ask.port, "authorization": ask.authorization}
    assert (await two.root.authenticateHawk(payload))["status"] == "auth-success"
    for change, accepted in (("disableClient", False), ("enableClient", True), ("resetAccessToken", False)):
        await getattr(one.root, change)("a")
        found = await asyncio.gather(*(known.authenticate_anew(ask) for _ in range(20)))
        assert {isinstance(each, Success) for each in found} == {accepted}, change


async def test_looks_are_shared(pair: tuple[Auth, Auth]) -> None:
    """Requests that come while the database is asked for changes are answered by one more question, and by none that began before them."""
    known = pair[1].service.directory
    if not known._db.shared:
        pytest.skip("a database of one process knows of no others")
    looks, began, going_on = 0, asyncio.Event(), asyncio.Event()

    async def look() -> None:
        nonlocal looks
        looks += 1
        began.set()
        await going_on.wait()

    known.refresh = look  # type: ignore[method-assign]
    ask = signed("nobody", "x")
    first = asyncio.create_task(known.authenticate_anew(ask))
    await began.wait()
    later = [asyncio.create_task(known.authenticate_anew(ask)) for _ in range(50)]
    await asyncio.sleep(0.02)
    assert looks == 1
    going_on.set()
    await asyncio.gather(first, *later)
    assert looks == 2


async def test_a_process_that_does_not_reach_the_database_vouches_for_nobody(pair: tuple[Auth, Auth]) -> None:
    """One that is cut off says so, for a client may be disabled or new meanwhile."""
    one, two = pair
    known = two.service.directory
    if not known._db.shared:
        pytest.skip("a database of one process knows of no others")
    made = await one.root.createClient("a", {"description": "", "expires": SOON})
    await known.refresh()

    async def gone(*_args: Any, **_named: Any) -> Any:
        raise errors.Unavailable("cut off")

    known._db.point = gone  # type: ignore[method-assign]
    with pytest.raises(errors.Unavailable):
        await known.authenticate_anew(signed("a", made["accessToken"]))


async def test_everything_is_there_after_a_restart(pair: tuple[Auth, Auth], database: db.Database, clock: clocks.VirtualClock) -> None:  # noqa: F811
    """A new directory on the same database, with the same key, knows all clients and roles."""
    one, _ = pair
    made = await one.root.createClient("a", {"description": "", "expires": SOON, "scopes": ["assume:r"]})
    await one.root.createRole("r", {"description": "", "scopes": ["deep"]})
    again = Directory(database, SEALER, clock, static_clients=[ROOT])
    await again.load()
    found = again.authenticate(signed("a", made["accessToken"]))
    assert isinstance(found, Success)
    assert found.scopes.satisfied("deep")
    other_key = Directory(database, Sealer(b"\1" * 32), clock, static_clients=[ROOT])
    await other_key.load()
    assert isinstance(other_key.authenticate(signed("a", made["accessToken"])), Failure)
    assert isinstance(other_key.authenticate(signed(ROOT.client_id, ROOT.access_token)), Success)


async def test_static_clients_follow_the_configuration(database: db.Database, clock: clocks.VirtualClock) -> None:  # noqa: F811
    """At each start static clients are added, changed and removed as configured; an unchanged one is left alone."""
    bot = StaticClient("static/ci/bot", "b" * 22, ("x",), "a bot")
    async with support.running(database, clock, static_clients=[ROOT, bot]) as auth:
        first = await auth.root.client("static/ci/bot")
    clock.advance(1000)
    async with support.running(database, clock, static_clients=[ROOT, bot]) as auth:
        assert await auth.root.client("static/ci/bot") == first
    other = StaticClient("static/ci/bot", "c" * 22, ("y",), "a bot")
    async with support.running(database, clock, static_clients=[ROOT, other]) as auth:
        changed = await auth.root.client("static/ci/bot")
        assert changed["scopes"] == ["y"]
        assert changed["lastRotated"] > first["lastRotated"]
        assert changed["created"] == first["created"]
        assert isinstance(auth.service.directory.authenticate(signed("static/ci/bot", "b" * 22)), Failure)
        assert isinstance(auth.service.directory.authenticate(signed("static/ci/bot", "c" * 22)), Success)
    async with support.running(database, clock, static_clients=[ROOT]) as auth:
        await refused(auth.root.client("static/ci/bot"), 404, "ResourceNotFound")
        assert isinstance(auth.service.directory.authenticate(signed("static/ci/bot", "c" * 22)), Failure)


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (StaticClient("ci/bot", "b" * 22, (), ""), "static/ci/bot"),
        (StaticClient("static/ci bot", "b" * 22, (), ""), "other characters"),
        (StaticClient("static/ci", "b" * 21, (), ""), "22 to 66"),
        (StaticClient("static/ci", "b" * 67, (), ""), "22 to 66"),
        (StaticClient("static/ci", "b" * 22, ("ä",), ""), "printable ASCII"),
        (ROOT, "twice"),
    ],
)
def test_a_wrong_static_client_is_refused_with_its_name(client: StaticClient, said: str) -> None:
    """What is wrong with a static client of the configuration is said with its id, before anything starts."""
    with pytest.raises(static.StaticClientError) as refusal:
        static.checked([ROOT, client])
    assert said in str(refusal.value)
    assert client.client_id in str(refusal.value)


async def test_changes_that_come_in_another_order_end_the_same(database: db.Database, clock: clocks.VirtualClock) -> None:  # noqa: F811
    """An older version of a client that arrives late does not undo a newer one."""
    async with support.running(database, clock) as auth:
        await auth.root.createClient("a", {"description": "", "expires": SOON})
        before = await auth.service.clients.get("a")
        made = await auth.root.resetAccessToken("a")
        known = auth.service.directory
        known.client_changed(1, "a", before)
        assert isinstance(known.authenticate(signed("a", made["accessToken"])), Success)
        await auth.root.deleteClient("a")
        known.client_changed(2, "a", before)
        assert isinstance(known.authenticate(signed("a", made["accessToken"])), Failure)


async def test_a_thousand_roles_are_expanded_without_asking_the_database(database: db.Database, clock: clocks.VirtualClock) -> None:  # noqa: F811
    """With 1,000 roles of 16 scopes, authenticating and expanding take no query, and one change of a role takes few."""
    async with support.running(database, clock) as auth:
        many = {f"group-{n}": [f"scope:{n}:{m}" for m in range(15)] + [f"assume:group-{n + 1}"] * (n % 10 != 9) for n in range(1000)}
        known = auth.service.directory
        known.role_changed(known.roles_version + 1, scopes.Roles(many))
        before = sum(stat.calls for stat in database.stats.values())
        for n in range(0, 1000, 10):
            assert len(known.expand([f"assume:group-{n}"])) == 160
        for _ in range(100):
            assert isinstance(known.authenticate(signed(ROOT.client_id, ROOT.access_token)), Success)
        assert sum(stat.calls for stat in database.stats.values()) == before
