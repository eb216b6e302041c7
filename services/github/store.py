"""Where deliveries, builds, check runs and comments are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tcbox import clock as clocks
from tcbox import db

sql = db.load(Path(__file__).parent / "sql", "github")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "github")

PENDING, SUCCESS, ERROR, FAILURE, CANCELLED = "pending", "success", "error", "failure", "cancelled"
DELIVERIES_KEPT = 7 * clocks.DAY
"""For how long a delivery is remembered; GitHub sends none again after three days."""
COMMENTS_KEPT = 1 * clocks.DAY
MOST_PENDING = 10_000


_REPOSITORY = ("organization", "repository")
_LISTS = {
    (): sql.list_builds,
    ("organization",): sql.list_builds_of_owner,
    _REPOSITORY: sql.list_builds_of_repository,
    (*_REPOSITORY, "sha"): sql.list_builds_of_commit,
    (*_REPOSITORY, "pull_number"): sql.list_builds_of_pull,
    (*_REPOSITORY, "sha", "pull_number"): sql.list_builds_of_commit_and_pull,
}
"""The statement for each way to narrow a list of builds."""


class Build(NamedTuple):
    """A task group that was created for an event; times in ms. See the table for the rest."""

    task_group_id: str
    organization: str
    repository: str
    sha: str
    state: str
    created: int
    updated: int
    installation_id: int
    event_type: str
    event_id: str
    pull_number: int | None
    branch: str | None = None
    reporting: str | None = None
    told: str | None = None


class Check(NamedTuple):
    """The check run of a task, and what it shows."""

    task_group_id: str
    task_id: str
    check_suite_id: int
    check_run_id: int
    told: str
    run_id: int
    annotated: int = 0


class Store:
    """The tables of the service."""

    def __init__(self, database: db.Database) -> None:
        self._db = database

    # -- installations

    async def installation(self, owner: str) -> int | None:
        """The installation of an owner."""
        row = await self._db.point(sql.get_integration, owner=owner.lower())
        return None if row is None else int(row["installation_id"])

    async def install(self, owner: str, installation_id: int) -> None:
        """Note that the app is installed on an owner."""
        await self._run(sql.set_integration, owner=owner.lower(), installation_id=installation_id)

    async def uninstall(self, owner: str, installation_id: int) -> None:
        """Note that it is not any more."""
        await self._run(sql.remove_integration, owner=owner.lower(), installation_id=installation_id)

    async def integrations(self) -> dict[str, int]:
        """All installations by owner."""
        found: dict[str, int] = {}
        after = ""
        while rows := await self._db.all(sql.list_integrations, after=after, limit=1000):
            found |= {row["owner"]: int(row["installation_id"]) for row in rows}
            after = rows[-1]["owner"]
        return found

    # -- deliveries

    async def begun(self, event_id: str) -> bool:
        """Whether what a delivery calls for may have been done, in part at least."""
        row = await self._db.point(sql.get_delivery, event_id=event_id)
        return row is not None and row["begun"] == 1

    async def begin(self, event_id: str) -> None:
        """What a delivery calls for is about to be done."""
        await self._run(sql.begin_delivery, event_id=event_id)

    # -- builds

    async def build(self, task_group_id: str) -> Build | None:
        """The build of a task group; a bounded read."""
        row = await self._db.point(sql.get_build, task_group_id=task_group_id)
        return None if row is None else _build(row)

    async def add(self, build: Build) -> Build:
        """Note a build, or find the one of this task group that is there."""
        values = build._asdict()
        for name in ("state", "created", "updated", "told"):
            values.pop(name)

        async def add(tx: db.Tx) -> Build:
            await tx.execute(sql.add_build, **values, now=tx.now)
            row = await tx.one(sql.get_build, task_group_id=build.task_group_id)
            assert row is not None
            return _build(row)

        return await self._db.transaction(add)

    async def remove(self, task_group_id: str) -> None:
        """Forget a build."""
        await self._run(sql.remove_build, task_group_id=task_group_id)

    async def set_state(self, task_group_id: str, state: str, *, force: bool = False) -> None:
        """How far a build has come; one that was canceled, or not created whole, stays so unless forced."""

        async def update(tx: db.Tx) -> None:
            await tx.execute(sql.set_build_state, task_group_id=task_group_id, state=state, force=int(force), now=tx.now)

        await self._db.transaction(update)

    async def set_told(self, task_group_id: str, told: str) -> None:
        """What a build's commit status shows."""
        await self._run(sql.set_build_told, task_group_id=task_group_id, told=told)

    async def builds(
        self, limit: int, after: tuple[int, str], *, organization: str | None, repository: str | None, sha: str | None, pull_number: int | None
    ) -> list[Build]:
        """So many builds after one, by their last change: of an owner, of a repository of it, of a commit or pull request of that."""
        narrow = {"organization": organization, "repository": repository, "sha": sha, "pull_number": pull_number}
        given = {name: value for name, value in narrow.items() if value is not None}
        rows = await self._db.all(_LISTS[tuple(given)], **given, updated=after[0], after=after[1], limit=limit)
        return [_build(row) for row in rows]

    async def pending(self, organization: str, repository: str, *, sha: str | None = None, pull_number: int | None = None) -> list[Build]:
        """Builds that have not ended, of a repository, of a commit of it, or of a pull request."""
        rows = await self._db.all(sql.pending_builds, organization=organization, repository=repository, limit=MOST_PENDING)
        found = (_build(row) for row in rows)
        return [build for build in found if sha in (None, build.sha) and pull_number in (None, build.pull_number)]

    # -- check runs

    async def check(self, task_group_id: str, task_id: str) -> Check | None:
        """The check run of a task."""
        row = await self._db.point(sql.get_check, task_group_id=task_group_id, task_id=task_id)
        return None if row is None else _check(row)

    async def check_by_run(self, check_suite_id: int, check_run_id: int) -> Check | None:
        """The check run of this number."""
        row = await self._db.point(sql.find_check, check_suite_id=check_suite_id, check_run_id=check_run_id)
        return None if row is None else _check(row)

    async def has_checks(self, task_group_id: str) -> bool:
        """Whether a task group has any check run."""
        return await self._db.point(sql.any_check, task_group_id=task_group_id) is not None

    async def set_check(self, check: Check) -> None:
        """Note a check run and what it shows."""
        await self._run(sql.set_check, **check._asdict())

    # -- comments

    async def commented(self, digest: str, now: int) -> bool:
        """Whether a comment was written of late."""
        row = await self._db.point(sql.get_comment, digest=digest)
        return row is not None and row["sent"] > now - COMMENTS_KEPT

    async def note_comment(self, digest: str) -> None:
        """Note that a comment was written."""

        async def add(tx: db.Tx) -> None:
            await tx.execute(sql.add_comment, digest=digest, now=tx.now)

        await self._db.transaction(add)

    async def expire(self) -> None:
        """Forget deliveries and comments of long ago."""

        async def expire(tx: db.Tx) -> None:
            await tx.execute(sql.expire_deliveries, before=tx.now - DELIVERIES_KEPT)
            await tx.execute(sql.expire_comments, before=tx.now - COMMENTS_KEPT)

        await self._db.transaction(expire)

    async def _run(self, query: db.Query, **params: Any) -> None:
        async def run(tx: db.Tx) -> None:
            await tx.execute(query, **params)

        await self._db.transaction(run)


def digest(parts: Iterable[object]) -> str:
    """A short name for a comment at a place."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _build(row: db.Row) -> Build:
    return Build(*(row[name] for name in Build._fields))


def _check(row: db.Row) -> Check:
    return Check(*(row[name] for name in Check._fields))
