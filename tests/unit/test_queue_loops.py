"""What the queue does by itself: claims that end, deadlines, expiry, workers that wait, workers that are gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tcbox import clock as clocks
from tcbox import db, ids
from tcbox.events import Exchanges
from tcbox.services.queue.store import sql
from tests.support import queue as support
from tests.support.databases import database, listening  # noqa: F401
from tests.support.queue import QUEUE, Queue, queue  # noqa: F401
from tests.support.waiting import asleep, eventually, sleepers

migrations = support.MIGRATIONS


@pytest.fixture
def clock() -> clocks.VirtualClock:
    """A clock that the test alone moves."""
    return clocks.VirtualClock(still=True)


async def test_a_claim_that_is_not_renewed_is_retried(queue: Queue) -> None:
    """After takenUntil the run ends as claim-expired and a new one is pending; not before, and not when it was renewed."""
    lost, kept = await queue.create(), await queue.create()
    await queue.claim(tasks=2)
    queue.clock.advance(19 * clocks.MINUTE)
    assert await queue.service.work.expire_claims() == 0
    await queue.call("reclaimTask", kept, "0")
    await queue.events()
    queue.clock.advance(2 * clocks.MINUTE)
    assert await queue.service.work.expire_claims() == 1
    status = await queue.status(lost)
    assert [run.get("reasonResolved") for run in status["runs"]] == ["claim-expired", None]
    assert (status["state"], status["retriesLeft"]) == ("pending", 4)
    assert await queue.state(kept) == "running"
    assert await queue.announced() == ["exception", "pending"]
    assert (await queue.refused("reportCompleted", lost, "0")).status == 409


async def test_a_task_out_of_retries_is_resolved_when_its_claim_ends(queue: Queue) -> None:
    """Without retries left, a lost claim resolves the task, and who waits for its end may go on."""
    task_id = await queue.create(retries=0)
    dependent = await queue.create(dependencies=[task_id], requires="all-resolved")
    await queue.claim()
    queue.clock.advance(21 * clocks.MINUTE)
    await queue.service.work.expire_claims()
    assert await queue.state(task_id) == "exception"
    assert await queue.state(dependent) == "pending"


async def test_tasks_are_resolved_at_their_deadline(queue: Queue) -> None:
    """Unscheduled, pending and running tasks end as deadline-exceeded, without a worker in the message."""
    pending, running = await queue.create(), await queue.create(priority="high")
    waiting = await queue.create(dependencies=[pending])
    await queue.claim()
    await queue.events()
    queue.clock.advance(clocks.DAY - clocks.MINUTE)
    assert await queue.service.work.enforce_deadlines() == 0
    queue.clock.advance(2 * clocks.MINUTE)
    assert await queue.service.work.expire_claims() == 0
    assert await queue.service.work.enforce_deadlines() == 3
    for task_id in (pending, running, waiting):
        status = await queue.status(task_id)
        assert (status["state"], status["runs"][-1]["reasonResolved"]) == ("exception", "deadline-exceeded")
    found = [event for event in await queue.events() if event.exchange.endswith("task-exception")]
    assert len(found) == 3
    assert all("workerId" not in event.payload for event in found)
    assert await queue.claim_now() == []


@pytest.mark.parametrize("many", [0, 60])
async def test_a_missed_deadline_begins_nothing_that_would_miss_its_own_a_moment_later(queue: Queue, many: int) -> None:
    """Dependents that wait for any end are scheduled only if they have a minute left, whoever looks after them: resolution or loop."""
    first = await queue.create()
    by = {seconds: clocks.to_wire(queue.clock.now() + clocks.DAY + seconds * clocks.SECOND) for seconds in (30, 120)}
    brief = [await queue.create(dependencies=[first], requires="all-resolved", deadline=by[30]) for _ in range(1 + many)]
    long = await queue.create(dependencies=[first], requires="all-resolved", deadline=by[120])
    queue.clock.advance(clocks.DAY + clocks.SECOND)
    assert await queue.service.work.enforce_deadlines() == 1
    while await queue.service.work.satisfy_dependents():
        pass
    assert {await queue.state(task_id) for task_id in brief} == {"unscheduled"}
    assert await queue.state(long) == "pending"
    assert (await queue.call("scheduleTask", brief[0]))["status"]["state"] == "pending"
    queue.clock.advance(clocks.MINUTE)
    assert await queue.service.work.enforce_deadlines() == len(brief)


async def test_what_has_expired_is_removed(queue: Queue) -> None:
    """Half an hour after they expire, tasks, definitions, groups, artifacts and their bytes are gone; nothing before."""
    task_id = await queue.create()
    dependent = await queue.create(dependencies=[task_id], expires=clocks.to_wire(queue.clock.now() + 9 * clocks.DAY))
    await queue.call("claimTask", task_id, "0", payload=support.WORKER)
    expires = clocks.to_wire(queue.clock.now() + clocks.HOUR)
    await queue.call("createArtifact", task_id, "0", "public/a", payload={"storageType": "s3", "expires": expires, "contentType": "text/plain"})
    await queue.call("reportCompleted", task_id, "0")
    assert await queue.service.work.expire() == 0
    queue.clock.advance(clocks.HOUR + clocks.MINUTE)
    assert (await queue.refused("getArtifact", task_id, "0", "public/a")).status == 410
    queue.clock.advance(clocks.HOUR)
    assert await queue.service.work.expire() == 1
    assert queue.bytes.deleted == [f"{task_id}/0/public/a"]
    assert (await queue.refused("getArtifact", task_id, "0", "public/a")).status == 404
    queue.clock.advance(2 * clocks.DAY)
    await queue.service.work.enforce_deadlines()
    while await queue.service.work.expire():
        pass
    assert (await queue.refused("status", task_id)).status == 404
    assert (await queue.refused("task", task_id)).status == 404
    assert (await queue.refused("getTaskGroup", task_id)).status == 404
    assert await queue.state(dependent) == "exception"


async def test_a_loop_sleeps_until_something_is_due(queue: Queue) -> None:
    """The deadlines loop looks once, waits, and wakes with the clock at the next deadline or when one comes earlier."""
    loop = asyncio.create_task(queue.service.work.deadlines())
    await asleep(queue.clock)
    assert not loop.done()
    now = queue.clock.now()
    task_id = await queue.create(deadline=clocks.to_wire(now + 4 * clocks.SECOND))
    await asleep(queue.clock, within=5 * clocks.SECOND)
    assert not loop.done()
    queue.clock.advance(5 * clocks.SECOND)
    await asyncio.wait_for(loop, 15)
    await asyncio.wait_for(_once(queue), 15)
    assert await queue.state(task_id) == "exception"


async def _once(queue: Queue) -> None:
    while await queue.service.work.enforce_deadlines():
        pass


async def test_a_waiting_worker_gets_a_new_task_at_once(queue: Queue) -> None:
    """claimWork that waits is answered within milliseconds of createTask, the longest waiting worker first."""
    first = asyncio.create_task(queue.claim(workerId="first"))
    await eventually(queue.service.waiters.waiting)
    second = asyncio.create_task(queue.claim(workerId="second"))
    await eventually(lambda: queue.service.waiters.waiting() == {QUEUE: 2})
    await listening(queue.database)
    for _ in range(2):
        queue.service.waiters.hear(None)  # maybe something was missed: one after the other looks, in vain, and keeps its place
    await eventually(lambda: queue.service.waiters.waiting() == {QUEUE: 2})
    await queue.create()
    [claim] = await asyncio.wait_for(first, 15)  # without being woken it would wait its full time
    assert claim["workerId"] == "first"
    assert not second.done()
    await queue.create()
    [claim] = await asyncio.wait_for(second, 15)
    assert claim["workerId"] == "second"


async def test_a_worker_without_work_is_sent_home_after_20_seconds(queue: Queue) -> None:
    """claimWork waits 20 s of the clock's time and then gives an empty list."""
    await listening(queue.database)  # it is woken once when that begins
    claim = asyncio.create_task(queue.claim())
    await eventually(queue.service.waiters.waiting)
    await asleep(queue.clock)
    queue.clock.advance(20 * clocks.SECOND - 1)
    await asyncio.sleep(0.02)
    assert not claim.done() and sleepers(queue.clock) == 1
    queue.clock.advance(1)
    assert await asyncio.wait_for(claim, 15) == []
    assert queue.service.waiters.waiting() == {}


async def test_nothing_is_claimed_on_the_way_down(queue: Queue) -> None:
    """drain answers those who wait at once, and claims nothing more."""
    claim = asyncio.create_task(queue.claim())
    await eventually(queue.service.waiters.waiting)
    queue.service.drain()
    assert await asyncio.wait_for(claim, 15) == []
    task_id = await queue.create()
    assert await queue.claim() == []
    assert await queue.state(task_id) == "pending"


async def test_a_caller_who_leaves_passes_its_turn_on(queue: Queue) -> None:
    """A worker that goes away while it waits, even when just woken, takes no task from the next one."""
    gone = asyncio.create_task(queue.claim(workerId="gone"))
    await eventually(queue.service.waiters.waiting)
    stays = asyncio.create_task(queue.claim(workerId="stays"))
    await eventually(lambda: queue.service.waiters.waiting() == {QUEUE: 2})
    await _insert_silently(queue)
    queue.service.waiters.wake(QUEUE)
    gone.cancel()
    [claim] = await asyncio.wait_for(stays, 15)
    assert claim["workerId"] == "stays"


async def test_a_caller_who_leaves_while_it_is_given_a_task_gives_it_back(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that is kept when its worker has gone already is undone at once, whether or not the task may be retried."""
    task_id = await queue.create(retries=0)
    gone = asyncio.create_task(queue.claim(workerId="gone"))
    kept = queue.database.transaction

    async def leave(fn: Any, **options: Any) -> Any:
        async def claimed(tx: db.Tx) -> Any:
            result = await fn(tx)
            if result and not gone.done():
                asyncio.get_running_loop().call_soon(gone.cancel)
            return result

        return await kept(claimed, **options)

    with monkeypatch.context() as patched:
        patched.setattr(queue.database, "transaction", leave)
        await asyncio.wait((gone,), timeout=15)
    assert gone.cancelled()
    [claim] = await asyncio.wait_for(queue.claim(workerId="stays"), 15)
    assert (claim["status"]["taskId"], claim["workerId"]) == (task_id, "stays")
    *given_back, run = claim["status"]["runs"]
    if given_back or queue.database.engine == "sqlite":  # PostgreSQL may have been told in time not to keep it
        assert [(each["workerId"], each["reasonResolved"], run["reasonCreated"]) for each in given_back] == [("gone", "worker-shutdown", "retry")]
    assert claim["status"]["retriesLeft"] == 0


async def test_tasks_that_another_process_made_pending_are_found(queue: Queue) -> None:
    """The pending loop wakes a waiting worker for a task that nobody in this process announced."""
    await listening(queue.database)
    claim = asyncio.create_task(queue.claim())
    await eventually(queue.service.waiters.waiting)
    await _insert_silently(queue)
    await asyncio.sleep(0.05)
    assert not claim.done()
    await queue.service.work.pending()
    assert len(await asyncio.wait_for(claim, 15)) == 1


async def _insert_silently(queue: Queue) -> None:
    """Make a task pending in another queue, then move it here: nobody is told."""
    task_id = await queue.create(taskQueueId="other/queue")
    row = await queue.database.one(sql.get_task, task_id=task_id)
    assert row is not None
    move = db.Query("test.move", "", *["UPDATE queue_tasks SET task_queue_id = 'proj/ci'"] * 2, ())

    async def change(tx: db.Tx) -> None:
        await tx.execute(move)

    await queue.database.transaction(change)


async def test_runs_of_a_worker_that_is_gone_are_retried_at_once(queue: Queue) -> None:
    """worker_removed ends what that worker ran as worker-shutdown, and nothing of others; twice does no harm."""
    mine, other = await queue.create(priority="high"), await queue.create()
    await queue.claim(workerId="mine")
    await queue.claim(workerId="other")
    assert await queue.service.removals.worker_removed(QUEUE, "group", "mine", "spot") == 1
    assert await queue.service.removals.worker_removed(QUEUE, "group", "mine", "spot") == 0
    status = await queue.status(mine)
    assert (status["runs"][0]["reasonResolved"], status["runs"][1]["reasonCreated"]) == ("worker-shutdown", "retry")
    assert await queue.state(other) == "running"


async def test_the_worker_managers_messages_end_runs(database: db.Database, clock: clocks.VirtualClock) -> None:
    """With watch_workers, a worker-removed message ends what that worker ran."""
    manager = Exchanges("worker-manager", title="t", description="d").declare(
        "worker-removed", name="workerRemoved", title="t", description="d", schema="s", keys=()
    )
    async with support.started(database, clock, watch_workers=True) as queue:
        task_id = await queue.create()
        await queue.claim()

        async def announce(tx: db.Tx) -> None:
            await queue.bus.publish(tx, manager, {"workerPoolId": QUEUE, "workerGroup": "group", "workerId": "worker", "reason": "spot"})

        await database.transaction(announce)

        async def pending() -> bool:
            return await queue.state(task_id) == "pending"

        await eventually(pending)
        assert (await queue.status(task_id))["runs"][0]["reasonResolved"] == "worker-shutdown"


async def test_idle_loops_find_nothing_to_do(queue: Queue) -> None:
    """On an empty database every step of every loop does nothing."""
    work = queue.service.work
    assert [await step() for step in (work.satisfy_dependents, work.expire_claims, work.enforce_deadlines, work.expire)] == [0, 0, 0, 0]
    assert (await queue.refused("status", ids.slugid())).status == 404
