"""After any history of calls, what the database says of a task in its columns agrees with the task's status."""

from __future__ import annotations

import random

import pytest

from tcbox import clock as clocks
from tcbox import db, errors, ids
from tcbox.services.queue import priorities
from tcbox.services.queue import status as statuses
from tests.support import queue as support
from tests.support.databases import database  # noqa: F401
from tests.support.queue import Queue, clock, queue  # noqa: F401

migrations = support.MIGRATIONS


def statement(text: str) -> db.Query:
    return db.Query("test.read", "", text, text, ())


TASKS = statement("SELECT t.*, (SELECT count(*) FROM queue_dependencies d WHERE d.dependent_id = t.id AND d.satisfied = 0) AS waits FROM queue_tasks t")
GROUPS = statement(
    "SELECT g.task_group_id, g.active, (SELECT count(*) FROM queue_tasks t WHERE t.task_group_id = g.task_group_id "
    "AND t.ever_resolved = 0) AS counted FROM queue_task_groups g"
)


async def check(queue: Queue) -> None:
    for row in await queue.database.all(TASKS):
        status = statuses.decode(row["status"])
        assert row["state"] == status.state
        assert row["task_id"] == status.task_id
        assert row["priority"] == priorities.LEVEL[status.priority]
        assert (row["pending_rank"] is not None) == (status.state == "pending")
        assert (row["unresolved_until"] is not None) == (not status.resolved) == (row["expire_at"] is None)
        assert row["blocked"] == row["waits"]
        assert not status.resolved or row["ever_resolved"] == 1
        if status.state == "running":
            assert row["taken_until"] == clocks.from_wire(status.runs[-1].taken_until or "")
        else:
            assert row["taken_until"] is None
        if row["waits"] == 0:
            assert status.runs or row["deadline"] < queue.clock.now()
    for row in await queue.database.all(GROUPS):
        assert row["active"] == row["counted"]
    for name in ("proj/ci", "proj/b"):
        counts = await queue.call("taskQueueCounts", name)
        rows = [statuses.decode(row["status"]) for row in await queue.database.all(TASKS) if row["task_queue_id"] == name]
        assert counts["pendingTasks"] == sum(s.state == "pending" for s in rows)
        assert counts["claimedTasks"] == sum(s.state == "running" for s in rows)


@pytest.mark.parametrize("seed", range(3))
async def test_columns_agree_with_statuses_after_any_history(queue: Queue, seed: int) -> None:
    """Random calls, sensible or refused, with time passing and loops running, leave no column behind."""
    chance = random.Random(seed)
    tasks = [await queue.create()]
    groups = [ids.slugid() for _ in range(3)]
    for step in range(150):
        task_id, kind = chance.choice(tasks), chance.randrange(14)
        run = str(max(0, len((await queue.status(task_id))["runs"]) - 1))
        try:
            if kind < 3:
                needs = chance.sample(tasks, min(len(tasks), chance.randrange(4)))
                deadline = queue.clock.now() + chance.choice((clocks.HOUR, clocks.DAY))
                tasks.append(
                    await queue.create(
                        dependencies=needs,
                        requires=chance.choice(("all-completed", "all-resolved")),
                        taskGroupId=chance.choice(groups),
                        deadline=clocks.to_wire(deadline),
                        expires=clocks.to_wire(queue.clock.now() + 30 * clocks.DAY),
                        taskQueueId=chance.choice(("proj/ci", "proj/b")),
                        retries=chance.randrange(3),
                    )
                )
            elif kind < 5:
                await queue.call("claimTask", task_id, run, payload=support.WORKER)
            elif kind < 8:
                name, reason = chance.choice(
                    [("reportCompleted", None), ("reportFailed", None), ("reportException", "worker-shutdown"), ("reportException", "internal-error")]
                )
                await queue.call(name, task_id, run, payload={"reason": reason} if reason else None)
            elif kind < 11:
                name = chance.choice(("scheduleTask", "rerunTask", "cancelTask", "reclaimTask"))
                await queue.call(name, *((task_id, run) if name == "reclaimTask" else (task_id,)))
            elif kind == 11:
                await queue.call("changeTaskPriority", task_id, payload={"newPriority": chance.choice(priorities.LADDER)})
            elif kind == 12:
                await queue.call("changeTaskGroupPriority", chance.choice(groups), payload={"newPriority": chance.choice(priorities.LADDER)})
            else:
                queue.clock.advance(chance.choice((clocks.MINUTE, 25 * clocks.MINUTE)))
                await queue.service.work.expire_claims()
                await queue.service.work.enforce_deadlines()
        except errors.ApiError:
            pass
        if step % 15 == 0:
            await check(queue)
    await check(queue)
    await queue.events()
