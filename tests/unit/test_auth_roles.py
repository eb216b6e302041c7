"""Roles over the API, on both engines, by the published client library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import db
from tcbox.scopes import growth
from tests.support import auth as support
from tests.support.auth import Auth, refused
from tests.support.databases import database  # noqa: F401

migrations = support.MIGRATIONS


@pytest_asyncio.fixture
async def auth(database: db.Database, clock: clocks.VirtualClock) -> AsyncIterator[Auth]:  # noqa: F811
    async with support.running(database, clock) as made:
        yield made


def role(*scopes: str, description: str = "") -> dict:
    return {"description": description, "scopes": list(scopes)}


async def test_a_new_role_is_shown_with_what_it_expands_to(auth: Auth) -> None:
    """A role's scopes are listed in the published order, and expanded by way of other roles."""
    await auth.root.createRole("inner", role("deep"))
    made = await auth.root.createRole("outer", role("b", "assume:inner", "a:x", "a:*"))
    assert made["scopes"] == ["a:*", "a:x", "assume:inner", "b"]
    assert made["expandedScopes"] == ["a:*", "assume:inner", "assume:outer", "b", "deep"]
    assert made["created"] == made["lastModified"]
    assert await auth.root.role("outer") == made
    assert await auth.messages() == [("role-created", {"version": 1, "roleId": "inner"}), ("role-created", {"version": 1, "roleId": "outer"})]


async def test_a_role_id_may_hold_any_printable_character(auth: Auth) -> None:
    """Slashes, spaces and question marks in a role's id come back as they were."""
    name = "thing/test ?x=1&y=%20#*"
    assert (await auth.root.createRole(name, role("x")))["roleId"] == name
    assert (await auth.root.role(name))["roleId"] == name
    await auth.root.deleteRole(name)


async def test_the_same_creation_come_twice_changes_nothing(auth: Auth) -> None:
    """Creating a role again in the same words succeeds; in others it is a conflict."""
    first, second = await asyncio.gather(*(auth.root.createRole("r", role("x", "y")) for _ in range(2)))
    assert first == second == await auth.root.createRole("r", role("y", "x"))
    await refused(auth.root.createRole("r", role("x")), 409, "RequestConflict")
    await refused(auth.root.createRole("r", role("x", "y", description="other")), 409, "RequestConflict")
    assert [entry["roleId"] for entry in await auth.root.listRoles()] == ["r"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("test*", "assume:other<..>x"), ("other*", "assume:te<..>")),
        (("a*", "assume:b<..>"), ("b*", "assume:a<..>x")),
        (("t-1:*", "assume:t-2:prefix-<..>/some-suffix"), ("t-2:*", "assume:t-1:prefix/<..>#some-suffix")),
        (("one", "assume:two"), ("two", "assume:one")),
        (("one", "assume:two"), ("two", "assume:*")),
        (("one", "x"), ("two", "assume:two")),
    ],
)
async def test_circles_of_roles_are_refused(auth: Auth, first: tuple[str, str], second: tuple[str, str]) -> None:
    """A role that would close a circle is neither made nor changed into one, and the message shows the circle."""
    await auth.root.createRole(first[0], role(first[1]))
    message = await refused(auth.root.createRole(second[0], role(second[1])), 400, "InputError")
    assert f"assume:{second[0]}" in message
    await auth.root.createRole(second[0], role("plain"))
    await refused(auth.root.updateRole(second[0], role(second[1])), 400, "InputError")
    assert (await auth.root.role(second[0]))["scopes"] == ["plain"]


@pytest.mark.parametrize(("name", "scope"), [("r*", "a<..>b<..>"), ("r*", "a*<..>"), ("r", "a**"), ("r", "foo:***")])
async def test_scopes_without_a_meaning_are_refused(auth: Auth, name: str, scope: str) -> None:
    """A `<..>` twice in a scope, after a star, or a scope with two stars at its end, is refused with the scope named."""
    assert scope in await refused(auth.root.createRole(name, role(scope)), 400, "InputError")
    await auth.root.createRole(name, role())
    assert scope in await refused(auth.root.updateRole(name, role(scope)), 400, "InputError")


async def test_a_parameter_is_filled_in_for_star_roles_alone(auth: Auth) -> None:
    """`<..>` stands for the rest of what was assumed; in a role without a star it stands for itself."""
    await auth.root.createRole("project:*", role("irc:<..>", "private/<..>/*"))
    await auth.root.createRole("plain", role("irc:<..>"))
    expanded = await auth.root.expandScopes({"scopes": ["assume:project:p", "assume:plain"]})
    assert expanded == {"scopes": ["assume:plain", "assume:project:p", "irc:<..>", "irc:p", "private/p/*"]}


async def test_what_may_be_granted_is_what_the_caller_has(auth: Auth) -> None:
    """A maker must have all of a role's scopes; who changes one, those that it did not give before by any way."""
    await auth.root.createRole("inner", role("inner-has:*"))
    await auth.root.createRole("r", role("r-has:*", "assume:inner"))
    caller = auth.having("auth:create-role:*", "auth:update-role:*", "caller-has:b*")
    await caller.createRole("new", role("caller-has:bxx"))
    await refused(caller.createRole("other", role("nobody")), 403, "InsufficientScopes")
    await caller.updateRole("r", role("r-has:*", "caller-has:b", "assume:inner"))
    await caller.updateRole("r", role("r-has:x", "inner-has:y", "assume:inner"))
    message = await refused(caller.updateRole("r", role("r-has:z")), 403, "InsufficientScopes")
    assert "r-has:z" in message
    await caller.updateRole("r", role())
    await refused(auth.having("auth:update-role:s").updateRole("r", role()), 403, "InsufficientScopes")


async def test_a_change_counts_at_once_for_all_who_assume_the_role(auth: Auth) -> None:
    """Clients gain and lose scopes with the roles that they assume, with the very next request."""
    made = await auth.root.createClient("a", {"description": "", "expires": "2035-01-01T00:00:00.000Z", "scopes": ["assume:r"]})
    own = auth.client({"clientId": "a", "accessToken": made["accessToken"]})
    await refused(own.currentScopes(), 403, "InsufficientScopes")
    await auth.root.createRole("r", role("auth:current-scopes"))
    assert "auth:current-scopes" in (await own.currentScopes())["scopes"]
    await auth.root.updateRole("r", role("auth:current-scopes", "more"))
    assert "more" in (await own.currentScopes())["scopes"]
    assert "more" in (await auth.root.client("a"))["expandedScopes"]
    await auth.root.deleteRole("r")
    await refused(own.currentScopes(), 403, "InsufficientScopes")


async def test_an_update_keeps_the_order_given_and_the_date_of_creation(auth: Auth) -> None:
    """Updating replaces description and scopes, and moves lastModified alone."""
    made = await auth.root.createRole("r", role("x"))
    auth.clock.advance(1000)
    changed = await auth.root.updateRole("r", role("z", "y", description="new"))
    assert (changed["scopes"], changed["description"], changed["created"]) == (["z", "y"], "new", made["created"])
    assert changed["lastModified"] > made["lastModified"]
    assert [kind for kind, _ in await auth.messages()] == ["role-created", "role-updated"]
    await refused(auth.root.updateRole("nobody", role()), 404, "ResourceNotFound")


async def test_a_deleted_role_is_gone(auth: Auth) -> None:
    """A deleted role is not found; deleting what is not there succeeds and is announced too."""
    await auth.root.createRole("r", role())
    await auth.root.deleteRole("r")
    await auth.root.deleteRole("r")
    await refused(auth.root.role("r"), 404, "ResourceNotFound")
    assert [kind for kind, _ in await auth.messages()] == ["role-created", "role-deleted", "role-deleted"]


async def test_roles_are_listed_whole_or_in_pages(auth: Auth) -> None:
    """Without a limit all roles come at once, also more than a thousand; with one, in pages, in order."""
    for name in ("c", "a", "b"):
        await auth.root.createRole(name, role(f"scope:{name}"))
    assert [entry["roleId"] for entry in await auth.root.listRoles()] == ["a", "b", "c"]
    assert [entry["roleId"] for entry in (await auth.root.listRoles2())["roles"]] == ["a", "b", "c"]
    assert await auth.root.listRoleIds() == {"roleIds": ["a", "b", "c"]}
    for call, key in ((auth.root.listRoles2, "roles"), (auth.root.listRoleIds, "roleIds")):
        first = await call(query={"limit": "2"})
        rest = await call(query={"limit": "2", "continuationToken": first["continuationToken"]})
        assert (len(first[key]), len(rest[key]), "continuationToken" in rest) == (2, 1, False)
        for token in ("FOOBAR", "@@something##"):
            await refused(call(query={"limit": "1", "continuationToken": token}), 400, "InputError")


async def test_many_changes_at_once_all_come_through(auth: Auth) -> None:
    """Roles that are made at the same moment are all there, and each is known when its maker is answered."""

    async def make(number: int) -> None:
        await auth.root.createRole(f"r{number}", role(f"s:{number}"))
        assert f"s:{number}" in (await auth.root.expandScopes({"scopes": [f"assume:r{number}"]}))["scopes"]

    await asyncio.gather(*(make(number) for number in range(30)))
    assert len((await auth.root.listRoleIds())["roleIds"]) == 30


def doubling(steps: int) -> dict[str, tuple[str, ...]]:
    """Roles of which each has two scopes that assume the next."""
    return {f"p/{n}-*": (f"assume:p/{n + 1}-<..>x", f"assume:p/{n + 1}-<..>y") for n in range(steps)}


async def test_roles_that_multiply_are_refused(auth: Auth) -> None:
    """The role with which expansions would get too large is refused, made or changed, and named; all before it go on."""
    *first, (name, granted) = doubling(12).items()
    for role_id, scopes_ in first:
        await auth.root.createRole(role_id, role(*scopes_))
    said = await refused(auth.root.createRole(name, role(*granted)), 400, "InputError")
    assert "the role 'p/0-*'" in said and "Take scopes of the form" in said
    await auth.root.createRole(name, role("plain"))
    await refused(auth.root.updateRole(name, role(*granted)), 400, "InputError")
    assert len((await auth.root.expandScopes({"scopes": ["assume:p/0-a"]}))["scopes"]) == 2**12


async def test_roles_that_multiply_already_harm_nobody_else(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where such roles are stored from before, who assumes them is told, all others go on, and the roles are seen and mended."""
    with monkeypatch.context() as before:
        before.setattr(growth, "MOST_GROWTH", 1_000_000)
        for role_id, granted in doubling(15).items():
            await auth.root.createRole(role_id, role(*granted))
    await auth.root.createRole("fine", role("assume:other"))
    known = auth.service.directory
    said = await refused(auth.root.expandScopes({"scopes": ["assume:p/0-a"]}), 400, "InputError")
    assert "the role 'p/" in said
    assert (await auth.root.expandScopes({"scopes": ["assume:fine"]}))["scopes"] == ["assume:fine", "assume:other"]
    assert {entry["roleId"] for entry in await auth.root.listRoles()} == {"fine", *doubling(15)}
    assert (await auth.root.role("p/0-*"))["scopes"] == list(doubling(1)["p/0-*"])
    held = await auth.root.createClient("offender", {"description": "", "expires": "2035-01-01T00:00:00.000Z", "scopes": ["assume:p/0-a", "auth:list-clients"]})
    assert held["expandedScopes"] == ["assume:p/0-a", "auth:list-clients"]
    offender = auth.client({"clientId": "offender", "accessToken": held["accessToken"]})
    assert len((await offender.listClients())["clients"]) == 2, "what it has without roles, it may"
    assert "the role 'p/" in await refused(offender.deleteRole("x"), 400, "InputError")
    await refused(auth.root.updateRole("p/1-*", role(*doubling(2)["p/1-*"], "more")), 400, "InputError")
    await auth.root.deleteRole("p/5-*")
    await auth.root.updateRole("p/1-*", role("s"))
    assert len(known.expand(["assume:p/0-a"])) == 4


async def test_a_call_expands_so_many_scopes(auth: Auth) -> None:
    """A list of 10,000 scopes is expanded, a longer one refused; likewise where signatures are tried out."""
    many = {"scopes": [f"s:{n}" for n in range(10_000)]}
    assert len((await auth.root.expandScopes(many))["scopes"]) == 10_000
    said = await refused(auth.root.expandScopes({"scopes": [*many["scopes"], "x"]}), 400, "InputError")
    assert "10001" in said and "10000" in said and "several calls" in said
    tester = auth.client({"clientId": "tester", "accessToken": "no-secret"})
    for body in ({"clientScopes": [*many["scopes"], "x"], "requiredScopes": []}, {"clientScopes": ["*"], "requiredScopes": [*many["scopes"], "x"]}):
        assert "10001" in await refused(tester.testAuthenticate(body), 400, "InputError")
