"""The queue's tables: statements, rows as values, and the writing of a task's change of state."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from tcbox import clock, db
from tcbox.services.queue import priorities
from tcbox.services.queue import status as statuses
from tcbox.services.queue.status import Status
from tcbox.services.queue.transitions import Change

sql = db.load(Path(__file__).parent / "sql", "queue")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "queue")

_strings = msgspec.json.Decoder(list[str]).decode


class Task(msgspec.Struct, frozen=True):
    """A task's row.

    Attributes:
        id: the number of its row.
        deadline, expires: ms since the epoch.
        ever_resolved: whether it was resolved before, maybe ahead of a rerun.
        tags: the JSON of `task.tags`.
    """

    id: int
    deadline: int
    expires: int
    ever_resolved: bool
    routes: list[str]
    tags: str
    status: Status


def task(row: db.Row) -> Task:
    """A row of one of the statements that give a task's state."""
    routes = row["routes"]
    return Task(
        row["id"], row["deadline"], row["expires"], row["ever_resolved"] == 1,
        [] if routes == "[]" else _strings(routes), row["tags"], statuses.decode(row["status"]),
    )  # fmt: skip


def tasks(rows: Iterable[db.Row]) -> list[Task]:
    """Rows of one of the statements that give a task's state."""
    return [task(row) for row in rows]


async def save(tx: db.Tx, before: Task, change: Change, expiration_delay: int) -> None:
    """Write a task's change of state, touching no more indices than the change does.

    Args:
        expiration_delay: how long after `expires` a resolved task is removed, in ms.
    """
    after, row_id = change.after, before.id
    status, state = statuses.encode(after), after.state
    if after.resolved:
        await tx.execute(sql.save_resolved, id=row_id, status=status, state=state, expire_at=before.expires + expiration_delay)
    elif change.pending:
        rank = priorities.rank(after.priority, tx.now)
        statement = {"unscheduled": sql.save_scheduled, "running": sql.save_retried}.get(change.before.state, sql.save_rerun)
        if after.runs[-1].reason_created == "rerun":
            statement = sql.save_rerun
        await tx.execute(statement, id=row_id, status=status, state=state, pending_rank=rank)
    else:
        taken_until = clock.from_wire(after.runs[-1].taken_until or "")
        if change.before.state == "pending":
            await tx.execute(sql.save_claimed, id=row_id, status=status, state=state, taken_until=taken_until)
        else:
            await tx.execute(sql.save_reclaimed, id=row_id, status=status, taken_until=taken_until)


async def save_priority(tx: db.Tx, before: Task, change: Change) -> None:
    """Write a task's other priority; a pending one is put where it would stand had it always had it."""
    last = change.after.runs[-1].scheduled if change.after.runs else change.after.deadline
    await tx.execute(
        sql.save_priority, id=before.id, status=statuses.encode(change.after),
        priority=priorities.LEVEL[change.after.priority],
        pending_rank=priorities.rank(change.after.priority, clock.from_wire(last)),
    )  # fmt: skip
