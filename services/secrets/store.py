"""Where secrets are kept: sealed, each bound to its name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from tcbox import db
from tcbox.credentials.sealed import Sealer

sql = db.load(Path(__file__).parent / "sql", "secrets")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "secrets")

CREATED, UPDATED, DELETED, EXPIRED = "created", "updated", "deleted", "expired"
_BATCH = 500


class Secret(NamedTuple):
    """A secret as it is read: its value as JSON text, and when it expires, in ms."""

    value: bytes
    expires: int


class Audit(Protocol):
    """The record of who changed what, which the auth service answers questions from."""

    async def record(self, tx: db.Tx, entity_type: str, entity_id: str, action: str, by: str) -> None:
        """Record a change in the transaction that makes it."""
        ...


class Store:
    """The secrets of an instance.

    Args:
        audit: where changes are recorded; None to record none.
    """

    def __init__(self, *, database: db.Database, sealer: Sealer, audit: Audit | None = None) -> None:
        self._database = database
        self._sealer = sealer
        self._audit = audit

    async def put(self, name: str, value: bytes, expires: int, *, client_id: str) -> None:
        """Keep a value, JSON text, under a name until it expires (ms); it replaces what was there."""
        sealed = self._sealer.seal(value, context=_context(name))

        async def put(tx: db.Tx) -> None:
            action = UPDATED if await tx.execute(sql.replace_secret, name=name, expires=expires, sealed=sealed) else CREATED
            if action == CREATED:
                await tx.execute(sql.add_secret, name=name, expires=expires, sealed=sealed)
            if self._audit is not None:
                await self._audit.record(tx, "secret", name, action, client_id)

        await self._database.transaction(put)

    async def remove(self, name: str, *, client_id: str) -> None:
        """Forget a secret, if there is one."""

        async def remove(tx: db.Tx) -> None:
            await tx.execute(sql.remove_secret, name=name)
            if self._audit is not None:
                await self._audit.record(tx, "secret", name, DELETED, client_id)

        await self._database.transaction(remove)

    async def get(self, name: str) -> Secret | None:
        """A secret, expired or not, or None; a bounded read.

        Raises SealError when it was sealed with a key that is not here.
        """
        row = await self._database.point(sql.get_secret, name=name)
        return None if row is None else Secret(self._sealer.open(row["sealed"], context=_context(name)), row["expires"])

    async def names(self, after: str, now: int, limit: int) -> list[str]:
        """So many names after one, in order, of secrets that have not expired."""
        return [row["name"] for row in await self._database.all(sql.list_secrets, after=after, now=now, limit=limit)]

    async def expire(self, *, client_id: str) -> int:
        """Forget all expired secrets, in batches; gives how many there were."""
        total = 0
        while count := await self._expire_some(client_id):
            total += count
        return total

    async def _expire_some(self, client_id: str) -> int:
        async def expire(tx: db.Tx) -> int:
            names = [row["name"] for row in await tx.all(sql.list_expired, now=tx.now, limit=_BATCH)]
            gone = [name for name in names if await tx.execute(sql.remove_expired, name=name, now=tx.now)]
            if self._audit is not None:
                for name in gone:
                    await self._audit.record(tx, "secret", name, EXPIRED, client_id)
            return len(gone)

        return await self._database.transaction(expire)


def _context(name: str) -> str:
    return f"secrets/{name}"
