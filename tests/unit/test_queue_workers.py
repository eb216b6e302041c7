"""Workers, task queues, counts and quarantine, on both engines."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tcbox import clock as clocks
from tcbox import db
from tests.support import databases
from tests.support import queue as support
from tests.support.databases import database  # noqa: F401
from tests.support.queue import QUEUE, Queue, queue  # noqa: F401
from tests.support.waiting import asleep, eventually

migrations = support.MIGRATIONS
KEY = ("proj", "ci", "group", "worker")


@pytest.fixture
def clock() -> clocks.VirtualClock:
    """A clock that the test alone moves."""
    return clocks.VirtualClock(still=True)


async def test_counts_and_lists_tell_what_waits_and_what_runs(queue: Queue) -> None:
    """Pending and claimed tasks are counted exactly and listed with their definitions, in pages."""
    tasks = [await queue.create() for _ in range(5)]
    await queue.claim(tasks=2)
    expected = {"provisionerId": "proj", "workerType": "ci", "taskQueueId": QUEUE}
    assert await queue.call("pendingTasks", QUEUE) == {**expected, "pendingTasks": 3}
    assert await queue.call("taskQueueCounts", QUEUE) == {**expected, "pendingTasks": 3, "claimedTasks": 2}
    counts = await queue.call("taskQueueCountsBatch", payload={"taskQueueIds": ["a/b", QUEUE]})
    assert [(c["pendingTasks"], c["claimedTasks"]) for c in counts["taskQueueCounts"]] == [(0, 0), (3, 2)]
    page = await queue.call("listPendingTasks", QUEUE, query={"limit": "2"})
    rest = await queue.call("listPendingTasks", QUEUE, query={"limit": "2", "continuationToken": page["continuationToken"]})
    assert [item["taskId"] for item in page["tasks"] + rest["tasks"]] == tasks[2:]
    claimed = await queue.call("listClaimedTasks", QUEUE)
    assert {item["taskId"] for item in claimed["tasks"]} == set(tasks[:2])
    assert {item["workerId"] for item in claimed["tasks"]} == {"worker"}


async def test_counting_several_queues_needs_scopes_for_each(queue: Queue) -> None:
    """taskQueueCountsBatch is refused when a scope for one of the queues is missing."""
    scopes = ["queue:pending-count:a/b", "queue:claimed-count:a/b", "queue:pending-count:c/d"]
    await queue.call("taskQueueCountsBatch", payload={"taskQueueIds": ["a/b"]}, scopes=scopes)
    assert (await queue.refused("taskQueueCountsBatch", payload={"taskQueueIds": ["a/b", "c/d"]}, scopes=scopes)).status == 403


async def test_a_worker_that_claims_is_known_with_what_it_claimed(queue: Queue) -> None:
    """getWorker and listWorkers show a worker after its first call, and its last 20 tasks."""
    for _ in range(22):
        await queue.create()
    last = ""
    for _ in range(22):
        [claim] = await queue.claim()
        last = claim["status"]["taskId"]
    worker = await queue.call("getWorker", *KEY)
    assert len(worker["recentTasks"]) == 20
    assert worker["recentTasks"][-1] == {"taskId": last, "runId": 0}
    [listed] = (await queue.call("listWorkers", "proj", "ci"))["workers"]
    assert listed["latestTask"] == {"taskId": last, "runId": 0}
    assert "quarantineUntil" not in listed


async def test_task_queues_and_provisioners_are_known_while_they_are_used(queue: Queue) -> None:
    """They are listed from the first claimWork on, and forgotten when nobody asked for long."""
    for name in ("proj/ci", "proj/b", "proj-x/a", "zed/a"):
        await queue.claim_now(queue=name)
    names = [item["taskQueueId"] for item in (await queue.call("listTaskQueues"))["taskQueues"]]
    assert names == ["proj-x/a", "proj/b", "proj/ci", "zed/a"]
    page = await queue.call("listProvisioners", query={"limit": "2"})
    rest = await queue.call("listProvisioners", query={"limit": "2", "continuationToken": page["continuationToken"]})
    assert [item["provisionerId"] for item in page["provisioners"] + rest["provisioners"]] == ["proj-x", "proj", "zed"]
    assert [item["workerType"] for item in (await queue.call("listWorkerTypes", "proj"))["workerTypes"]] == ["b", "ci"]
    assert (await queue.call("getWorkerType", "proj", "ci"))["taskQueueId"] == "proj/ci"
    assert (await queue.call("getTaskQueue", "proj/ci"))["stability"] == "experimental"
    assert (await queue.call("getProvisioner", "proj"))["provisionerId"] == "proj"
    queue.clock.advance(2 * clocks.DAY)
    assert (await queue.call("listTaskQueues"))["taskQueues"] == []
    assert (await queue.refused("getWorker", *KEY)).status == 404
    while await queue.service.work.expire():
        pass
    assert await queue.service.work.expire() == 0


async def test_a_worker_in_quarantine_gets_no_work(queue: Queue) -> None:
    """It waits the full time for nothing, is refused a certain run, shows in lists, and works again after; who did it, and why, is kept."""
    task_id = await queue.create()
    await queue.call("declareWorker", *KEY, payload={"expires": clocks.to_wire(queue.clock.now() + clocks.DAY)})
    until = clocks.to_wire(queue.clock.now() + clocks.HOUR)
    worker = await queue.call("quarantineWorker", *KEY, payload={"quarantineUntil": until, "quarantineInfo": "bad disk"})
    assert worker["quarantineUntil"] == until
    [details] = worker["quarantineDetails"]
    assert (details["clientId"], details["quarantineInfo"]) == ("tester", "bad disk")
    claim = asyncio.create_task(queue.claim())
    await eventually(lambda: queue.service.waiters._resting)
    await asleep(queue.clock)
    assert not claim.done()
    queue.clock.advance(21 * clocks.SECOND)
    assert await asyncio.wait_for(claim, 15) == []
    error = await queue.refused("claimTask", task_id, "0", payload=support.WORKER)
    assert (error.code, error.status, error.details["quarantineUntil"]) == ("RequestConflict", 409, until)
    assert await queue.state(task_id) == "pending"
    for value, count in (("true", 1), ("false", 0)):
        assert len((await queue.call("listWorkers", "proj", "ci", query={"quarantined": value}))["workers"]) == count
    queue.clock.advance(clocks.HOUR)
    assert len(await queue.claim()) == 1


async def test_quarantine_reaches_a_call_that_waits_already(queue: Queue) -> None:
    """A worker put into quarantine while its claimWork waits gets nothing; the task goes to the next who waits, at once."""
    bad = asyncio.create_task(queue.claim())
    await eventually(queue.service.waiters.waiting)
    good = asyncio.create_task(queue.claim(workerId="other"))
    await eventually(lambda: queue.service.waiters.waiting() == {QUEUE: 2})
    await queue.call("quarantineWorker", *KEY, payload={"quarantineUntil": clocks.to_wire(queue.clock.now() + clocks.HOUR)})
    task_id = await queue.create()
    [claimed] = await asyncio.wait_for(good, 15)
    assert (claimed["status"]["taskId"], claimed["workerId"]) == (task_id, "other")
    await eventually(lambda: queue.service.waiters._resting)
    await asleep(queue.clock)
    assert not bad.done()
    queue.clock.advance(21 * clocks.SECOND)
    assert await asyncio.wait_for(bad, 15) == []


async def test_a_task_made_by_another_process_wakes_who_waits(tmp_path: Path, clock: clocks.VirtualClock) -> None:
    """A claimWork that waits at one process gets a task that was created at another, told by it and not found by looking."""
    url = await databases.fresh("postgres", migrations, tmp_path)
    one, two = (db.connect(url, clock=clock) for _ in range(2))
    async with AsyncExitStack() as stack:
        for each in (one, two):
            await each.start(migrations)
            stack.push_async_callback(each.close)
        here = await stack.enter_async_context(support.started(one, clock))
        there = await stack.enter_async_context(support.started(two, clock))
        await databases.listening(one)
        first, second = (asyncio.create_task(here.claim(workerId=name)) for name in ("a", "b"))
        await eventually(lambda: here.service.waiters.waiting() == {QUEUE: 2})
        made = {await there.create() for _ in range(2)}
        claimed = await asyncio.wait_for(asyncio.gather(first, second), 20)
        assert {claim["status"]["taskId"] for [claim] in claimed} == made


async def test_a_declared_worker_lives_as_long_as_was_said(queue: Queue) -> None:
    """declareWorker makes a worker known, never shortens its life, and needs a scope for each property."""
    expires = clocks.to_wire(queue.clock.now() + 3 * clocks.DAY)
    scope = "queue:declare-worker:proj/ci/group/worker#expires"
    assert (await queue.call("declareWorker", *KEY, payload={"expires": expires}, scopes=[scope]))["expires"] == expires
    assert (await queue.refused("declareWorker", *KEY, payload={"expires": expires}, scopes=[scope[:-1]])).status == 403
    sooner = clocks.to_wire(queue.clock.now() + clocks.HOUR)
    assert (await queue.call("declareWorker", *KEY, payload={"expires": sooner}))["expires"] == expires


async def test_workers_in_quarantine_are_not_forgotten(queue: Queue) -> None:
    """A worker that has expired stays known while its quarantine lasts."""
    await queue.call("declareWorker", *KEY, payload={"expires": clocks.to_wire(queue.clock.now() + clocks.HOUR)})
    until = clocks.to_wire(queue.clock.now() + 30 * clocks.DAY)
    await queue.call("quarantineWorker", *KEY, payload={"quarantineUntil": until})
    queue.clock.advance(5 * clocks.DAY)
    while await queue.service.work.expire():
        pass
    assert (await queue.call("getWorker", *KEY))["quarantineUntil"] == until
    assert len((await queue.call("listWorkers", "proj", "ci"))["workers"]) == 1
