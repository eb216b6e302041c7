"""What is done to pools: each change with its launch configurations, its record and its messages, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from tcbox import db, errors
from tcbox.events import Bus, Message
from tcbox.services.worker_manager import events, launch_configs, store
from tcbox.services.worker_manager.model import NULL_PROVIDER, LaunchConfig, Numbers, Pool
from tcbox.services.worker_manager.store import sql


class Audit(Protocol):
    """The record of who changed what, which the auth service answers questions from."""

    async def record(self, tx: db.Tx, entity_type: str, entity_id: str, action: str, by: str) -> None:
        """Record a change in the transaction that makes it."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pool is to be; `config` is JSON text."""

    provider_id: str
    description: str
    owner: str
    email_on_error: bool
    config: str


class Pools:
    """The pools of an instance.

    Args:
        audit: where changes are recorded; None to record none.
    """

    def __init__(self, database: db.Database, bus: Bus, audit: Audit | None) -> None:
        self._db = database
        self._bus = bus
        self._audit = audit

    async def get(self, worker_pool_id: str) -> Pool:
        """One pool. Raises ResourceNotFound."""
        found = await self.find(worker_pool_id)
        if found is None:
            raise absent(worker_pool_id)
        return found

    async def find(self, worker_pool_id: str) -> Pool | None:
        """One pool; None when there is none."""
        row = await self._db.point(sql.get_pool, worker_pool_id=worker_pool_id)
        return None if row is None else store.pool(row)

    async def page(self, after: str, limit: int) -> list[Pool]:
        """Pools by name, after one."""
        return [store.pool(row) for row in await self._db.all(sql.list_pools, after=after, limit=limit)]

    async def names(self, after: str, limit: int) -> list[str]:
        """Their names alone."""
        return [row["worker_pool_id"] for row in await self._db.all(sql.list_pool_ids, after=after, limit=limit)]

    async def numbers(self, first: str, last: str) -> dict[str, Numbers]:
        """How many workers each pool has, of those between two names; one without workers is left out."""
        rows = await self._db.all(sql.numbers, first=first, last=last)
        return {name: store.total(split) for name, split in store.numbers(rows).items()}

    async def split(self, worker_pool_id: str) -> store.Split:
        """How many workers a pool has by launch configuration."""
        rows = await self._db.all(sql.numbers, first=worker_pool_id, last=worker_pool_id)
        return store.numbers(rows).get(worker_pool_id, {})

    async def launch_configs(self, worker_pool_id: str, after: str = "", limit: int = store.STEP, *, archived: bool = False) -> list[LaunchConfig]:
        """A pool's launch configurations by id, after one."""
        rows = await self._db.all(sql.list_launch_configs, worker_pool_id=worker_pool_id, after=after, archived=int(archived), limit=limit)
        return [store.launch_config(row) for row in rows]

    async def every_launch_config(self, worker_pool_id: str, *, archived: bool = False) -> list[LaunchConfig]:
        """All of a pool's launch configurations."""
        found: list[LaunchConfig] = []
        while True:
            page = await self.launch_configs(worker_pool_id, found[-1].launch_config_id if found else "", archived=archived)
            found += page
            if len(page) < store.STEP:
                return found

    async def create(self, worker_pool_id: str, wanted: Wanted, by: str) -> Pool:
        """A new pool, or the one that the same request has made before.

        Raises RequestConflict when there is another pool of this name, or launch configurations share an id.
        """

        async def create(tx: db.Tx) -> Pool:
            added = await tx.execute(
                sql.add_pool, worker_pool_id=worker_pool_id, provider_id=wanted.provider_id, owner=wanted.owner, email_on_error=int(wanted.email_on_error),
                now=tx.now, description=wanted.description, config=wanted.config,
            )  # fmt: skip
            made = await _locked(tx, worker_pool_id)
            if not added:
                if _same(made, wanted):
                    return made
                raise errors.RequestConflict(
                    "Worker pool already exists: {workerPoolId} is there, and it is not as asked for. Change it with updateWorkerPool, or choose another name.",
                    workerPoolId=worker_pool_id,
                )
            messages = [events.pool(events.pool_created, made), *await self._reconfigure(tx, made)]
            await self._finish(tx, worker_pool_id, messages, "created", by)
            return made

        return await self._db.transaction(create)

    async def update(self, worker_pool_id: str, wanted: Wanted, by: str) -> Pool:
        """The pool, changed. Raises ResourceNotFound, or RequestConflict when launch configurations share an id."""

        async def update(tx: db.Tx) -> Pool:
            before = await _locked(tx, worker_pool_id)
            return await self._replace(tx, before, wanted, "updated", by)

        return await self._db.transaction(update)

    async def delete(self, worker_pool_id: str, by: str) -> Pool:
        """The pool, marked so that it goes as soon as it has no workers. Raises ResourceNotFound."""

        async def delete(tx: db.Tx) -> Pool:
            before = await _locked(tx, worker_pool_id)
            config = before.settings
            text = msgspec.json.encode({**config, "launchConfigs": []}).decode() if "launchConfigs" in config else before.config
            wanted = Wanted(NULL_PROVIDER, before.description, before.owner, before.email_on_error, text)
            return await self._replace(tx, before, wanted, "deleted", by)

        return await self._db.transaction(delete)

    async def _replace(self, tx: db.Tx, before: Pool, wanted: Wanted, action: str, by: str) -> Pool:
        name = before.worker_pool_id
        previous = _previous(before, wanted.provider_id)
        await tx.execute(
            sql.change_pool, worker_pool_id=name, provider_id=wanted.provider_id, previous_provider_ids=_encode(previous), owner=wanted.owner,
            email_on_error=int(wanted.email_on_error), now=tx.now, description=wanted.description, config=wanted.config,
        )  # fmt: skip
        made = await _locked(tx, name)
        messages = [events.pool(events.pool_updated, made, before.provider_id), *await self._reconfigure(tx, made)]
        await self._finish(tx, name, messages, action, by)
        return made

    async def _reconfigure(self, tx: db.Tx, pool: Pool) -> list[Message]:
        """Bring the launch configurations up to the pool's configuration; what there is to announce."""
        name = pool.worker_pool_id
        rows = await tx.all(sql.list_launch_configs, worker_pool_id=name, after="", archived=1, limit=2**31)
        try:
            changes = launch_configs.changes(name, pool.settings, [store.launch_config(row) for row in rows])
        except launch_configs.Conflict as conflict:
            raise errors.RequestConflict(
                "Launch config with ID `{launchConfigId}` already exists with different configuration: give the changed one another "
                "workerManager.launchConfigId, or leave that out to have one made.",
                launchConfigId=str(conflict),
            ) from None
        for key, text in changes.created.items():
            await tx.execute(sql.add_launch_config, worker_pool_id=name, launch_config_id=key, now=tx.now, configuration=text)
        for key, text in changes.updated.items():
            await tx.execute(sql.change_launch_config, worker_pool_id=name, launch_config_id=key, now=tx.now, configuration=text)
        for key in changes.archived:
            await tx.execute(sql.archive_launch_config, worker_pool_id=name, launch_config_id=key, now=tx.now)
        announced = (
            (events.launch_config_updated, changes.updated),
            (events.launch_config_created, changes.created),
            (events.launch_config_archived, changes.archived),
        )
        return [events.launch_config(exchange, pool, key) for exchange, keys in announced for key in keys]

    async def _finish(self, tx: db.Tx, worker_pool_id: str, messages: Sequence[Message], action: str, by: str) -> None:
        await self._bus.publish_all(tx, messages)
        if self._audit is not None:
            await self._audit.record(tx, "worker-pool", worker_pool_id, action, by)

    async def part(self, pool: Pool, provider_id: str) -> None:
        """Note that a former provider has nothing more to do with a pool, if it has neither workers nor orders in it."""

        async def part(tx: db.Tx) -> None:
            name = pool.worker_pool_id
            row = await tx.one(sql.lock_pool, worker_pool_id=name)
            if row is None:
                return
            for statement in (sql.has_live_worker, sql.has_order):
                if await tx.one(statement, worker_pool_id=name, provider_id=provider_id) is not None:
                    return
            left = [each for each in store.pool(row).previous_provider_ids if each != provider_id]
            await tx.execute(sql.set_previous_providers, worker_pool_id=name, previous_provider_ids=_encode(left))

        await self._db.transaction(part)

    async def expire(self) -> list[str]:
        """Forget pools that are marked to go and have no workers; their names."""
        gone: list[str] = []
        after = ""
        while True:
            rows = await self._db.all(sql.given_up_pools, after=after, limit=store.STEP)
            names = [row["worker_pool_id"] for row in rows]

            async def remove(tx: db.Tx, names: Sequence[str] = names) -> list[str]:
                return [name for name in names if await tx.execute(sql.remove_given_up_pool, worker_pool_id=name)]

            gone += await self._db.transaction(remove)
            if len(rows) < store.STEP:
                return gone
            after = names[-1]

    async def expire_launch_configs(self) -> None:
        """Forget launch configurations in the archive by which no worker was launched."""
        after = ("", "")
        while True:
            rows = await self._db.all(sql.unused_launch_configs, after_pool=after[0], after_id=after[1], limit=store.STEP)
            names = [{"worker_pool_id": row["worker_pool_id"], "launch_config_id": row["launch_config_id"]} for row in rows]

            async def remove(tx: db.Tx, names: Sequence[dict[str, str]] = names) -> None:
                await tx.many(sql.remove_launch_config, names)

            if names:
                await self._db.transaction(remove)
            if len(rows) < store.STEP:
                return
            after = (names[-1]["worker_pool_id"], names[-1]["launch_config_id"])


async def _locked(tx: db.Tx, worker_pool_id: str) -> Pool:
    row = await tx.one(sql.lock_pool, worker_pool_id=worker_pool_id)
    if row is None:
        raise absent(worker_pool_id)
    return store.pool(row)


def _previous(before: Pool, provider_id: str) -> list[str]:
    """The former providers of a pool that gets this one: the present one comes last."""
    if before.provider_id == provider_id:
        return list(before.previous_provider_ids)
    kept = [each for each in before.previous_provider_ids if each not in (provider_id, before.provider_id)]
    return kept if before.provider_id == NULL_PROVIDER else [*kept, before.provider_id]


def _same(pool: Pool, wanted: Wanted) -> bool:
    there = Wanted(pool.provider_id, pool.description, pool.owner, pool.email_on_error, wanted.config)
    return there == replace(wanted) and (pool.config == wanted.config or pool.settings == msgspec.json.decode(wanted.config))


def _encode(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def absent(worker_pool_id: str) -> errors.ResourceNotFound:
    """The refusal of what needs a pool that is not there."""
    return errors.ResourceNotFound(
        "Worker pool does not exist: there is no {workerPoolId}. listWorkerPools shows those there are.", workerPoolId=worker_pool_id
    )
