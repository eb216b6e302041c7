"""What is done to roles: each change is checked against all the others, then made if none came in between."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tcbox import db, errors, scopes
from tcbox.events import Bus, Exchange
from tcbox.services.auth import events, store
from tcbox.services.auth.audit import Audit
from tcbox.services.auth.directory import Directory
from tcbox.services.auth.model import Role
from tcbox.services.auth.store import sql

TRIES = 20
"""How often a change is decided anew because another process changed a role meanwhile: one try of two or three succeeds
beside another process that does nothing but change roles."""

_Step = Callable[[db.Tx], Awaitable[int]]


class _Telling(NamedTuple):
    """What is recorded and announced of a change."""

    action: str
    by: str
    exchange: Exchange


class Roles:
    """The roles of this instance, in the database and, after each commit, in the directory."""

    def __init__(self, database: db.Database, bus: Bus, known: Directory, audit: Audit) -> None:
        self._db = database
        self._bus = bus
        self._known = known
        self._audit = audit
        self._turn = asyncio.Lock()  # of this process; the number of the roles' version keeps others apart

    async def marked(self, name: str) -> bool:
        """Whether it is noted that something was done."""
        return await self._db.point(sql.get_mark, name=name) is not None

    async def mark(self, name: str) -> None:
        """Note that something was done."""
        await self._db.transaction(lambda tx: tx.execute(sql.add_mark, name=name))

    async def find(self, role_id: str) -> Role | None:
        """One role, None when it is not there."""
        row = await self._db.point(sql.get_role, role_id=role_id)
        return store.role(row) if row is not None else None

    async def get(self, role_id: str) -> Role:
        """One role.

        Raises ResourceNotFound.
        """
        found = await self.find(role_id)
        if found is None:
            raise absent(role_id)
        return found

    async def page(self, after: str, limit: int) -> list[Role]:
        """The roles after one, in order."""
        return [store.role(row) for row in await self._db.all(sql.list_roles, after=after, limit=limit)]

    async def ids(self, after: str, limit: int) -> list[str]:
        """The ids of the roles after one, in order."""
        return [row["role_id"] for row in await self._db.all(sql.list_role_ids, after=after, limit=limit)]

    async def create(self, role_id: str, description: str, granted: tuple[str, ...], by: str) -> Role:
        """A new role, or the one that is there in the same words.

        Raises RequestConflict when there is another of this id; InputError for a circle of roles, for roles that multiply, or for a bad `<..>`.
        """
        async with self._turn:
            return await self._create(role_id, description, granted, by)

    async def _create(self, role_id: str, description: str, granted: tuple[str, ...], by: str) -> Role:
        for _ in range(TRIES):
            there = await self.find(role_id)
            if there is not None:
                if (there.description, there.scopes) != (description, granted):
                    raise errors.RequestConflict(
                        "There is a role {roleId} already, and it is not as asked for: change it with updateRole, or choose another roleId.",
                        roleId=role_id,
                    )  # fmt: skip
                await self._db.transaction(lambda tx: self._tell(tx, role_id, _Telling("created", by, events.role_created)))
                return there
            add = functools.partial(_write, query=sql.add_role, role_id=role_id, description=description, granted=granted)
            if await self._apply(role_id, granted, add, _Telling("created", by, events.role_created)):
                return await self.get(role_id)
        raise _busy(role_id)

    async def update(self, role_id: str, description: str, granted: tuple[str, ...], by: str, authorize: Callable[[Role], Awaitable[None]]) -> Role:
        """The role with another description and other scopes.

        Args:
            authorize: raises when the caller may not make this change of the role as it is before.

        Raises ResourceNotFound; InputError for a circle of roles, for roles that multiply, or for a bad `<..>`.
        """
        async with self._turn:
            for _ in range(TRIES):
                version = self._known.roles_version
                before = await self.get(role_id)
                await authorize(before)
                change = functools.partial(_write, query=sql.update_role, role_id=role_id, description=description, granted=granted)
                if await self._apply(role_id, granted, change, _Telling("updated", by, events.role_updated), version=version):
                    return await self.get(role_id)
        raise _busy(role_id)

    async def delete(self, role_id: str, by: str) -> None:
        """Remove a role, if it is there; recorded and announced in either case."""
        async with self._turn:
            for _ in range(TRIES):
                if await self._apply(role_id, None, lambda tx: tx.execute(sql.delete_role, role_id=role_id), _Telling("deleted", by, events.role_deleted)):
                    return
        raise _busy(role_id)

    async def _apply(self, role_id: str, granted: tuple[str, ...] | None, step: _Step, told: _Telling, *, version: int | None = None) -> bool:
        """Make a change of the roles as they are known here; False when they are others by now, and were looked up again.

        Args:
            version: that of the roles on which the caller's decision rests, where it looked at them before.
        """
        expected = self._known.roles_version
        if version is not None and version != expected:
            return False
        roles = _checked(self._known.roles, role_id, granted)

        async def apply(tx: db.Tx) -> bool:
            if not await tx.execute(sql.next_roles_version, expected=expected):
                return False
            await step(tx)
            number = await store.note_change(tx, "role", role_id)
            tx.after_commit(functools.partial(self._known.role_changed, number, roles))
            await self._tell(tx, role_id, told)
            return True

        done = await self._db.transaction(apply)
        if not done:
            await self._known.refresh()
        return done

    async def _tell(self, tx: db.Tx, role_id: str, told: _Telling) -> None:
        await self._audit.record(tx, "role", role_id, told.action, told.by)
        await self._bus.publish(tx, told.exchange, {"version": 1, "roleId": role_id}, **events.KEY)


def _checked(roles: scopes.Roles, role_id: str, granted: tuple[str, ...] | None) -> scopes.Roles:
    try:
        return roles.replace(role_id, granted)
    except scopes.RoleCycle as error:
        raise errors.InputError("{reason}", reason=str(error), cycle=error.cycle) from None
    except scopes.RoleGrowth as error:
        raise errors.InputError("{reason}", reason=str(error), roleId=error.role_id) from None
    except scopes.RoleScopeError as error:
        raise errors.InputError("{reason}", reason=str(error), scope=error.scope) from None


async def _write(tx: db.Tx, *, query: db.Query, role_id: str, description: str, granted: tuple[str, ...]) -> int:
    return await tx.execute(query, role_id=role_id, description=description, scopes=store.as_json(granted), now=tx.now)


def absent(role_id: str) -> errors.ResourceNotFound:
    """The refusal of what needs a role that is not there."""
    return errors.ResourceNotFound("There is no role {roleId}: listRoleIds shows those there are.", roleId=role_id)


def _busy(role_id: str) -> errors.Unavailable:
    return errors.Unavailable("Roles are being changed by too many at once, so {roleId} was left as it is: try again.", roleId=role_id)
