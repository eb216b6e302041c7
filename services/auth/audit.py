"""Who changed what, and when: written with the change itself, kept for a set time.

Other services record their changes here too, through `Audit.record` in their own transactions.
"""

from __future__ import annotations

from typing import Any

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.auth.store import sql

RETENTION = 30 * clocks.DAY
_BATCH = 1000


class Audit:
    """The history of changes.

    Args:
        retention: ms after which an entry is removed.
    """

    def __init__(self, database: db.Database, clock: clocks.Clock, *, retention: int = RETENTION) -> None:
        self._db = database
        self._clock = clock
        self._retention = retention

    async def record(self, tx: db.Tx, entity_type: str, entity_id: str, action: str, by: str) -> None:
        """Record a change in the transaction that makes it.

        Args:
            entity_type: "client", "role", "secret", "hook" or "worker-pool".
            action: such as "created", "updated" or "deleted".
            by: the client id of who changes it.
        """
        await tx.execute(sql.add_audit, entity_type=entity_type, entity_id=entity_id, client_id=by, action_type=action, now=tx.now)

    async def of_entity(self, entity_type: str, entity_id: str, after: int, limit: int) -> list[db.Row]:
        """The changes of one thing after an entry's id, oldest first."""
        return await self._db.all(sql.audit_of_entity, entity_type=entity_type, entity_id=entity_id, after=after, limit=limit)

    async def of_client(self, client_id: str, after: int, limit: int) -> list[db.Row]:
        """The changes that a client made after an entry's id, oldest first."""
        return await self._db.all(sql.audit_of_client, client_id=client_id, after=after, limit=limit)

    async def purge(self) -> None:
        """Remove the entries that are past their time."""
        before = self._clock.now() - self._retention

        async def some(tx: db.Tx) -> int:
            return await tx.execute(sql.forget_audit, before=before, limit=_BATCH)

        while await self._db.transaction(some) == _BATCH:
            pass


def shown(row: db.Row) -> dict[str, Any]:
    """An entry as the API shows it."""
    return {
        "clientId": row["client_id"],
        "actionType": row["action_type"],
        "created": clocks.to_wire(row["created"]),
        "entityId": row["entity_id"],
        "entityType": row["entity_type"],
    }
