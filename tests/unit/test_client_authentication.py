"""A service that runs on its own asks auth over HTTP who calls, and remembers it for seconds only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import credentials, db, errors
from tcbox.client.authentication import RemoteAuthenticator
from tcbox.client.http import Http
from tcbox.credentials import Failure, SignedRequest, Success, bewit
from tests.support import auth as support
from tests.support.auth import ROOT, Auth

SOON = "2035-01-01T00:00:00.000Z"


class Counted:
    """Calls auth, and counts how often."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.count = 0

    async def call(self, *args: Any, **named: Any) -> Any:
        self.count += 1
        return await self.http.call(*args, **named)


@pytest_asyncio.fixture
async def auth(tmp_path: Path) -> AsyncIterator[Auth]:
    clock = clocks.VirtualClock()
    database = db.connect(f"sqlite://{tmp_path}/tcbox.db", clock=clock)
    await database.start(support.MIGRATIONS)
    async with support.running(database, clock) as made:
        yield made
    await database.close()


@pytest.fixture
def caller(auth: Auth) -> Counted:
    return Counted(Http(auth.root_url, None, session=auth.session, clock=auth.clock, retries=0))


def signed(client_id: str, token: str, auth: Auth, nonce: str = "n") -> SignedRequest:
    header = credentials.sign_header(client_id, token, method="GET", url="http://queue.example:80/x?y=1", now_ms=auth.clock.now(), nonce=nonce, content=b"{}")
    return SignedRequest("GET", "/x?y=1", "queue.example", 80, header, "192.0.2.7")


async def ask(remote: RemoteAuthenticator, request: SignedRequest) -> Success | Failure:
    found = remote.authenticate(request)
    return found if isinstance(found, (Success, Failure)) else await found


async def test_what_auth_says_is_what_is_known(auth: Auth, caller: Counted) -> None:
    """Client, scopes with roles, hash and end come from auth; a bad signature is a failure with its reason."""
    await auth.root.createRole("r", {"description": "", "scopes": ["deep:*"]})
    made = await auth.root.createClient("a", {"description": "", "expires": SOON, "scopes": ["assume:r"]})
    remote = RemoteAuthenticator(caller, auth.clock)
    found = await ask(remote, signed("a", made["accessToken"], auth))
    assert isinstance(found, Success)
    assert (found.scheme, found.client_id, clocks.to_wire(found.expires_ms)) == ("hawk", "a", SOON)
    assert found.scopes.satisfied("deep:down")
    assert found.hash == credentials.payload_hash(b"{}", "")
    wrong = await ask(remote, signed("a", "x" * 44, auth))
    assert isinstance(wrong, Failure)
    assert "Bad mac" in wrong.message


async def test_bewits_are_asked_about_too(auth: Auth, caller: Counted) -> None:
    """A signed URL is known for what it is, and its body needs no hash."""
    remote = RemoteAuthenticator(caller, auth.clock)
    code = bewit.make(ROOT.client_id, ROOT.access_token, url="http://queue.example:80/x", expires_ms=auth.clock.now() + clocks.HOUR)
    found = await ask(remote, SignedRequest("GET", f"/x?bewit={code}", "queue.example", 80))
    assert isinstance(found, Success)
    assert (found.scheme, found.client_id) == ("bewit", ROOT.client_id)


async def test_callers_without_credentials_are_asked_about_once(auth: Auth, caller: Counted) -> None:
    """All of them are one caller, with the anonymous role as it was seconds ago; requests at once ask together."""
    await auth.root.createRole("anonymous", {"description": "", "scopes": ["public"]})
    remote = RemoteAuthenticator(caller, auth.clock)
    everybody = await asyncio.gather(*(ask(remote, SignedRequest("GET", f"/{n}", "h", 80)) for n in range(20)))
    assert all(isinstance(found, Success) and found.scheme == "none" and found.scopes.satisfied("public") for found in everybody)
    assert caller.count == 1
    await auth.root.updateRole("anonymous", {"description": "", "scopes": ["other"]})
    auth.clock.advance(3 * clocks.SECOND)
    found = await ask(remote, SignedRequest("POST", "/", "h", 80))
    assert isinstance(found, Success)
    assert not found.scopes.satisfied("public")


async def test_a_disabled_client_is_refused_within_seconds(auth: Auth, caller: Counted) -> None:
    """An answer is remembered for the very same request alone, and no longer than five seconds."""
    made = await auth.root.createClient("a", {"description": "", "expires": SOON})
    remote = RemoteAuthenticator(caller, auth.clock)
    request = signed("a", made["accessToken"], auth)
    assert isinstance(await ask(remote, request), Success)
    assert isinstance(remote.authenticate(request), Success)
    await auth.root.disableClient("a")
    assert isinstance(await ask(remote, signed("a", made["accessToken"], auth, nonce="m")), Failure)
    auth.clock.advance(5 * clocks.SECOND)
    assert isinstance(await ask(remote, request), Failure)


async def test_what_is_remembered_is_bounded(auth: Auth, caller: Counted) -> None:
    """Of many requests only the last ones are remembered."""
    remote = RemoteAuthenticator(caller, auth.clock, most=3)
    requests = [signed(ROOT.client_id, ROOT.access_token, auth, nonce=str(n)) for n in range(5)]
    for request in requests:
        await ask(remote, request)
    assert [isinstance(remote.authenticate(request), Success) for request in reversed(requests)] == [True, True, True, False, False]
    await asyncio.sleep(0.05)


async def test_an_auth_that_does_not_answer_is_no_refusal(auth: Auth) -> None:
    """While auth cannot be reached nobody is refused for it: the caller is told to try again."""
    remote = RemoteAuthenticator(Http("http://127.0.0.1:1", None, session=auth.session, clock=auth.clock, retries=0), auth.clock)
    with pytest.raises(errors.Unavailable):
        await ask(remote, SignedRequest("GET", "/", "h", 80))
