"""Creating tasks: the definition is stored, its group joined, its dependencies checked, and its first run made."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors
from tcbox.services.queue import definitions, priorities, transitions
from tcbox.services.queue import status as statuses
from tcbox.services.queue.alarms import Alarms
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.definitions import Definition
from tcbox.services.queue.numbers import Numbers
from tcbox.services.queue.sightings import Sightings
from tcbox.services.queue.status import Status
from tcbox.services.queue.store import Task, sql

MANY = 500
"""Dependencies from which on creating the task takes so long that others should not wait for it on the event loop."""

_encode = msgspec.json.Encoder().encode
_GRACE = clocks.HOUR


class Creation:
    """Creates tasks.

    Args:
        deadline_delay: how long after its deadline a task is resolved, in ms.
    """

    def __init__(self, database: db.Database, changes: Changes, alarms: Alarms, sightings: Sightings, *, deadline_delay: int) -> None:
        self._db = database
        self._changes = changes
        self._alarms = alarms
        self._sightings = sightings
        self._deadline_delay = deadline_delay
        self._numbers = Numbers()

    async def create(self, definition: Definition) -> Status:
        """Create a task, or find that this very task is there already; its status.

        Raises RequestConflict when the taskId is another task's, or its group is sealed or another scheduler's, and
        InputError for dependencies that are missing or expire too early.
        """
        text = definition.text()
        dependencies = definition.document["dependencies"]

        async def create(tx: db.Tx) -> Status:
            if dependencies:
                return await self._with_dependencies(tx, definition, text)
            return await self._insert(tx, definition, text, 0) or await self._existing(tx, definition, text)

        # tasks of one group change the group's row last, and many are created at once; dependencies must be seen as they were together
        status = await self._db.transaction(create, bulk=len(dependencies) > MANY, queued=not dependencies)
        await self._sightings.task_queue(status.task_queue_id)
        self._alarms.deadlines.no_later_than(definition.deadline + self._deadline_delay + 1)
        return status

    async def _insert(self, tx: db.Tx, definition: Definition, text: str, blocked: int) -> Status | None:
        document, initial, now = definition.document, definition.status(), tx.now
        change = None if blocked else transitions.schedule(initial, now)
        after = initial if change is None else change.after
        tags, routes = document["tags"], document["routes"]
        task = Task(
            id=self._numbers.next(now), deadline=definition.deadline, expires=definition.expires, ever_resolved=False,
            routes=routes, tags=_encode(tags).decode() if tags else "{}", status=after,
        )  # fmt: skip
        inserted = await tx.execute(
            sql.insert_task, id=task.id, task_id=definition.task_id, task_group_id=after.task_group_id,
            task_queue_id=after.task_queue_id, priority=priorities.LEVEL[after.priority],
            deadline=task.deadline, expires=task.expires, state=after.state, blocked=blocked,
            pending_rank=priorities.rank(after.priority, now) if change else None,
            routes=_encode(routes).decode() if routes else "[]", tags=task.tags, status=statuses.encode(after),
        )  # fmt: skip
        if not inserted:
            return None
        await tx.execute(sql.insert_definition, id=task.id, definition=text)
        await self._changes.created(tx, task, initial)
        await self._join_group(tx, definition)
        return after

    async def _join_group(self, tx: db.Tx, definition: Definition) -> None:
        task_group_id, scheduler_id = definition.document["taskGroupId"], definition.document["schedulerId"]
        if await tx.execute(sql.enter_group, task_group_id=task_group_id, scheduler_id=scheduler_id, until=definition.expires):
            return
        expires = definition.expires + _GRACE
        group = await tx.one(sql.join_group, task_group_id=task_group_id, scheduler_id=scheduler_id, expires=expires)
        if group is None:
            return
        _check_group(group, definition.document)
        if definition.expires > group["expires"]:
            await tx.execute(sql.extend_group, task_group_id=task_group_id, expires=expires)

    async def _existing(self, tx: db.Tx, definition: Definition, text: str) -> Status:
        row = await tx.one(sql.get_task, task_id=definition.task_id)
        stored = await tx.value(sql.get_definition, task_id=definition.task_id)
        group = await tx.one(sql.get_group, task_group_id=definition.document["taskGroupId"])
        if group is not None:
            _check_group(group, definition.document)
        if row is None or stored is None or not definitions.same(stored, text):
            raise errors.RequestConflict(
                "taskId `{taskId}` already used by another task. This could be the result of faulty idempotency: "
                "repeat a call with the very same definition, and make a new taskId for a new task.",
                taskId=definition.task_id,
            )
        return statuses.decode(row["status"])

    async def _with_dependencies(self, tx: db.Tx, definition: Definition, text: str) -> Status:
        if await tx.one(sql.get_status, task_id=definition.task_id) is not None:
            return await self._existing(tx, definition, text)
        document = definition.document
        rows = await tx.all(sql.required_tasks, task_ids=_encode(document["dependencies"]).decode())
        _check_dependencies(definition, rows)
        satisfying = {"completed"} if document["requires"] == "all-completed" else {"completed", "failed", "exception"}
        satisfied = {row["id"]: int(row["state"] in satisfying) for row in rows}
        itself = definition.task_id in document["dependencies"]
        blocked = len(satisfied) - sum(satisfied.values()) + itself
        status = await self._insert(tx, definition, text, blocked)
        if status is None:
            return await self._existing(tx, definition, text)
        row = await tx.one(sql.get_task, task_id=definition.task_id)
        assert row is not None
        if itself:
            satisfied[row["id"]] = 0
        requires_success = int(document["requires"] == "all-completed")
        await tx.many(
            sql.add_dependency,
            [
                {"required_id": required, "dependent_id": row["id"], "requires_success": requires_success, "satisfied": done}
                for required, done in satisfied.items()
            ],
        )
        return status


def _check_group(group: db.Row, document: dict[str, Any]) -> None:
    details = {"taskGroupId": document["taskGroupId"], "schedulerId": document["schedulerId"]}
    if group["scheduler_id"] != document["schedulerId"]:
        raise errors.RequestConflict(
            "Task group `{taskGroupId}` contains tasks with a schedulerId other than `{schedulerId}`. All tasks in the same "
            "task-group must have the same schedulerId: use that one, or another group.",
            **details,
        )
    if group["sealed"] is not None:
        raise errors.RequestConflict("Task group `{taskGroupId}` is sealed and does not accept new tasks: create the task in another group.", **details)


def _check_dependencies(definition: Definition, rows: list[db.Row]) -> None:
    found = {row["task_id"] for row in rows} | {definition.task_id}
    dependencies = definition.document["dependencies"]
    missing = [task_id for task_id in dependencies if task_id not in found]
    expiring = [row["task_id"] for row in rows if definition.deadline > row["expires"]] if not missing else []
    if missing:
        raise _refused(
            definition, missing, [],
            "`task.dependencies` references non-existing tasks:\n{listed}\n"
            "All taskIds in `task.dependencies` must exist before the task is created: create those first.",
        )  # fmt: skip
    if expiring:
        raise _refused(
            definition, [], expiring,
            "`task.dependencies` references tasks that expire before `task.deadline`:\n{listed}\n"
            "All taskIds in `task.dependencies` must have a `task.expires` greater than the `deadline` of this task.",
        )  # fmt: skip


def _refused(definition: Definition, missing: list[str], expiring: list[str], message: str) -> errors.InputError:
    return errors.InputError(
        message,
        listed="\n".join(f" * {task_id}" for task_id in missing + expiring),
        dependencies=definition.document["dependencies"],
        missingTaskDependencies=missing,
        expiringTaskDependencies=expiring,
    )
