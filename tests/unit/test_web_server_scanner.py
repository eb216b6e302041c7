"""Clients that people made: those whose owner no longer has their scopes are turned off, and no others."""

import asyncio

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox.credentials import Credentials
from tcbox.services.web_server import identities
from tcbox.services.web_server.service import Service
from tests.support.databases import database  # noqa: F401
from tests.support.web_server import MIGRATIONS, OWN, SEALER, running

migrations = MIGRATIONS
ME = "github/42|octo-cat"


@pytest_asyncio.fixture
async def web(database, clock):
    async with running(database, clock) as made:
        me = made.github.add(42, "octo-cat", ["acme/devs"])
        await made.by_github()
        made.me = me
        for team, scope in (("devs", "queue:dev"), ("ops", "queue:ops:*")):
            await made.root.call("auth", "createRole", f"github-team:acme/{team}", payload={"description": "", "scopes": [scope]})
        yield made


async def add(web, client_id, *scopes):
    payload = {"description": "", "expires": "2999-01-01T00:00:00.000Z", "scopes": list(scopes)}
    await web.root.call("auth", "createClient", client_id, payload=payload)


async def on(web, client_id):
    return not (await web.root.call("auth", "client", client_id))["disabled"]


async def test_clients_with_their_owner_s_scopes_stay_on(web):
    """A client that has what its owner has, by roles or directly, with what everybody may, or with nothing, stays on."""
    await add(web, f"{ME}/a", "queue:dev")
    await add(web, f"{ME}/b", "assume:github-team:acme/devs", f"auth:create-client:{ME}/*")
    await add(web, f"{ME}/c", "queue:get-task:*")
    await add(web, f"{ME}/d")
    await web.service.scanner.scan()
    assert [await on(web, f"{ME}/{name}") for name in "abcd"] == [True] * 4


async def test_clients_with_more_are_turned_off(web):
    """A client with a scope that its owner does not have, or has lost, is turned off."""
    await add(web, f"{ME}/more", "queue:ops:x")
    await add(web, f"{ME}/dev", "queue:dev")
    await web.service.scanner.scan()
    assert [await on(web, f"{ME}/{name}") for name in ("more", "dev")] == [False, True]
    web.me.teams[:] = ["acme/ops"]
    await web.service.scanner.scan()
    assert not await on(web, f"{ME}/dev")


@pytest.mark.parametrize("change", ["revoked", "renamed", "never"])
async def test_clients_of_nobody_are_turned_off(web, change):
    """Who has withdrawn their consent at GitHub, has another name there, or never signed in, has no clients that are on."""
    await add(web, f"{ME}/x")
    await add(web, "github/7|other/x")
    await add(web, "github/nobody/x")
    if change == "revoked":
        web.github.revoke(42)
    elif change == "renamed":
        web.me.login = "new-name"
    await web.service.scanner.scan()
    assert await on(web, f"{ME}/x") is (change == "never")
    assert not await on(web, "github/7|other/x")
    assert not await on(web, "github/nobody/x")


@pytest.mark.parametrize("trouble", ["down", "limited"])
async def test_while_github_is_in_trouble_all_stays_as_it_is(web, trouble):
    """When nothing can be learned about a user, their clients stay on, and are looked at the next time."""
    await add(web, f"{ME}/more", "queue:ops:x")
    setattr(web.github, trouble, True)
    await web.service.scanner.scan()
    assert await on(web, f"{ME}/more")
    setattr(web.github, trouble, False)
    await web.service.scanner.scan()
    assert not await on(web, f"{ME}/more")


async def test_other_clients_are_not_looked_at(web):
    """Clients of other makers, and those that are off, are let be; many are looked at in pages, with one question about each user."""
    await add(web, "project/github/x", "queue:ops:x")
    await add(web, "githubx/1|a/x", "queue:ops:x")
    for number in range(30):
        await add(web, f"{ME}/{number:02}", "queue:dev")
    web.github.asked.clear()
    await web.service.scanner.scan()
    assert await on(web, "project/github/x")
    assert await on(web, "githubx/1|a/x")
    assert web.github.asked.count("/user") == 1


async def test_scanning_twice_at_once(web):
    """Two processes that look at the same time do no harm."""
    import asyncio

    await add(web, f"{ME}/more", "queue:ops:x")
    await asyncio.gather(web.service.scanner.scan(), web.service.scanner.scan())
    assert not await on(web, f"{ME}/more")


@pytest.mark.parametrize(
    ("client_id", "identity"),
    [
        ("github/1|a/x", "github/1|a"),
        ("github/1|a/", "github/1|a"),
        ("github/1|a", "github/1|a"),
        ("github/1|a/x/y", "github/1|a"),
        ("github", None),
        ("github/", None),
    ],
)
def test_identities_of_clients(client_id, identity):
    """The identity is what stands before the second slash."""
    assert identities.of_client(client_id) == identity


def test_names_in_identities():
    """What may not stand in a client id is written with a !, so that no two names become the same."""
    assert identities.encode("octo-cat_x.y") == "octo-cat_x.y"
    assert identities.encode("a/b c!d") == "a!2Fb!20c!21d"
    assert identities.encode("é") == "!E9"


async def test_one_process_looks_each_time(web, database, clock, monkeypatch):
    """Of two processes one looks after the clients each hour; when it fails to, the other may."""
    twin = Service(
        database=database, sealer=SEALER, clock=clock, callers=web, own=Credentials(OWN.client_id, OWN.access_token), root=None,
        root_url=web.root_url, local_url=web.root_url,
    )  # fmt: skip
    looked, failing = [], []

    def watched(service):
        async def scan():
            looked.append(service)
            if service in failing:
                raise OSError("nobody answers")

        return scan

    for each in (web.service, twin):
        monkeypatch.setattr(each.scanner, "scan", watched(each))
        settling = asyncio.create_task(each.scan())
        await asyncio.sleep(0.05)
        clock.advance(2 * clocks.MINUTE)
        await settling
    assert looked == [web.service]
    clock.advance(clocks.HOUR)
    failing.append(web.service)
    with pytest.raises(OSError, match="nobody answers"):
        await web.service.scan()
    await twin.scan()
    await web.service.scan()
    assert looked == [web.service, web.service, twin]
