"""Methods on clients."""

from __future__ import annotations

from typing import Any

from tcbox import errors
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.auth import model
from tcbox.services.auth.clients import Clients
from tcbox.services.auth.declarations import CLIENT_ID, api
from tcbox.services.auth.directory import Directory
from tcbox.services.auth.model import Client, Wanted

TRIES = 5
_QUERY = {"prefix": CLIENT_ID, "continuationToken": ".", "limit": "^[0-9]+$"}


class ClientMethods:
    """Answers what is asked of and done to clients."""

    def __init__(self, clients: Clients, known: Directory) -> None:
        self._clients = clients
        self._known = known

    @api.get("/clients/", name="listClients", category="Clients", scopes="auth:list-clients", output="list-clients-response", query=_QUERY)
    async def list_clients(self, call: Call) -> dict[str, Any]:
        """List Clients

        All clients in the order of their ids, or, with `prefix`, those whose id begins with it; at most 1000 in a
        reply. A `continuationToken` in the reply says that there may be more: send it with the next request.
        """
        size = paging.limit(call.query)
        after = paging.after(call.query, str)
        rows = await self._clients.page(call.query.get("prefix", ""), after[0] if after else "", size + 1)
        return paging.page("clients", rows, size, lambda client: (client.client_id,), self._shown)

    @api.get("/clients/<clientId>", name="client", category="Clients", scopes="auth:get-client:<clientId>", output="get-client-response", eager=True)
    async def client(self, call: Call, clientId: str) -> dict[str, Any]:
        """Get Client

        What a client is, without its access token.
        """
        return self._shown(await self._clients.get(clientId))

    @api.put(
        "/clients/<clientId>", name="createClient", category="Clients", input="create-client-request", output="create-client-response",
        scopes={"AllOf": ["auth:create-client:<clientId>", {"for": "scope", "in": "scopes", "each": "<scope>"}]},
    )  # fmt: skip
    async def create_client(self, call: Call, clientId: str) -> dict[str, Any]:
        """Create Client

        Make a client, and get its `accessToken`: this is the only time that it is shown, so keep it. One that is lost
        can be replaced with `resetAccessToken`.

        The caller must have all `scopes` that the client is to have. If there is a client of this id already, the
        request is refused, unless it is the very request that made it within the last 15 minutes.
        """
        wanted = Wanted.of(call.payload)
        model.refuse_static(clientId)
        model.refuse_double_star(wanted.scopes)
        model.refuse_nul(wanted.description)
        await call.authorize(clientId=clientId, scopes=wanted.scopes or ())
        client, token = await self._clients.create(clientId, wanted, await call.client_id())
        return {**self._shown(client), "accessToken": token}

    @api.post(
        "/clients/<clientId>/reset", name="resetAccessToken", category="Clients", output="create-client-response",
        scopes="auth:reset-access-token:<clientId>",
    )  # fmt: skip
    async def reset_access_token(self, call: Call, clientId: str) -> dict[str, Any]:
        """Reset Access Token

        Replace a client's `accessToken` by a new one, which is shown in this reply and never again. The old one is
        refused from now on.
        """
        model.refuse_static(clientId)
        client, token = await self._clients.rotate(clientId, await call.client_id())
        return {**self._shown(client), "accessToken": token}

    @api.post(
        "/clients/<clientId>", name="updateClient", category="Clients", input="create-client-request", output="get-client-response",
        scopes={"AllOf": ["auth:update-client:<clientId>", {"for": "scope", "in": "scopesAdded", "each": "<scope>"}]},
    )  # fmt: skip
    async def update_client(self, call: Call, clientId: str) -> dict[str, Any]:
        """Update Client

        Change a client's description, expiry and scopes; its id and access token stay. Without `scopes` in the request
        they stay as they are. The caller must have each scope that the client does not have yet.
        """
        wanted = Wanted.of(call.payload)
        model.refuse_static(clientId)
        model.refuse_double_star(wanted.scopes)
        model.refuse_nul(wanted.description)
        for _ in range(TRIES):
            before = await self._clients.get(clientId)
            await call.authorize(clientId=clientId, scopesAdded=model.added(wanted.scopes, before.scopes))
            client = await self._clients.update(before, wanted, await call.client_id())
            if client is not None:
                return self._shown(client)
        raise errors.Unavailable("The client {clientId} is being changed by others at once: try again.", clientId=clientId)

    @api.post("/clients/<clientId>/enable", name="enableClient", category="Clients", output="get-client-response", scopes="auth:enable-client:<clientId>")
    async def enable_client(self, call: Call, clientId: str) -> dict[str, Any]:
        """Enable Client

        Turn on a client that was turned off by `disableClient`. One that is on stays on.
        """
        model.refuse_static(clientId)
        return self._shown(await self._clients.disable(clientId, disabled=False, by=await call.client_id()))

    @api.post("/clients/<clientId>/disable", name="disableClient", category="Clients", output="get-client-response", scopes="auth:disable-client:<clientId>")
    async def disable_client(self, call: Call, clientId: str) -> dict[str, Any]:
        """Disable Client

        Turn off a client, for instance when the person behind it has lost the scopes that it holds: its requests, and
        those of temporary credentials that it made, are refused until `enableClient`. One that is off stays off.
        """
        model.refuse_static(clientId)
        return self._shown(await self._clients.disable(clientId, disabled=True, by=await call.client_id()))

    @api.delete("/clients/<clientId>", name="deleteClient", category="Clients", scopes="auth:delete-client:<clientId>")
    async def delete_client(self, call: Call, clientId: str) -> None:
        """Delete Client

        Remove a client. Roles that were made for it stay, and are removed with `deleteRole`. Removing a client that
        is not there succeeds.
        """
        model.refuse_static(clientId)
        await self._clients.delete(clientId, await call.client_id())

    def _shown(self, client: Client) -> dict[str, Any]:
        return client.shown(self._known.as_far)
