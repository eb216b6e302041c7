"""The methods of the service."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import paging
from tcbox.api.call import Call, Encoded
from tcbox.services.secrets.declarations import api
from tcbox.services.secrets.store import Store


class Secrets:
    """Set, read, remove and list secrets."""

    def __init__(self, *, store: Store, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    @api.put("/secret/<name>", name="set", input="secret", scopes="secrets:set:<name>", conceal=True)
    async def set_secret(self, call: Call, name: str) -> dict[str, Any]:
        """Set Secret

        Keep a JSON object under a name until it expires. What the name held before is replaced, with its expiry.
        """
        expires = clocks.from_wire(call.payload["expires"])
        value = msgspec.json.encode(call.payload["secret"])
        await self._store.put(name, value, expires, client_id=await call.client_id())
        return {}

    @api.delete("/secret/<name>", name="remove", scopes="secrets:set:<name>", conceal=True)
    async def remove(self, call: Call, name: str) -> dict[str, Any]:
        """Delete Secret

        Forget what a name holds. Succeeds too when it holds nothing.
        """
        await self._store.remove(name, client_id=await call.client_id())
        return {}

    @api.get("/secret/<name>", name="get", output="secret", scopes="secrets:get:<name>", eager=True, conceal=True)
    async def get(self, call: Call, name: str) -> Encoded:
        """Read Secret

        Read what a name holds, and when it expires. A secret that has expired cannot be read any more. A caller
        without the scope is answered 403 whether or not there is such a secret.
        """
        secret = await self._store.get(name)
        if secret is None:
            raise errors.ResourceNotFound("Secret not found: there is none with the name {name}.", name=name)
        if secret.expires < self._clock.now():
            expired = clocks.to_wire(secret.expires)
            raise errors.ResourceNotFound("Secret not found: {name} expired at {expired}. Set it again to use it further.", name=name, expired=expired)
        return Encoded(b'{"secret":%b,"expires":"%b"}' % (secret.value, clocks.to_wire(secret.expires).encode()))

    @api.get("/secrets", name="list", output="secret-list", scopes="secrets:list-secrets", query=("continuationToken", "limit"))
    async def list_secrets(self, call: Call) -> dict[str, Any]:
        """List Secrets

        List the names of all secrets that have not expired, in order, at most 1000 in a reply. There are more as long
        as a reply holds a `continuationToken`.
        """
        size = paging.limit(call.query)
        start = paging.after(call.query, str)
        names = await self._store.names(start[0] if start else "", self._clock.now(), size + 1)
        return paging.page("secrets", names, size, key=lambda name: (name,), shape=str)
