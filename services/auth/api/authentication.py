"""Methods that tell who signed a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tcbox import clock as clocks
from tcbox import credentials, scopes
from tcbox.api import refusals
from tcbox.api.call import Call
from tcbox.credentials import ClientRecord, Failure, SignedRequest, Success
from tcbox.scopes import ScopeSet
from tcbox.services.auth.api.scopes import CATEGORY, refuse_many
from tcbox.services.auth.declarations import api
from tcbox.services.auth.directory import Directory

_TEST_SCOPES = ("test:*", "auth:create-client:test:*")
_DISTANT = 2**53
"""A time that never comes."""


class AuthenticationMethods:
    """Checks signatures: for other services, and for those who try out a client."""

    def __init__(self, known: Directory, clock: clocks.Clock) -> None:
        self._known = known
        self._clock = clock

    @api.post(
        "/authenticate-hawk", name="authenticateHawk", category=CATEGORY, eager=True, conceal=True,
        input="authenticate-hawk-request", output="authenticate-hawk-response",
    )  # fmt: skip
    async def authenticate_hawk(self, call: Call) -> dict[str, Any]:
        """Authenticate Hawk Request

        Who signed a request that another service got, and which scopes that caller has. So services can take Hawk
        signatures and bewits without ever seeing an access token.

        A signature that is not valid is told of in the reply, as `status` `auth-failed`. If the reply has a `hash`, the
        service must compare it with the body that it got.
        """
        sent = call.payload
        asked = SignedRequest(sent["method"], sent["resource"], sent["host"], sent["port"], sent.get("authorization"), sent.get("sourceIp", ""))
        identity = await self._known.authenticate_anew(asked)
        if type(identity) is Failure:
            return {"status": "auth-failed", "message": identity.message}
        assert type(identity) is Success
        reply: dict[str, Any] = {
            "status": "auth-success",
            "scheme": "hawk",
            "expires": clocks.to_wire(identity.expires_ms),
            "scopes": identity.scopes.expanded.scopes,
            "clientId": identity.client_id,
        }
        if identity.scheme == "none":
            reply.update(status="no-auth", scheme="none")
            del reply["clientId"]
        if identity.hash:
            reply["hash"] = identity.hash
        return reply

    @api.post("/test-authenticate", name="testAuthenticate", category=CATEGORY, input="test-authenticate-request", output="test-authenticate-response")
    async def test_authenticate(self, call: Call) -> dict[str, Any]:
        """Test Authentication

        For trying out a client library: the request is signed by the client `tester` with the access token
        `no-secret`, which has the `clientScopes` of the body; the call succeeds if these, as far as the request's
        certificate and authorized scopes leave them, satisfy `requiredScopes`. Each list has at most 10,000 scopes.
        """
        for name in ("clientScopes", "requiredScopes"):
            refuse_many(name, call.payload[name])
        return await self._try(call, call.payload["clientScopes"], call.payload["requiredScopes"])

    @api.get("/test-authenticate-get/", name="testAuthenticateGet", category=CATEGORY, output="test-authenticate-response")
    async def test_authenticate_get(self, call: Call) -> dict[str, Any]:
        """Test Authentication (GET)

        As `testAuthenticate`, for signed URLs too: the client `tester` has the scopes `test:*` and
        `auth:create-client:test:*`, and `test:authenticate-get` is required.
        """
        return await self._try(call, _TEST_SCOPES, ["test:authenticate-get"])

    async def _try(self, call: Call, held: Iterable[str], required: list[str]) -> dict[str, Any]:
        caller = await call.identify_by(Tester(held, self._clock))
        wanted: scopes.Rendered = {"AllOf": list(required)}
        if not caller.scopes.satisfied(wanted):
            raise refusals.insufficient_scopes(caller, wanted)
        return {"clientId": caller.client_id, "scopes": caller.scopes.expanded.scopes}


class Tester:
    """Knows one client, `tester`, and no roles."""

    def __init__(self, held: Iterable[str], clock: clocks.Clock) -> None:
        record = ClientRecord("tester", "no-secret", ScopeSet(held), _DISTANT)
        self._clock = clock
        self._validator = credentials.SignatureValidator(lambda name: record if name == "tester" else None, ScopeSet)

    def authenticate(self, request: SignedRequest) -> Success | Failure:
        """Who signed a request."""
        return self._validator.validate(request, self._clock.now())
