"""What the service keeps: the denylist, what was accepted lately, and what is on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tcbox import db, ids
from tcbox.services.notify import model
from tcbox.services.notify.model import Delivery, Limits, Notification, Outcome

sql = db.load(Path(__file__).parent / "sql", "notify")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "notify")

COUNTED = 10_000
"""Up to where waiting deliveries are counted."""
_BATCH = 500
_encode = msgspec.json.Encoder().encode


class Address(NamedTuple):
    """An address on the denylist."""

    kind: str
    address: str


class Accepted(NamedTuple):
    """What became of a notification; `delivery` is there when it is to be delivered."""

    outcome: Outcome
    delivery: Delivery | None = None
    digest: str = ""


class Overdue(NamedTuple):
    """A delivery that has taken too long, and why it did not succeed."""

    kind: str
    address: str
    attempts: int
    error: str


class Store:
    """All of it."""

    def __init__(self, database: db.Database, limits: Limits) -> None:
        self._db = database
        self._limits = limits

    async def deny(self, kind: str, address: str) -> None:
        """Put an address on the denylist; what waits to be delivered to it is dropped."""

        async def deny(tx: db.Tx) -> None:
            await tx.execute(sql.deny, kind=kind, address=address)
            await tx.execute(sql.end_deliveries, kind=kind, address=address)

        await self._db.transaction(deny)

    async def allow(self, kind: str, address: str) -> None:
        """Take an address off the denylist, if it is on it."""
        await self._db.transaction(lambda tx: tx.execute(sql.allow, kind=kind, address=address))

    async def denied(self, after: Address, limit: int) -> list[Address]:
        """So many addresses of the denylist, in order, after one."""
        rows = await self._db.all(sql.list_denied, kind=after.kind, address=after.address, limit=limit)
        return [Address(row["notification_type"], row["notification_address"]) for row in rows]

    async def accept(self, tx: db.Tx, notification: Notification, *, due: int | None) -> Accepted:
        """Accept a notification if it may be sent and was not lately.

        Args:
            due: when it is to be delivered, in ms; None when it need not go through the outbox.
        """
        limits, kind, address = self._limits, notification.kind, notification.address
        if (kind == model.EMAIL and address in limits.denied) or await tx.value(sql.denied, kind=kind, address=address):
            return Accepted(Outcome.DENIED)
        name, digest = ids.slugid(), notification.digest()
        if not limits.same:
            digest = f"{digest}/{name}"
        if await tx.value(sql.was_accepted, digest=digest, since=tx.now - limits.same):
            return Accepted(Outcome.DUPLICATE)
        remaining = limits.count
        if kind == model.EMAIL:
            since = tx.now - limits.window
            remaining -= await tx.value(sql.count_accepted, kind=kind, address=address, since=since, limit=limits.count) or 0
            if remaining <= 0:
                return Accepted(Outcome.LIMITED)
        await tx.execute(sql.accept, digest=digest, kind=kind, address=address, now=tx.now, since=tx.now - limits.same)
        if due is None:
            return Accepted(Outcome.ACCEPTED, digest=digest)
        content = _encode(notification.content).decode()
        await tx.execute(sql.add_delivery, id=name, digest=digest, kind=kind, address=address, remaining=remaining, now=tx.now, due=due, content=content)
        return Accepted(Outcome.ACCEPTED, Delivery(name, notification, remaining, tx.now), digest)

    async def withdraw(self, delivery_id: str, digest: str) -> None:
        """Take a delivery back, as if its notification had never been accepted."""

        async def withdraw(tx: db.Tx) -> None:
            await tx.execute(sql.end_delivery, id=delivery_id)
            await tx.execute(sql.forget_accepted, digest=digest)

        await self._db.transaction(withdraw)

    async def take(self, kind: str, limit: int, hold: int) -> list[Delivery]:
        """Some deliveries of a kind that are due; others do not get them for so long, in ms."""

        async def take(tx: db.Tx) -> list[db.Row]:
            rows = await tx.all(sql.due_deliveries, kind=kind, now=tx.now, limit=limit)
            return [row for row in rows if await tx.execute(sql.hold_delivery, id=row["id"], due=row["due"], until=tx.now + hold)]

        return [_delivery(row) for row in await self._db.transaction(take)]

    async def put_off(self, delivery_id: str, *, due: int, attempts: int, error: str) -> None:
        """Try a delivery again at a time, in ms."""
        await self._db.transaction(lambda tx: tx.execute(sql.put_off_delivery, id=delivery_id, due=due, attempts=attempts, error=error))

    async def release(self, delivery_id: str, due: int) -> None:
        """Give back a delivery that was not tried to its end, to be tried at a time."""
        await self._db.transaction(lambda tx: tx.execute(sql.release_delivery, id=delivery_id, due=due))

    async def end(self, delivery_id: str) -> None:
        """A delivery has come to its end."""
        await self._db.transaction(lambda tx: tx.execute(sql.end_delivery, id=delivery_id))

    async def next_due(self, kind: str) -> int | None:
        """When the next delivery of a kind is due, in ms."""
        value: int | None = await self._db.value(sql.next_due, kind=kind)
        return value

    async def waiting(self, kind: str) -> int:
        """How many deliveries of a kind wait, counted up to COUNTED."""
        return int(await self._db.value(sql.count_waiting, kind=kind, limit=COUNTED) or 0)

    async def give_up(self, before: int) -> list[Overdue]:
        """Give up some deliveries that were accepted before a time."""

        async def give_up(tx: db.Tx) -> list[Overdue]:
            rows = await tx.all(sql.overdue_deliveries, before=before, limit=_BATCH)
            gone = [row for row in rows if await tx.execute(sql.end_delivery, id=row["id"])]
            return [Overdue(row["kind"], row["address"], row["attempts"], row["error"]) for row in gone]

        return await self._db.transaction(give_up)

    async def forget(self, before: int) -> None:
        """Forget what was accepted before a time, in batches."""
        while await self._db.transaction(lambda tx: tx.execute(sql.expire_accepted, before=before, limit=_BATCH)) == _BATCH:
            pass


def _delivery(row: db.Row) -> Delivery:
    content: dict[str, Any] = msgspec.json.decode(row["content"])
    return Delivery(row["id"], Notification(row["kind"], row["address"], content), row["remaining"], row["accepted"], row["attempts"])
