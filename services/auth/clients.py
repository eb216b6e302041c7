"""What is done to clients: each change with its number, its record and its message, in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from tcbox import clock as clocks
from tcbox import db, errors, ids
from tcbox.credentials.sealed import Sealer
from tcbox.events import Bus, Exchange
from tcbox.services.auth import directory, events, store
from tcbox.services.auth.audit import Audit
from tcbox.services.auth.directory import Directory
from tcbox.services.auth.model import Client, Wanted
from tcbox.services.auth.store import sql

PURGER = "static/taskcluster/auth"
"""Who is recorded as having removed expired clients."""

_BATCH = 200
_Step = Callable[[db.Tx], Awaitable[int]]


class Clients:
    """The clients of this instance, in the database and, after each commit, in the directory."""

    def __init__(self, *, database: db.Database, bus: Bus, sealer: Sealer, known: Directory, audit: Audit, clock: clocks.Clock) -> None:
        self._db = database
        self._bus = bus
        self._sealer = sealer
        self._known = known
        self._audit = audit
        self._clock = clock

    async def get(self, client_id: str) -> Client:
        """One client.

        Raises ResourceNotFound.
        """
        row = await self._db.point(sql.get_client, client_id=client_id)
        if row is None:
            raise absent(client_id)
        return self._dated(store.client(row))

    async def page(self, prefix: str, after: str, limit: int) -> list[Client]:
        """The clients whose ids begin with the prefix and come after one, in order."""
        rows = await self._db.all(sql.list_clients, after=after, first=prefix, beyond=prefix + store.CEILING, limit=limit)
        return [self._dated(store.client(row)) for row in rows]

    async def create(self, client_id: str, wanted: Wanted, by: str) -> tuple[Client, str]:
        """A new client with its access token, or the one that the same request has just made.

        Raises RequestConflict when there is another client of this id.
        """
        scopes = wanted.scopes or ()
        sealed = self._new_token(client_id)

        async def apply(tx: db.Tx) -> Client:
            added = await tx.execute(
                sql.add_client, client_id=client_id, description=wanted.description, token=sealed, expires=wanted.expires,
                scopes=store.as_json(scopes), delete_on_expiration=int(wanted.delete_on_expiration), now=tx.now,
            )  # fmt: skip
            made = await store.client_of(tx, client_id)
            if added:
                await self._count(tx, client_id, made)
            elif not made.is_twin(wanted, tx.now):
                raise errors.RequestConflict(
                    "There is a client {clientId} already, and it is not as asked for: change it with updateClient, or choose another clientId.",
                    clientId=client_id,
                )  # fmt: skip
            await self._tell(tx, client_id, "created", by, events.client_created)
            return made

        made = await self._db.transaction(apply)
        return made, self._token(made)

    async def update(self, before: Client, wanted: Wanted, by: str) -> Client | None:
        """Change a client; gives None, and does nothing, when its scopes are no longer as they were before.

        Raises ResourceNotFound when it is gone.
        """
        client_id = before.client_id

        async def apply(tx: db.Tx) -> Client | None:
            row = await tx.one(sql.lock_client, client_id=client_id)
            if row is None:
                raise absent(client_id)
            there = store.client(row)
            if there.scopes != before.scopes:
                return None
            scopes = there.scopes if wanted.scopes is None else wanted.scopes
            await tx.execute(
                sql.update_client, client_id=client_id, description=wanted.description, expires=wanted.expires,
                scopes=store.as_json(scopes), delete_on_expiration=int(wanted.delete_on_expiration), now=tx.now,
            )  # fmt: skip
            return await self._finish(tx, client_id, "updated", by)

        return await self._db.transaction(apply)

    async def rotate(self, client_id: str, by: str) -> tuple[Client, str]:
        """The client with a new access token; the old one stops working at once.

        Raises ResourceNotFound.
        """
        sealed = self._new_token(client_id)
        rotated = await self._change(
            client_id, "access token reset", by, lambda tx: tx.execute(sql.rotate_client, client_id=client_id, token=sealed, now=tx.now)
        )
        return rotated, self._token(rotated)

    async def disable(self, client_id: str, disabled: bool, by: str) -> Client:
        """The client, turned off or on.

        Raises ResourceNotFound.
        """
        action = "client disabled" if disabled else "client enabled"
        return await self._change(client_id, action, by, lambda tx: tx.execute(sql.disable_client, client_id=client_id, disabled=int(disabled), now=tx.now))

    async def delete(self, client_id: str, by: str) -> None:
        """Remove a client, if it is there; recorded and announced in either case."""

        async def apply(tx: db.Tx) -> None:
            if await tx.execute(sql.delete_client, client_id=client_id):
                await self._count(tx, client_id, None)
            await self._tell(tx, client_id, "deleted", by, events.client_deleted)

        await self._db.transaction(apply)

    async def purge_expired(self) -> None:
        """Remove the clients that asked to be removed at their end, each in a transaction of its own."""
        while True:
            rows = await self._db.all(sql.expired_clients, now=self._clock.now(), limit=_BATCH)
            for row in rows:
                await self._db.transaction(functools.partial(self._purge, client_id=row["client_id"]))
            if len(rows) < _BATCH:
                return

    async def _purge(self, tx: db.Tx, client_id: str) -> None:
        if await tx.execute(sql.delete_expired_client, client_id=client_id, now=tx.now):
            await self._count(tx, client_id, None)
            await self._audit.record(tx, "client", client_id, "expired", PURGER)

    async def forget_changes(self) -> None:
        """Remove the numbers of changes that every process has seen."""
        before = self._clock.now() - directory.CHANGES_KEPT
        await self._db.transaction(lambda tx: tx.execute(sql.forget_changes, before=before))

    async def _change(self, client_id: str, action: str, by: str, step: _Step) -> Client:
        async def apply(tx: db.Tx) -> Client:
            if not await step(tx):
                raise absent(client_id)
            return await self._finish(tx, client_id, action, by)

        return await self._db.transaction(apply)

    async def _finish(self, tx: db.Tx, client_id: str, action: str, by: str) -> Client:
        made = await store.client_of(tx, client_id)
        await self._count(tx, client_id, made)
        await self._tell(tx, client_id, action, by, events.client_updated)
        return self._dated(made)

    async def _count(self, tx: db.Tx, client_id: str, client: Client | None) -> None:
        await tx.execute(sql.next_version)
        version = await store.note_change(tx, "client", client_id)
        tx.after_commit(functools.partial(self._known.client_changed, version, client_id, client))

    async def _tell(self, tx: db.Tx, client_id: str, action: str, by: str, exchange: Exchange) -> None:
        await self._audit.record(tx, "client", client_id, action, by)
        await self._bus.publish(tx, exchange, {"version": 1, "clientId": client_id}, **events.KEY)

    def _new_token(self, client_id: str) -> bytes:
        return self._sealer.seal(ids.access_token().encode(), context=directory.token_context(client_id))

    def _token(self, client: Client) -> str:
        return self._sealer.open(client.token, context=directory.token_context(client.client_id)).decode()

    def _dated(self, client: Client) -> Client:
        return self._known.usage.dated(client)


def absent(client_id: str) -> errors.ResourceNotFound:
    """The refusal of what needs a client that is not there."""
    return errors.ResourceNotFound("There is no client {clientId}: listClients shows those there are.", clientId=client_id)
