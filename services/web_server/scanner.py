"""Looking after clients that people made: one whose owner no longer has its scopes is turned off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tcbox import errors, log
from tcbox.client import Caller
from tcbox.scopes import ScopeSet
from tcbox.services.web_server import identities
from tcbox.services.web_server.identities import Provider

_log = log.get("web-server")


class Scanner:
    """Looks through the clients below the identities of some providers.

    It can run in several processes at once: turning off what is off changes nothing.
    """

    def __init__(self, providers: list[Provider], caller: Caller) -> None:
        self._providers = providers
        self._caller = caller

    async def scan(self) -> None:
        """Look at every client once; a user about whom nothing can be learned just now is left for the next time.

        Raises errors.ApiError when clients cannot be listed or turned off.
        """
        unknown: list[str] = []
        for provider in self._providers:
            await self._scan(provider, unknown)
        if unknown:
            _log.warning("the clients of some users could not be looked after; they are at the next turn", extra={"users": len(unknown)})

    async def _scan(self, provider: Provider, unknown: list[str]) -> None:
        known: tuple[str, ScopeSet | None] = ("", None)
        async for client in self._clients(f"{provider.name}/"):
            identity = identities.of_client(client["clientId"])
            if identity is None or client["disabled"] or (unknown and unknown[-1] == identity):
                continue
            if known[0] != identity:
                try:
                    known = identity, await self._scopes(provider, identity)
                except errors.TcboxError as error:
                    _log.warning("a user is not known just now, so their clients stay as they are", extra={"identity": identity, "reason": str(error)})
                    unknown.append(identity)
                    continue
            if not _fits(client, known[1]):
                await self._disable(client["clientId"], known[1])

    async def _clients(self, prefix: str) -> AsyncIterator[dict[str, Any]]:
        token = ""
        while True:
            page = await self._caller.call("auth", "listClients", query={"prefix": prefix, **({"continuationToken": token} if token else {})})
            for client in page["clients"]:
                yield client
            token = page.get("continuationToken", "")
            if not token:
                return

    async def _scopes(self, provider: Provider, identity: str) -> ScopeSet | None:
        user = await provider.user(identity)
        if user is None:
            return None
        reply = await self._caller.call("auth", "expandScopes", payload={"scopes": [*user.scopes, "assume:anonymous"]})
        return ScopeSet(reply["scopes"])

    async def _disable(self, client_id: str, scopes: ScopeSet | None) -> None:
        try:
            if not _fits(await self._caller.call("auth", "client", client_id), scopes):  # as it is now: the list was read a while ago
                await self._caller.call("auth", "disableClient", client_id)
                _log.info("turned off a client whose owner no longer has its scopes", extra={"clientId": client_id})
        except errors.ResourceNotFound:
            pass  # gone meanwhile, which is even better


def _fits(client: dict[str, Any], scopes: ScopeSet | None) -> bool:
    """Whether a client may stay on: it is off already, or its owner has all that it has."""
    return client["disabled"] or (scopes is not None and scopes.satisfies_all(client["expandedScopes"]))
