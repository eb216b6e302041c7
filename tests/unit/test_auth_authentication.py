"""Who signed a request: authenticateHawk and its friends, as the published client library calls them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mohawk
import mohawk.base
import pytest
import pytest_asyncio
import taskcluster

from tcbox import clock as clocks
from tcbox import credentials, db
from tests.support import auth as support
from tests.support.auth import ROOT, Auth, refused

SOON = "2035-01-01T00:00:00.000Z"
OWNER = {"clientId": ROOT.client_id, "accessToken": ROOT.access_token}
TESTER = {"clientId": "tester", "accessToken": "no-secret"}


@pytest_asyncio.fixture
async def auth(tmp_path: Path) -> AsyncIterator[Auth]:
    clock = clocks.VirtualClock()
    database = db.connect(f"sqlite://{tmp_path}/tcbox.db", clock=clock)
    await database.start(support.MIGRATIONS)
    async with support.running(database, clock) as made:
        yield made
    await database.close()


def signed(held: dict[str, str], *, ext: str = "", content: bytes | None = None) -> dict[str, Any]:
    """The body of authenticateHawk for a request that mohawk, another implementation, has signed."""
    sender = mohawk.Sender(
        {"id": held["clientId"], "key": held["accessToken"], "algorithm": "sha256"}, "https://queue.example:8443/api/x?y=1", "GET",
        ext=ext or None, content=content or mohawk.base.EmptyValue, content_type="" if content else mohawk.base.EmptyValue, always_hash_content=content is not None,
    )  # fmt: skip
    return {"method": "get", "resource": "/api/x?y=1", "host": "queue.example", "port": 8443, "authorization": sender.request_header}


def ext_of(held: dict[str, str], *authorized: str) -> str:
    return credentials.make_ext(held.get("certificate"), list(authorized) or None)


async def test_a_good_signature_tells_client_and_scopes(auth: Auth) -> None:
    """The reply names the client, its scopes with roles and the anonymous role, and when the credentials end."""
    await auth.root.createRole("r", {"description": "", "scopes": ["deep:*"]})
    await auth.root.createRole("anonymous", {"description": "", "scopes": ["public"]})
    made = await auth.root.createClient("a", {"description": "", "expires": SOON, "scopes": ["assume:r"]})
    assert await auth.client().authenticateHawk(signed(made)) == {
        "status": "auth-success", "scheme": "hawk", "clientId": "a", "expires": SOON,
        "scopes": ["assume:anonymous", "assume:r", "deep:*", "public"],
    }  # fmt: skip
    answer = await auth.client().authenticateHawk({**signed(made, content=b"{}"), "sourceIp": "192.0.2.7"})
    assert answer["hash"] == credentials.payload_hash(b"{}", "")


async def test_a_bad_signature_is_told_of_in_the_reply(auth: Auth) -> None:
    """A wrong token, an unknown client or another port is no error of the call: the reply says what is wrong."""
    for body in (signed({**OWNER, "accessToken": "x" * 44}), signed({**OWNER, "clientId": "nobody"}), {**signed(OWNER), "port": 80}):
        answer = await auth.client().authenticateHawk(body)
        assert set(answer) == {"status", "message"}
        assert answer["status"] == "auth-failed"
    assert "nobody" in (await auth.client().authenticateHawk(signed({**OWNER, "clientId": "nobody"})))["message"]


async def test_a_request_without_credentials_has_the_anonymous_role(auth: Auth) -> None:
    """Without a signature the scopes are those of the role `anonymous`, for a quarter of an hour."""
    body = {key: value for key, value in signed(OWNER).items() if key != "authorization"}
    before = auth.clock.now()
    answer = await auth.client().authenticateHawk(body)
    assert (answer["status"], answer["scheme"], answer["scopes"]) == ("no-auth", "none", ["assume:anonymous"])
    assert clocks.from_wire(answer["expires"]) - before == pytest.approx(15 * clocks.MINUTE, abs=5000)
    await auth.root.createRole("anonymous", {"description": "", "scopes": ["auth:get-client:*"]})
    assert (await auth.client().client(ROOT.client_id))["clientId"] == ROOT.client_id
    await refused(auth.client().listRoles(), 403, "InsufficientScopes")


@pytest.mark.parametrize("name", [None, "named/by-root"])
async def test_temporary_credentials_of_the_client_library_are_accepted(auth: Auth, name: str | None) -> None:
    """Temporary credentials, named or not, as the published library makes them, have the scopes of their certificate."""
    now = taskcluster.fromNow("0 seconds")
    held = taskcluster.createTemporaryCredentials(
        ROOT.client_id,
        ROOT.access_token,
        taskcluster.fromNow("-1 minute", now),
        taskcluster.fromNow("1 hour", now),
        ["temp:*", "auth:current-scopes"],
        name=name,
    )
    answer = await auth.client().authenticateHawk(signed(held, ext=ext_of(held)))
    assert (answer["clientId"], answer["scopes"]) == (name or ROOT.client_id, ["assume:anonymous", "auth:current-scopes", "temp:*"])
    assert clocks.from_wire(answer["expires"]) - time.time() * 1000 == pytest.approx(clocks.HOUR, abs=10_000)
    assert await auth.client(held).currentScopes() == {"scopes": answer["scopes"]}
    assert await auth.client(held, ["auth:current-scopes"]).currentScopes() == {"scopes": ["assume:anonymous", "auth:current-scopes"]}
    await refused(auth.client(held).listRoles(), 403, "InsufficientScopes")
    await refused(auth.client(held, ["other"]).currentScopes(), 401, "AuthenticationFailed")
    auth.clock.advance(2 * clocks.HOUR)
    await refused(auth.client(held).currentScopes(), 401, "AuthenticationFailed")


async def test_temporary_credentials_end_with_their_issuer(auth: Auth) -> None:
    """Disabling a client ends the temporary credentials that it made, also those that were used before."""
    made = await auth.root.createClient("a", {"description": "", "expires": SOON, "scopes": ["auth:*"]})
    held = taskcluster.createTemporaryCredentials(
        "a", made["accessToken"], taskcluster.fromNow("-1 minute"), taskcluster.fromNow("1 hour"), ["auth:current-scopes"]
    )
    await auth.client(held).currentScopes()
    await auth.root.updateClient("a", {"description": "", "expires": SOON, "scopes": ["x"]})
    assert "doesn't satisfy" in await refused(auth.client(held).currentScopes(), 401, "AuthenticationFailed")
    await auth.root.updateClient("a", {"description": "", "expires": SOON, "scopes": ["auth:*"]})
    await auth.client(held).currentScopes()
    await auth.root.disableClient("a")
    await refused(auth.client(held).currentScopes(), 401, "AuthenticationFailed")


async def test_bewits_are_accepted(auth: Auth) -> None:
    """A URL signed by the published library is good for anyone who has it, until it ends."""
    url = auth.root.buildSignedUrl("currentScopes", expiration=60)
    async with auth.session.get(url) as answer:
        assert (answer.status, await answer.json()) == (200, {"scopes": ["*"]})
    resource = url.partition(auth.root_url)[2]
    host, port = auth.root_url.removeprefix("http://").split(":")
    asked = {"method": "get", "resource": resource, "host": host, "port": int(port)}
    assert (await auth.client().authenticateHawk(asked))["clientId"] == ROOT.client_id
    auth.clock.advance(2 * clocks.MINUTE)
    assert (await auth.client().authenticateHawk(asked))["status"] == "auth-failed"


@pytest.mark.parametrize(
    ("held", "authorized", "has", "needs", "code"),
    [
        (TESTER, None, ["test-scope:test"], ["test-scope:test"], ""),
        (TESTER, None, ["test-scope:*"], ["test-scope:test"], ""),
        (TESTER, None, ["a", "b"], ["b"], ""),
        ({**TESTER, "accessToken": "wrong"}, None, ["a"], ["a"], "AuthenticationFailed"),
        ({**TESTER, "clientId": "other"}, None, ["a"], ["a"], "AuthenticationFailed"),
        (OWNER, None, ["a"], ["a"], "AuthenticationFailed"),
        (TESTER, None, ["test-scope"], ["test-scope:*"], "InsufficientScopes"),
        (TESTER, ["test-scope:test"], ["test-scope:*"], ["test-scope:test"], ""),
        (TESTER, ["test-scope:test1"], ["test-scope:*"], ["test-scope:test2"], "InsufficientScopes"),
        (TESTER, ["test-scope:*"], ["test-scope:test2"], ["test-scope:test2"], "AuthenticationFailed"),
        (None, None, ["a"], ["a"], "InsufficientScopes"),
    ],
)
async def test_test_authenticate(auth: Auth, held: Any, authorized: Any, has: list[str], needs: list[str], code: str) -> None:
    """testAuthenticate takes the tester's signature alone, and checks the scopes that the body says."""
    call = auth.client(held, authorized).testAuthenticate({"clientScopes": has, "requiredScopes": needs})
    if code:
        await refused(call, 401 if code == "AuthenticationFailed" else 403, code)
    else:
        assert await call == {"clientId": "tester", "scopes": sorted(["assume:anonymous", *(authorized or has)])}


async def test_test_authenticate_takes_temporary_credentials(auth: Auth) -> None:
    """Named temporary credentials of the tester are taken too, by POST and by GET, signed or as a URL."""
    held = taskcluster.createTemporaryCredentials(
        "tester", "no-secret", taskcluster.fromNow("-1 minute"), taskcluster.fromNow("1 hour"), ["test:authenticate-get"], name="test:me"
    )
    answer = {"clientId": "test:me", "scopes": ["assume:anonymous", "test:authenticate-get"]}
    assert await auth.client(held).testAuthenticateGet() == answer
    async with auth.session.get(auth.client(held).buildSignedUrl("testAuthenticateGet", expiration=60)) as got:
        assert await got.json() == answer
    body = {"clientScopes": ["test:*", "auth:create-client:test:*"], "requiredScopes": ["test:authenticate-get"]}
    assert await auth.client(held).testAuthenticate(body) == answer
    await refused(auth.client(TESTER, ["test:scopes-abc"]).testAuthenticateGet(), 403, "InsufficientScopes")
    assert (await auth.client(TESTER).testAuthenticateGet())["scopes"] == ["assume:anonymous", "auth:create-client:test:*", "test:*"]


async def test_the_methods_that_need_no_credentials_answer_without(auth: Auth) -> None:
    """Ping, heartbeat, load balancer heartbeat and version answer anyone."""
    anyone = auth.client()
    assert (await anyone.ping())["alive"] is True
    for call in (anyone.heartbeat, anyone.lbheartbeat, anyone.version):
        await call()
    await refused(anyone.currentScopes(), 403, "InsufficientScopes")
