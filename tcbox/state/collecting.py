"""Reads a state from an instance, by its public API alone; any Taskcluster will do."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tcbox import errors
from tcbox.client import Caller
from tcbox.state import wire
from tcbox.state.model import CLIENTS, GOING, HOOKS, ROLES, SECRETS, STATIC, WORKER_POOLS, Kind, State, begins, used_providers

_PAGE = "1000"
_AT_ONCE = 8
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Collected:
    """What was read.

    Attributes:
        left_out: in words, the kinds that were not asked for by name and could not be read.
    """

    state: State
    left_out: tuple[str, ...] = ()


class _Denied(Exception):
    """The caller may not read something, or the instance has no such thing to read.

    Attributes:
        scopes: those that it takes; none when it is the latter.
    """

    def __init__(self, scopes: Sequence[str], why: str = "") -> None:
        self.scopes = tuple(scopes)
        more = f" and {len(scopes) - _NAMED} more" if len(scopes) > _NAMED else ""
        super().__init__(why or f"the caller lacks {', '.join(scopes[:_NAMED])}{more}")


async def collect(caller: Caller, where: str, kinds: Sequence[Kind], *, asked: Collection[Kind] = (), prefixes: Sequence[str] = ()) -> Collected:
    """What an instance is set up with.

    Args:
        where: the instance, in words.
        kinds: what is to be read.
        asked: those of them without which the rest is not wanted; others that the caller may not read are left out.
        prefixes: what the names begin with that are wanted; all when there are none.

    Raises TcboxError with all that is missing, when it is no Taskcluster, or when nothing can be read at all.
    """
    source = _Source(caller, prefixes)
    try:
        found = await asyncio.gather(*(source.read(kind) for kind in kinds))
        known = (await providers(caller) or {}) if WORKER_POOLS in kinds else {}
    except msgspec.DecodeError as error:
        raise errors.TcboxError(f"{where} does not answer as a Taskcluster does: is that the root URL of one?") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.TcboxError(f"{where} answers in another form than the published one: {error!r}") from error
    things = {kind: each for kind, each in zip(kinds, found, strict=True) if not isinstance(each, _Denied)}
    refused = {kind: each for kind, each in zip(kinds, found, strict=True) if isinstance(each, _Denied)}
    if refused and (not things or any(kind in asked for kind in refused)):
        why = "\n".join(f"  {kind.name}: {each}" for kind, each in refused.items())
        absent = all(not each.scopes for each in refused.values())
        hint = "is that the root URL of a Taskcluster?" if absent else "give credentials with more scopes, or less to --only"
        raise errors.TcboxError(f"{where} does not let its state be read; {hint}\n{why}")
    read: dict[str, Any] = {kind.key: dict(sorted(each.items())) for kind, each in things.items()}
    state = State(prefixes=tuple(sorted(set(prefixes))), providers=known, **read)
    state = dataclasses.replace(state, providers=used_providers(state))
    return Collected(state, tuple(f"{kind.name}: {each}" for kind, each in refused.items()))


async def providers(caller: Caller) -> dict[str, str] | None:
    """The types of an instance's providers of machines; None when the caller may not know."""
    try:
        return await _Source(caller, ()).providers()
    except _Denied:
        return None


class _Source:
    """An instance, read by a caller."""

    def __init__(self, caller: Caller, prefixes: Sequence[str]) -> None:
        self._caller = caller
        self._prefixes = prefixes
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._kinds: Mapping[Kind, Callable[[], Awaitable[dict[str, Any]]]] = {
            ROLES: self._roles,
            CLIENTS: self._clients,
            HOOKS: self._hooks,
            WORKER_POOLS: self._worker_pools,
            SECRETS: self._secrets,
        }

    async def read(self, kind: Kind) -> dict[str, Any] | _Denied:
        """The things of a kind by name; why not, when they cannot be read."""
        try:
            return await self._kinds[kind]()
        except _Denied as denied:
            return denied

    async def providers(self) -> dict[str, str]:
        """The types of the providers by id."""
        entries = [each async for each in self._pages("providers", "worker-manager:list-providers", "worker-manager", "listProviders")]
        return {each["providerId"]: each["providerType"] for each in entries}

    async def _roles(self) -> dict[str, Any]:
        return {each["roleId"]: wire.role(each) async for each in self._pages("roles", "auth:list-roles", "auth", "listRoles2") if self._wanted(each["roleId"])}

    async def _clients(self) -> dict[str, Any]:
        entries = self._pages("clients", "auth:list-clients", "auth", "listClients")
        return {each["clientId"]: wire.client(each) async for each in entries if self._wanted(each["clientId"]) and not each["clientId"].startswith(STATIC)}

    async def _hooks(self) -> dict[str, Any]:
        groups = (await self._call("hooks:list-hooks:", "hooks", "listHookGroups"))["groups"]
        found = await asyncio.gather(*(self._group(group) for group in groups if self._holds(f"{group}/")))
        if lacking := [scope for each in found if isinstance(each, _Denied) for scope in each.scopes]:
            raise _Denied(lacking)
        entries = [(f"{each['hookGroupId']}/{each['hookId']}", each) for group in found if isinstance(group, list) for each in group]
        return {name: wire.hook(each) for name, each in entries if self._wanted(name)}

    async def _group(self, group: str) -> list[Any] | _Denied:
        try:
            found: list[Any] = (await self._call(f"hooks:list-hooks:{group}", "hooks", "listHooks", group))["hooks"]
            return found
        except errors.ResourceNotFound:  # its last hook has gone meanwhile
            return []
        except _Denied as denied:
            return denied

    async def _worker_pools(self) -> dict[str, Any]:
        entries = self._pages("workerPools", "worker-manager:list-worker-pools", "worker-manager", "listWorkerPools")
        return {each["workerPoolId"]: wire.worker_pool(each) async for each in entries if self._wanted(each["workerPoolId"]) and each["providerId"] != GOING}

    async def _secrets(self) -> dict[str, Any]:
        names = [name async for name in self._pages("secrets", "secrets:list-secrets", "secrets", "list") if self._wanted(name)]
        found = await asyncio.gather(*(self._secret(name) for name in names))
        if lacking := [scope for each in found if isinstance(each, _Denied) for scope in each.scopes]:
            raise _Denied(lacking)
        return {name: each for name, each in zip(names, found, strict=True) if each is not None}

    async def _secret(self, name: str) -> Any:
        try:
            return wire.secret(await self._call(f"secrets:get:{name}", "secrets", "get", name))
        except errors.ResourceNotFound:  # it has expired meanwhile
            return None
        except _Denied as denied:
            return denied

    def _wanted(self, name: str) -> bool:
        return begins(name, self._prefixes)

    def _holds(self, folder: str) -> bool:
        """Whether wanted names may be below a folder."""
        return begins(folder, self._prefixes) or any(each.startswith(folder) for each in self._prefixes)

    async def _pages(self, name: str, scope: str, service: str, method: str) -> AsyncIterator[Any]:
        query = {"limit": _PAGE}
        while True:
            reply = await self._call(scope, service, method, query=query)
            for each in reply[name]:
                yield each
            if not reply.get("continuationToken"):
                return
            query = {"limit": _PAGE, "continuationToken": reply["continuationToken"]}

    async def _call(self, scope: str, service: str, method: str, *args: str, query: Mapping[str, str] | None = None) -> Any:
        try:
            async with self._gate:
                return await self._caller.call(service, method, *args, query=query)
        except errors.InsufficientScopes as error:
            raise _Denied([scope]) from error
        except errors.ResourceNotFound as error:
            if args:
                raise
            raise _Denied([], str(error)) from error
