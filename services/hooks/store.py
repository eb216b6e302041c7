"""Where hooks, their firings and what came of those are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tcbox import db, events, ids
from tcbox.credentials.sealed import Sealer
from tcbox.events import Exchange
from tcbox.services.hooks import events as exchanges
from tcbox.services.hooks import model
from tcbox.services.hooks.model import Definition, Hook, Name

sql = db.load(Path(__file__).parent / "sql", "hooks")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "hooks")

ALL = 2**31
"""More rows than there are, for a statement's limit."""

LAST = 2**62
"""A time after all others."""

CREATED, UPDATED, DELETED = "created", "updated", "deleted"


class Audit(Protocol):
    """The record of who changed what, which the auth service answers questions from."""

    async def record(self, tx: db.Tx, entity_type: str, entity_id: str, action: str, by: str) -> None:
        """Record a change in the transaction that makes it."""
        ...


class Store:
    """The hooks of an instance. Changes are announced and recorded in the transaction that makes them.

    Args:
        audit: where changes are recorded; None to record none.
    """

    def __init__(self, *, database: db.Database, bus: events.Bus, sealer: Sealer, audit: Audit | None = None) -> None:
        self._db = database
        self._bus = bus
        self._sealer = sealer
        self._audit = audit

    async def get(self, name: Name) -> Hook | None:
        """A hook, or None; a bounded read."""
        row = await self._db.point(sql.get_hook, **name.columns)
        return None if row is None else model.hook(row)

    async def groups(self) -> list[str]:
        """The groups that have hooks, in order."""
        return [row[0] for row in await self._db.all(sql.list_groups, limit=ALL)]

    async def of_group(self, group: str) -> list[Hook]:
        """The hooks of a group, in order."""
        return [model.hook(row) for row in await self._db.all(sql.list_hooks, hook_group_id=group, limit=ALL)]

    async def create(self, name: Name, definition: Definition, next_fire: int | None, by: str) -> Hook | None:
        """Keep a new hook; None when there is another of its name. One that is there already as it is to be counts as made."""
        token = self._sealed(name, ids.slugid())
        seed = ids.access_token()

        async def create(tx: db.Tx) -> Hook | None:
            added = await tx.execute(
                sql.add_hook, **name.columns, **definition.columns, seed=seed, next_fire=next_fire, bound=tx.now, token=token,
            )  # fmt: skip
            row = await tx.one(sql.get_hook, **name.columns)
            assert row is not None
            hook = model.hook(row)
            if added:
                await self._announce(tx, exchanges.hook_created, name, CREATED, by)
            return hook if hook.definition.same(definition) else None

        return await self._db.transaction(create)

    async def update(self, name: Name, definition: Definition, next_fire: int | None, by: str, *, keep_bindings: bool) -> Hook | None:
        """Give a hook another definition; None when there is no such hook.

        The time at which it fires next stays when its schedule does.

        Args:
            keep_bindings: leave its bindings as they are.
        """

        async def update(tx: db.Tx) -> Hook | None:
            row = await tx.one(sql.get_hook, **name.columns)
            if row is None:
                return None
            before = model.hook(row)
            columns = definition.columns
            if keep_bindings:
                columns["bindings"] = before.definition.bindings
            await tx.execute(
                sql.update_hook, **name.columns, **columns,
                next_fire=before.next_fire if before.definition.schedule == definition.schedule else next_fire,
                bound=before.bound if columns["bindings"] == before.definition.bindings else tx.now,
            )  # fmt: skip
            await self._announce(tx, exchanges.hook_updated, name, UPDATED, by)
            changed = await tx.one(sql.get_hook, **name.columns)
            return model.hook(changed)

        return await self._db.transaction(update)

    async def remove(self, name: Name, by: str) -> None:
        """Forget a hook, if there is one, with its firings."""

        async def remove(tx: db.Tx) -> None:
            removed = await tx.execute(sql.remove_hook, **name.columns)
            await tx.execute(sql.remove_firings, **name.columns)
            await tx.execute(sql.remove_fires, **name.columns)
            if removed:
                await self._announce(tx, exchanges.hook_deleted, name, DELETED, by)

        await self._db.transaction(remove)

    def token(self, hook: Hook) -> str:
        """The token with which a hook can be made to fire.

        Raises SealError when it was sealed with a key that is not here.
        """
        return self._sealer.open(hook.token, context=_context(hook.name)).decode()

    async def reset_token(self, name: Name) -> str | None:
        """Give a hook another token; None when there is no such hook."""
        token = ids.slugid()
        sealed = self._sealed(name, token)

        async def reset(tx: db.Tx) -> int:
            return await tx.execute(sql.set_token, **name.columns, token=sealed)

        return token if await self._db.transaction(reset) else None

    def _sealed(self, name: Name, token: str) -> bytes:
        return self._sealer.seal(token.encode(), context=_context(name))

    async def _announce(self, tx: db.Tx, exchange: Exchange, name: Name, action: str, by: str) -> None:
        await self._bus.publish(tx, exchange, name.words, **exchanges.KEY)
        if self._audit is not None:
            await self._audit.record(tx, "hook", str(name), action, by)

    async def expire_fires(self, age: int) -> int:
        """Forget what came of firings longer ago than `age` ms, in batches; gives how many there were."""
        total = 0
        while count := await self._expire_some(age):
            total += count
        return total

    async def _expire_some(self, age: int) -> int:
        async def expire(tx: db.Tx) -> int:
            return await tx.execute(sql.expire_fires, before=tx.now - age, limit=500)

        return await self._db.transaction(expire)


def _context(name: Name) -> str:
    return f"hooks/{name}"
