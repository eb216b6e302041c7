"""Clients over the API, on both engines, by the published client library."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.auth.static import StaticClient
from tests.support import auth as support
from tests.support.auth import Auth, refused
from tests.support.databases import database  # noqa: F401

migrations = support.MIGRATIONS
SOON = "2035-01-01T00:00:00.000Z"


@pytest_asyncio.fixture
async def auth(database: db.Database, clock: clocks.VirtualClock) -> AsyncIterator[Auth]:  # noqa: F811
    async with support.running(database, clock, static_clients=[support.ROOT, StaticClient("static/ci/bot", "b" * 22, ("bot:*",), "a bot")]) as made:
        yield made


def client(description: str = "mine", expires: str = SOON, **more) -> dict:
    return {"description": description, "expires": expires, **more}


async def test_a_new_client_is_shown_with_its_token_once_and_can_sign(auth: Auth) -> None:
    """A client that was made is announced, recorded, and can call at once; its token is not shown again."""
    made = await auth.root.createClient("mine/one", client(scopes=["auth:current-scopes", "x:*", "x:y"]))
    token = made.pop("accessToken")
    assert made["scopes"] == ["auth:current-scopes", "x:*", "x:y"]
    assert made["expandedScopes"] == ["auth:current-scopes", "x:*"]
    assert made["expires"] == SOON
    assert (made["disabled"], made["deleteOnExpiration"]) == (False, False)
    assert await auth.root.client("mine/one") == made
    own = auth.client({"clientId": "mine/one", "accessToken": token})
    assert await own.currentScopes() == {"scopes": ["assume:anonymous", "auth:current-scopes", "x:*"]}
    assert await auth.messages() == [("client-created", {"version": 1, "clientId": "mine/one"})]


async def test_the_same_creation_come_twice_gives_the_same_client(auth: Auth) -> None:
    """A creation that is sent again within 15 minutes gives the same token; in other words, or after that, a conflict."""
    first = await auth.root.createClient("a", client(scopes=["s"]))
    assert await auth.root.createClient("a", client(scopes=["s"])) == first
    for other in (client(scopes=["t"]), client("other", scopes=["s"]), client(expires="2035-01-01T00:00:00.001Z", scopes=["s"])):
        await refused(auth.root.createClient("a", other), 409, "RequestConflict")
    auth.clock.advance(15 * clocks.MINUTE)
    await refused(auth.root.createClient("a", client(scopes=["s"])), 409, "RequestConflict")


async def test_a_disabled_client_is_no_twin_of_its_creation(auth: Auth) -> None:
    """Creating a client again does not hand out the token of one that was turned off meanwhile."""
    await auth.root.createClient("a", client())
    await auth.root.disableClient("a")
    await refused(auth.root.createClient("a", client()), 409, "RequestConflict")


@pytest.mark.parametrize("call", ["createClient", "updateClient"])
async def test_scopes_with_two_stars_are_refused(auth: Auth, call: str) -> None:
    """A scope that ends in two stars is refused, for clients that are made and that are changed."""
    await auth.root.createClient("a", client())
    message = await refused(getattr(auth.root, call)("a", client(scopes=["fine", "x:**"])), 400, "InputError")
    assert "x:**" in message


@pytest.mark.parametrize(
    ("call", "body"),
    [("createClient", True), ("updateClient", True), ("resetAccessToken", False), ("enableClient", False), ("disableClient", False), ("deleteClient", False)],
)
@pytest.mark.parametrize("name", ["static/ci/bot", "static/new"])
async def test_static_clients_cannot_be_changed(auth: Auth, call: str, body: bool, name: str) -> None:
    """Whatever would change a static client is refused, and says where they are configured."""
    args = (name, client()) if body else (name,)
    assert "configuration" in await refused(getattr(auth.root, call)(*args), 400, "InputError")
    assert await auth.messages() == []


async def test_what_may_be_done_is_what_the_caller_may_give(auth: Auth) -> None:
    """A client can be given only scopes that its maker has, and, on change, only new ones are asked for."""
    maker = auth.having("auth:create-client:mine/*", "auth:update-client:mine/*", "x:*")
    await maker.createClient("mine/a", client(scopes=["x:1"]))
    await refused(maker.createClient("mine/b", client(scopes=["y"])), 403, "InsufficientScopes")
    await refused(maker.createClient("other", client()), 403, "InsufficientScopes")
    await auth.root.updateClient("mine/a", client(scopes=["y", "z"]))
    await maker.updateClient("mine/a", client(scopes=["y", "x:2"]))
    await refused(maker.updateClient("mine/a", client(scopes=["z"])), 403, "InsufficientScopes")
    await refused(auth.client().createClient("mine/c", client()), 403, "InsufficientScopes")


async def test_an_update_replaces_all_but_the_token(auth: Auth) -> None:
    """Description, expiry and scopes are replaced, the latter only when given; the token stays good."""
    made = await auth.root.createClient("a", client(scopes=["auth:current-scopes"], deleteOnExpiration=True))
    auth.clock.advance(1000)
    changed = await auth.root.updateClient("a", client("new", "2036-01-01T00:00:00.000Z"))
    assert (changed["description"], changed["expires"], changed["scopes"]) == ("new", "2036-01-01T00:00:00.000Z", ["auth:current-scopes"])
    assert changed["deleteOnExpiration"] is False
    assert changed["lastModified"] > made["lastModified"]
    assert changed["lastRotated"] == made["lastRotated"]
    own = auth.client({"clientId": "a", "accessToken": made["accessToken"]})
    assert "auth:current-scopes" in (await own.currentScopes())["scopes"]
    assert (await auth.root.updateClient("a", client(scopes=[])))["scopes"] == []
    await refused(own.currentScopes(), 403, "InsufficientScopes")
    assert [kind for kind, _ in await auth.messages()] == ["client-created", "client-updated", "client-updated"]


async def test_a_reset_token_replaces_the_old_one_at_once(auth: Auth) -> None:
    """After a reset the old token is refused and the new one accepted."""
    made = await auth.root.createClient("a", client(scopes=["auth:current-scopes"]))
    old = auth.client({"clientId": "a", "accessToken": made["accessToken"]})
    await old.currentScopes()
    auth.clock.advance(1000)
    reset = await auth.root.resetAccessToken("a")
    assert reset["lastRotated"] == reset["lastModified"] > made["lastRotated"]
    await refused(old.currentScopes(), 401, "AuthenticationFailed")
    await auth.client({"clientId": "a", "accessToken": reset["accessToken"]}).currentScopes()


async def test_a_disabled_client_is_refused_until_it_is_enabled(auth: Auth) -> None:
    """A client that is off is refused at once; turning it off or on twice does no harm."""
    made = await auth.root.createClient("a", client(scopes=["auth:current-scopes"]))
    own = auth.client({"clientId": "a", "accessToken": made["accessToken"]})
    for _ in range(2):
        assert (await auth.root.disableClient("a"))["disabled"] is True
        assert "disabled" in await refused(own.currentScopes(), 401, "AuthenticationFailed")
    for _ in range(2):
        assert (await auth.root.enableClient("a"))["disabled"] is False
        await own.currentScopes()


async def test_a_deleted_client_is_gone(auth: Auth) -> None:
    """A deleted client is refused and not found; deleting what is not there succeeds and is announced too."""
    made = await auth.root.createClient("a", client(scopes=["auth:current-scopes"]))
    for _ in range(2):
        assert await auth.root.deleteClient("a") in (None, {})
    await refused(auth.root.client("a"), 404, "ResourceNotFound")
    await refused(auth.client({"clientId": "a", "accessToken": made["accessToken"]}).currentScopes(), 401, "AuthenticationFailed")
    assert [kind for kind, _ in await auth.messages()] == ["client-created", "client-deleted", "client-deleted"]


@pytest.mark.parametrize("call", ["client", "resetAccessToken", "enableClient", "disableClient"])
async def test_what_is_not_there_is_not_found(auth: Auth, call: str) -> None:
    """Reading or changing a client that is not there is answered with 404."""
    assert "nobody" in await refused(getattr(auth.root, call)("nobody"), 404, "ResourceNotFound")
    await refused(auth.root.updateClient("nobody", client()), 404, "ResourceNotFound")
    assert await auth.messages() == []


async def test_clients_are_listed_in_pages_by_prefix(auth: Auth) -> None:
    """All clients of a prefix come in order, a page at a time, static ones among them."""
    for name in ("p/b", "p/a", "p/c", "q", "p.x", "p0"):
        await auth.root.createClient(name, client())
    assert [c["clientId"] for c in (await auth.root.listClients(query={"prefix": "p/"}))["clients"]] == ["p/a", "p/b", "p/c"]
    seen, query = [], {"limit": "2"}
    while True:
        page = await auth.root.listClients(query=query)
        assert len(page["clients"]) <= 2
        seen += [c["clientId"] for c in page["clients"]]
        if "continuationToken" not in page:
            break
        query["continuationToken"] = page["continuationToken"]
    assert seen == ["p.x", "p/a", "p/b", "p/c", "p0", "q", "static/ci/bot", "static/taskcluster/root"]
    await refused(auth.root.listClients(query={"continuationToken": "FOOBAR"}), 400, "InputError")
    await refused(auth.root.listClients(query={"prefix": "ä"}), 400, "InvalidRequestArguments")


async def test_a_static_client_is_shown_as_configured(auth: Auth) -> None:
    """A static client can sign and be looked at, without its token, and practically never expires."""
    shown = await auth.root.client("static/ci/bot")
    assert shown["scopes"] == ["bot:*"]
    assert shown["description"].startswith("a bot")
    assert "static client" in shown["description"]
    assert shown["expires"] > "2900"
    assert "accessToken" not in shown
    own = auth.client({"clientId": "static/ci/bot", "accessToken": "b" * 22})
    await refused(own.currentScopes(), 403, "InsufficientScopes")


async def test_tokens_are_not_in_the_database_in_clear(auth: Auth) -> None:
    """Neither the tokens of clients nor those of static ones can be read from the database."""
    made = await auth.root.createClient("a", client())
    from tcbox.services.auth.store import sql

    for name, token in (("a", made["accessToken"]), ("static/ci/bot", "b" * 22)):
        row = await auth.database.point(sql.get_client, client_id=name)
        assert token.encode() not in bytes(row["token"])


async def test_changes_are_recorded_with_who_made_them(auth: Auth) -> None:
    """The history of a client tells each change, oldest first and in pages; that of its maker all that it did."""
    made = await auth.root.createClient("mine/a b".replace(" ", "-"), client(scopes=["auth:*"]))
    name = made["clientId"]
    own = auth.client({"clientId": name, "accessToken": made["accessToken"]})
    await own.createRole("r", {"description": "", "scopes": []})
    await own.updateRole("r", {"description": "2", "scopes": []})
    await own.deleteRole("r")
    await auth.root.disableClient(name)
    await auth.root.enableClient(name)
    await auth.root.resetAccessToken(name)
    await auth.root.updateClient(name, client())
    await auth.root.deleteClient(name)
    actions = ["created", "client disabled", "client enabled", "access token reset", "updated", "deleted"]
    seen, query = [], {"limit": "4"}
    while True:
        page = await auth.root.getEntityHistory("client", name, query=query)
        seen += page["auditHistory"]
        if "continuationToken" not in page:
            break
        query["continuationToken"] = page["continuationToken"]
    assert [entry["actionType"] for entry in seen] == actions
    assert {(entry["clientId"], entry["entityType"], entry["entityId"]) for entry in seen} == {("static/taskcluster/root", "client", name)}
    by_it = (await auth.root.listAuditHistory(name))["auditHistory"]
    assert [(entry["entityType"], entry["entityId"], entry["actionType"]) for entry in by_it] == [
        ("role", "r", "created"), ("role", "r", "updated"), ("role", "r", "deleted"),
    ]  # fmt: skip
    await refused(auth.having("auth:audit-history:client").getEntityHistory("role", "r"), 403, "InsufficientScopes")
    await refused(auth.root.getEntityHistory("task", "r"), 400, "InvalidRequestArguments")


async def test_entries_of_the_history_end(auth: Auth) -> None:
    """The history forgets what is older than its retention, and keeps the rest."""
    await auth.root.createClient("a", client())
    auth.clock.advance(29 * clocks.DAY)
    await auth.root.updateClient("a", client())
    auth.clock.advance(2 * clocks.DAY)
    await auth.service.audit.purge()
    assert [entry["actionType"] for entry in (await auth.root.getEntityHistory("client", "a"))["auditHistory"]] == ["updated"]


async def test_expired_clients_are_removed_if_they_asked_for_it(auth: Auth) -> None:
    """An expired client can do nothing, and is removed when it was made so; the history tells of it."""
    ends = clocks.to_wire(auth.clock.now() + clocks.HOUR)
    made = {name: await auth.root.createClient(name, client(expires=ends, deleteOnExpiration=name == "goes")) for name in ("goes", "stays")}
    lives = await auth.root.createClient("lives", client(deleteOnExpiration=True))
    await auth.service.clients.purge_expired()
    assert (await auth.root.client("goes"))["deleteOnExpiration"] is True
    auth.clock.advance(clocks.HOUR + clocks.SECOND)
    await auth.service.clients.purge_expired()
    await refused(auth.root.client("goes"), 404, "ResourceNotFound")
    await auth.root.client("stays")
    await auth.root.client("lives")
    for name, what in (("goes", "not found"), ("stays", "expired")):
        own = auth.client({"clientId": name, "accessToken": made[name]["accessToken"]})
        assert what in await refused(own.currentScopes(), 401, "AuthenticationFailed")
    assert lives["accessToken"]
    history = (await auth.root.getEntityHistory("client", "goes"))["auditHistory"]
    assert [(entry["actionType"], entry["clientId"]) for entry in history][-1] == ("expired", "static/taskcluster/auth")


async def test_the_date_of_last_use_follows_within_six_hours(auth: Auth) -> None:
    """A use is noted when the last noted one is six hours old, and then shown at once, written later."""
    made = await auth.root.createClient("a", client(scopes=["auth:current-scopes"]))
    own = auth.client({"clientId": "a", "accessToken": made["accessToken"]})
    auth.clock.advance(5 * clocks.HOUR)
    await auth.service.note_usage()
    await own.currentScopes()
    assert (await auth.root.client("a"))["lastDateUsed"] == made["lastDateUsed"]
    auth.clock.advance(2 * clocks.HOUR)
    await auth.service.note_usage()
    await own.currentScopes()
    used = (await auth.root.client("a"))["lastDateUsed"]
    assert used > made["lastDateUsed"]
    await auth.service.note_usage()
    assert (await auth.root.client("a"))["lastDateUsed"] == used
    auth.clock.advance(clocks.HOUR)
    await auth.service.note_usage()
    await own.currentScopes()
    assert (await auth.root.client("a"))["lastDateUsed"] == used
