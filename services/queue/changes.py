"""Changes of tasks as they happen in a transaction: the new state is written, announced, and its consequences follow.

All that a resolution entails (dependents that may run now, a task group that is resolved) happens in the same
transaction, or is written down in it for the `dependencies` loop, so that nothing is lost when the process ends.
"""

from __future__ import annotations

from typing import Any

from tcbox import clock, db, events
from tcbox.services.queue import events as exchanges
from tcbox.services.queue import messages, store, transitions
from tcbox.services.queue.alarms import Alarms
from tcbox.services.queue.status import Status
from tcbox.services.queue.store import Task, sql
from tcbox.services.queue.transitions import Announcement, Change
from tcbox.services.queue.waiters import Waiters

_DEFINED = Announcement("defined", -1)

INLINE = 50
"""Dependents that are looked after in the transaction of a resolution; if there are more, the loop does it."""

LAST_MINUTE = clock.MINUTE
"""What waits for a task that has missed its deadline is not scheduled when its own deadline is less than this away, in ms."""


class Changes:
    """Applies changes to tasks.

    Args:
        bus: takes the messages.
        waiters: are woken when a task becomes pending.
        alarms: are set to when a loop has something to do.
        expiration_delay: how long after `expires` a resolved task is removed, in ms.
    """

    def __init__(self, bus: events.Bus, waiters: Waiters, alarms: Alarms, *, expiration_delay: int) -> None:
        self._bus = bus
        self._waiters = waiters
        self._alarms = alarms
        self._expiration_delay = expiration_delay

    async def apply(self, tx: db.Tx, task: Task, change: Change) -> None:
        """Write a change, announce it, and see to what follows from it."""
        await store.save(tx, task, change, self._expiration_delay)
        await self.announce(tx, task, change.after, change.announcements)
        if change.pending:
            self.wake(tx, change.after.task_queue_id)
        if change.resolves:
            await self._resolved(tx, task, change.after)

    async def announce(self, tx: db.Tx, task: Task, status: Status, announcements: tuple[Announcement, ...]) -> None:
        """Publish messages about a task's runs."""
        if announcements:
            await self._bus.publish_all(tx, [messages.announcement(task, status, said) for said in announcements])

    async def created(self, tx: db.Tx, task: Task, initial: Status) -> None:
        """Announce a new task, and, when it can run at once, that it is pending."""
        said = [messages.announcement(task, initial, _DEFINED)]
        if task.status.runs:
            said.append(messages.announcement(task, task.status, transitions.FIRST_PENDING))
            self.wake(tx, task.status.task_queue_id)
        await self._bus.publish_all(tx, said)

    async def publish(self, tx: db.Tx, task: Task, exchange: events.Exchange, content: dict[str, Any]) -> None:
        """Publish one message about a task; its `status`, and the words of its routing key, are in it."""
        await self._bus.publish_all(tx, (messages.message(task, exchange, content),))

    async def publish_group(self, tx: db.Tx, exchange: events.Exchange, message: dict[str, Any]) -> None:
        """Publish one message about a task group."""
        await self._bus.publish(tx, exchange, {"version": 1, **message}, taskGroupId=message["taskGroupId"], schedulerId=message["schedulerId"])

    def wake(self, tx: db.Tx, task_queue_id: str) -> None:
        """Tell whoever waits for work of this task queue, once the transaction is committed."""
        waiters = self._waiters
        tx.after_commit(lambda: waiters.wake(task_queue_id))

    async def _resolved(self, tx: db.Tx, task: Task, status: Status) -> None:
        completed = 1 if status.state == "completed" else 0
        waiting = await tx.all(sql.waiting_dependents, required_id=task.id, completed=completed, limit=INLINE + 1)
        if len(waiting) > INLINE:
            await tx.execute(sql.defer_resolution, required_id=task.id, completed=completed)
            tx.after_commit(self._alarms.dependencies.ring)
        else:
            await self.satisfy(tx, task.id, [row[0] for row in waiting], late=status.late)
        # the group's row comes last, so that transactions that resolve tasks of one group lock in one order
        group = await tx.one(sql.leave_group, task_group_id=status.task_group_id, first=0 if task.ever_resolved else 1)
        if group is not None and group["active"] <= 0:
            await self.publish_group(tx, exchanges.task_group_resolved, group_document(status.task_group_id, group))

    async def satisfy(self, tx: db.Tx, required_id: int, dependents: list[int], *, late: bool) -> None:
        """These tasks no longer wait for that one; schedule those that wait for nothing any more.

        Args:
            late: that one has missed its deadline. Tasks made together have deadlines moments apart, so those that would
                be begun for moments are left to their own deadline.
        """
        earliest = tx.now + (LAST_MINUTE if late else 0)
        for dependent_id in dependents:
            if not await tx.execute(sql.satisfy_dependency, required_id=required_id, dependent_id=dependent_id):
                continue
            row = await tx.one(sql.unblock, id=dependent_id)
            if row is not None and row["blocked"] <= 0 and row["deadline"] >= earliest:
                await self.schedule(tx, store.task(row))

    async def schedule(self, tx: db.Tx, task: Task) -> Status | None:
        """Schedule a task that has no run; the status that it has then, None when its deadline has passed."""
        if task.deadline < tx.now:
            return None
        change = transitions.schedule(task.status, tx.now)
        if change is None:
            return task.status
        await self.apply(tx, task, change)
        return change.after


def group_document(task_group_id: str, row: db.Row) -> dict[str, Any]:
    """A task group as replies and messages show it."""
    document = {
        "taskGroupId": task_group_id,
        "schedulerId": row["scheduler_id"],
        "expires": clock.to_wire(row["expires"]),
    }
    if row["sealed"] is not None:
        document["sealed"] = clock.to_wire(row["sealed"])
    return document
