"""Tasks from their creation to their resolution, as callers of the API see them, on both engines."""

from __future__ import annotations

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox import ids
from tcbox.api import refusals
from tests.support import queue as support
from tests.support.databases import database  # noqa: F401
from tests.support.queue import Queue, clock, queue  # noqa: F401
from tests.support.service import Caller

migrations = support.MIGRATIONS
MISSING = "AAAAAAAAQAaAAAAAAAAAAA"


async def test_a_task_runs_from_creation_to_completion(queue: Queue) -> None:
    """A task without dependencies is pending at once, is handed to a worker, and ends as the worker reports."""
    task_id = await queue.create(routes=["a.b"], tags={"k": "v"})
    [claim] = await queue.claim()
    assert claim["status"]["taskId"] == task_id
    assert claim["credentials"]["clientId"].startswith(f"task-client/{task_id}/0/on/group/worker/until/")
    reply = await queue.call("reportCompleted", task_id, "0")
    assert reply["status"]["state"] == "completed"
    assert reply["status"] == await queue.status(task_id)
    found = await queue.events()
    assert [event.exchange.rpartition("/")[2] for event in found] == [
        "task-defined",
        "task-pending",
        "task-running",
        "task-completed",
        "task-group-resolved",
    ]
    assert found[0].routing_key == f"primary.{task_id}._._._.proj.ci.sched.{task_id}._"
    assert found[3].routing_key == f"primary.{task_id}.0.group.worker.proj.ci.sched.{task_id}._"
    assert all(event.cc == ("a.b",) for event in found[:4])
    assert found[0].payload["status"]["state"] == "unscheduled"
    assert found[3].payload["task"] == {"tags": {"k": "v"}}


async def test_a_definition_comes_back_exactly_as_it_went_in(queue: Queue) -> None:
    """Free-form parts keep key order, large integers, floats and nulls; defaults are filled in."""
    payload = {"z": 1, "a": {"big": 2**80, "float": 1.0, "none": None, "text": "\u0000é"}}
    task_id = await queue.create(payload=payload, extra={"b": [1.5e300]})
    task = await queue.call("task", task_id)
    assert list(task["payload"]) == ["z", "a"]
    assert task["payload"] == payload
    assert isinstance(task["payload"]["a"]["float"], float)
    assert (task["priority"], task["retries"], task["requires"]) == ("lowest", 5, "all-completed")
    assert (task["provisionerId"], task["workerType"], task["projectId"], task["taskGroupId"]) == ("proj", "ci", "none", task_id)


async def test_creating_the_same_task_again_gives_its_status(queue: Queue) -> None:
    """createTask can be repeated, whatever the order of keys and the form of times, and announces the task once."""
    definition = queue.definition(payload={"a": 1, "b": 2})
    task_id = ids.slugid()
    first = await queue.call("createTask", task_id, payload=definition)
    again = {**definition, "payload": {"b": 2, "a": 1}, "created": definition["created"].replace("Z", "+00:00")}
    assert await queue.call("createTask", task_id, payload=again) == first
    error = await queue.refused("createTask", task_id, payload={**definition, "payload": {"a": True, "b": 2}})
    assert (error.code, error.status) == ("RequestConflict", 409)
    assert await queue.announced() == ["defined", "pending"]


async def test_the_default_expiry_is_a_year_after_the_deadline(queue: Queue) -> None:
    """Without `expires`, a task expires on the same day of the next year."""
    definition = queue.definition()
    del definition["expires"]
    status = (await queue.call("createTask", ids.slugid(), payload=definition))["status"]
    year = int(status["deadline"][:4])
    assert status["expires"] == status["deadline"].replace(str(year), str(year + 1), 1) or status["deadline"][5:10] == "02-29"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"created": -16 * clocks.MINUTE}, "in the past"),
        ({"created": 16 * clocks.MINUTE}, "in the future"),
        ({"created": 10 * clocks.MINUTE, "deadline": 5 * clocks.MINUTE}, "later than"),
        ({"created": -10 * clocks.MINUTE, "deadline": -5 * clocks.MINUTE}, "in the past"),
        ({"deadline": 5 * clocks.DAY + 16 * clocks.MINUTE, "expires": 9 * clocks.DAY}, "5 days"),
        ({"expires": clocks.HOUR}, "before `deadline`"),
        ({"scopes": ["a**"]}, "**"),
        ({"taskQueueId": None}, "no task queue"),
        ({"provisionerId": "other", "workerType": "ci"}, "must match"),
    ],
)
async def test_definitions_that_make_no_sense_are_refused(queue: Queue, changes: dict[str, object], word: str) -> None:
    """Times that contradict each other, an impossible scope, and a missing or ambiguous task queue are refused."""
    now = queue.clock.now()
    definition = queue.definition(**{k: clocks.to_wire(now + v) if isinstance(v, int) else v for k, v in changes.items()})
    error = await queue.refused("createTask", ids.slugid(), payload={k: v for k, v in definition.items() if v is not None})
    assert (error.code, error.status) == ("InputError", 400)
    assert word in str(error)
    assert await queue.announced() == []


async def test_creating_a_task_needs_scopes_for_all_that_it_says(queue: Queue) -> None:
    """Priority or a higher one, scheduler, project, each route and each of the task's own scopes must be satisfied."""
    needed = [
        "queue:create-task:high:proj/ci",
        "queue:scheduler-id:sched",
        "queue:create-task:project:none",
        "queue:route:r.1",
        "secrets:get:x",
    ]
    definition = queue.definition(priority="medium", routes=["r.1"], scopes=["secrets:get:x"])
    for missing in needed:
        error = await queue.refused("createTask", ids.slugid(), payload=definition, scopes=[s for s in needed if s != missing])
        assert error.code == "InsufficientScopes"
    await queue.call("createTask", ids.slugid(), payload=definition, scopes=needed)
    error = await queue.refused("createTask", ids.slugid(), payload={**definition, "priority": "highest"}, scopes=needed)
    assert error.code == "InsufficientScopes"


async def test_what_does_not_exist_is_not_found(queue: Queue) -> None:
    """Every method that names a task, run, group or worker answers 404 when there is none."""
    task_id = await queue.create()
    calls = [
        ("task", (MISSING,), None),
        ("status", (MISSING,), None),
        ("scheduleTask", (MISSING,), None),
        ("rerunTask", (MISSING,), None),
        ("cancelTask", (MISSING,), None),
        ("changeTaskPriority", (MISSING,), {"newPriority": "low"}),
        ("listDependentTasks", (MISSING,), None),
        ("claimTask", (MISSING, "0"), support.WORKER),
        ("claimTask", (task_id, "1"), support.WORKER),
        ("reclaimTask", (MISSING, "0"), None),
        ("reclaimTask", (task_id, "1"), None),
        ("reportCompleted", (MISSING, "0"), None),
        ("reportCompleted", (task_id, "99999999999999999999"), None),
        ("reportFailed", (task_id, "7"), None),
        ("reportException", (task_id, "7"), {"reason": "internal-error"}),
        ("getTaskGroup", (MISSING,), None),
        ("listTaskGroup", (MISSING,), None),
        ("sealTaskGroup", (MISSING,), None),
        ("cancelTaskGroup", (MISSING,), None),
        ("changeTaskGroupPriority", (MISSING,), {"newPriority": "low"}),
        ("getArtifact", (task_id, "0", "x"), None),
        ("getLatestArtifact", (MISSING, "x"), None),
        ("artifactInfo", (task_id, "0", "x"), None),
        ("listArtifacts", (task_id, "1"), None),
        ("listLatestArtifacts", (MISSING,), None),
        ("artifact", (task_id, "99999999999999999999", "x"), None),
        ("finishArtifact", (task_id, "0", "x"), {"uploadId": MISSING}),
        ("getWorker", ("p", "w", "g", "i"), None),
        ("quarantineWorker", ("p", "w", "g", "i"), {"quarantineUntil": clocks.to_wire(0)}),
        ("getProvisioner", ("p",), None),
        ("getWorkerType", ("p", "w"), None),
        ("getTaskQueue", ("p/w",), None),
    ]
    for name, args, payload in calls:
        error = await queue.refused(name, *args, payload=payload)
        assert (error.code, error.status) == ("ResourceNotFound", 404), name
        assert ("a task was created for it" in str(error)) == (name in ("getProvisioner", "getWorkerType", "getTaskQueue")), name


async def test_reports_can_be_repeated_but_not_contradicted(queue: Queue) -> None:
    """The same report twice gives the same status; another one, or one for a run that is not running, is a conflict."""
    task_id = await queue.create()
    assert (await queue.refused("reportCompleted", task_id, "0")).status == 409
    assert (await queue.refused("reclaimTask", task_id, "0")).status == 409
    status = await queue.run(task_id, "reportFailed")
    assert status["state"] == "failed"
    assert (await queue.call("reportFailed", task_id, "0"))["status"] == status
    for name, payload in (("reportCompleted", None), ("reportException", {"reason": "internal-error"}), ("reclaimTask", None)):
        assert (await queue.refused(name, task_id, "0", payload=payload)).status == 409
    assert await queue.announced() == ["defined", "pending", "running", "failed", "group-resolved"]


@pytest.mark.parametrize(
    ("kind", "body", "state"),
    [
        ("application/json", b'{"success": false}', "failed"),
        ("application/json", b'{"success": true}', "completed"),
        ("application/json", b'{"success": 0}', "completed"),
        ("application/json", b"[false]", "completed"),
        ("application/json", b"", "completed"),
        (None, b"", "completed"),
        ("text/plain", b"success: false", "completed"),
        ("application/json", b"success: false", "running"),
    ],
)
async def test_workers_of_long_ago_report_a_failure_as_completed(queue: Queue, kind: str | None, body: bytes, state: str) -> None:
    """reportCompleted with `success: false` fails the run; any other body, or none, completes it, and broken JSON is refused."""
    task_id = await queue.create()
    await queue.claim()
    call = Caller(queue.service, queue.clock)
    call.kind = kind
    reply = await call("reportCompleted", task_id, "0", payload=body)
    assert (reply.status, await queue.state(task_id)) == (400 if state == "running" else 200, state)
    assert (await queue.announced())[3:] == ([] if state == "running" else [state, "group-resolved"])


async def test_a_retried_run_is_pending_again_and_claimable(queue: Queue) -> None:
    """After worker-shutdown a new run is announced and handed out, and the report can still be repeated."""
    task_id = await queue.create(retries=1)
    await queue.run(task_id, "reportException", "worker-shutdown")
    assert await queue.announced() == ["defined", "pending", "running", "exception", "pending"]
    again = await queue.call("reportException", task_id, "0", payload={"reason": "worker-shutdown"})
    assert again["status"]["state"] == "pending"
    [claim] = await queue.claim()
    assert claim["runId"] == 1
    reply = await queue.call("reportException", task_id, "1", payload={"reason": "worker-shutdown"})
    assert reply["status"]["state"] == "exception"
    assert reply["status"]["retriesLeft"] == 0


async def test_claiming_a_certain_run_is_idempotent_for_its_worker_only(queue: Queue) -> None:
    """claimTask again by the same worker gives the claim again; by another worker it is a conflict."""
    task_id = await queue.create()
    first = await queue.call("claimTask", task_id, "0", payload=support.WORKER)
    again = await queue.call("claimTask", task_id, "0", payload=support.WORKER)
    assert again["takenUntil"] == first["takenUntil"]
    assert (await queue.refused("claimTask", task_id, "0", payload={**support.WORKER, "workerId": "other"})).status == 409


async def test_a_reclaim_extends_the_claim(queue: Queue) -> None:
    """reclaimTask moves takenUntil on, and gives new credentials without announcing anything."""
    task_id = await queue.create()
    [claim] = await queue.claim()
    await queue.events()
    queue.clock.advance(5 * clocks.MINUTE)
    reply = await queue.call("reclaimTask", task_id, "0")
    assert clocks.from_wire(reply["takenUntil"]) >= clocks.from_wire(claim["takenUntil"]) + 5 * clocks.MINUTE
    assert reply["credentials"]["accessToken"] != claim["credentials"]["accessToken"]
    assert await queue.announced() == []


async def test_schedule_rerun_and_cancel_leave_tasks_alone_that_they_do_not_concern(queue: Queue) -> None:
    """Each can be repeated; a canceled task only runs again by rerunTask."""
    task_id = await queue.create(dependencies=[], retries=0)
    assert (await queue.call("scheduleTask", task_id))["status"]["state"] == "pending"
    assert len((await queue.call("rerunTask", task_id))["status"]["runs"]) == 1
    assert (await queue.call("cancelTask", task_id))["status"]["runs"][0]["reasonResolved"] == "canceled"
    await queue.events()
    assert (await queue.call("cancelTask", task_id))["status"]["state"] == "exception"
    assert (await queue.call("scheduleTask", task_id))["status"]["state"] == "exception"
    assert await queue.announced() == []
    assert await queue.claim_now() == []
    status = (await queue.call("rerunTask", task_id))["status"]
    assert (status["state"], status["runs"][1]["reasonCreated"]) == ("pending", "rerun")
    assert await queue.announced() == ["pending"]
    assert len(await queue.claim()) == 1


async def test_owners_methods_need_a_scope_for_task_or_project(queue: Queue) -> None:
    """schedule, rerun and cancel are open to who may do it for the task, for its project, or for its scheduler of old."""
    task_id = await queue.create(projectId="p1")
    for verb in ("schedule", "rerun", "cancel"):
        for scopes in (
            [f"queue:{verb}-task:sched/{task_id}/{task_id}"],
            [f"queue:{verb}-task-in-project:p1"],
            [f"queue:{verb}-task", f"assume:scheduler-id:sched/{task_id}"],
        ):
            await queue.call(f"{verb}Task", task_id, scopes=scopes)
        assert (await queue.refused(f"{verb}Task", task_id, scopes=[f"queue:{verb}-task"])).code == "InsufficientScopes"


async def test_nothing_is_done_to_a_task_past_its_deadline(queue: Queue) -> None:
    """Once the deadline has passed, claims, reclaims and its owners' wishes are conflicts, and no worker gets the task."""
    waiting, running = await queue.create(), await queue.create()
    await queue.call("claimTask", running, "0", payload=support.WORKER)
    queue.clock.advance(clocks.DAY + 1)
    for name in ("rerunTask", "cancelTask", "scheduleTask"):
        assert (await queue.refused(name, waiting)).status == 409
    assert (await queue.refused("changeTaskPriority", waiting, payload={"newPriority": "low"})).status == 409
    assert (await queue.refused("claimTask", waiting, "0", payload=support.WORKER)).status == 409
    assert (await queue.refused("reclaimTask", running, "0")).status == 409
    assert await queue.claim_now() == []


async def test_priority_can_be_changed_until_a_task_is_resolved(queue: Queue) -> None:
    """A changed priority shows everywhere, is announced, and moves the task in the order of claims."""
    first, second = await queue.create(), await queue.create()
    await queue.events()
    reply = await queue.call("changeTaskPriority", second, payload={"newPriority": "high"})
    assert reply["status"]["priority"] == "high"
    assert (await queue.call("task", second))["priority"] == "high"
    [event] = await queue.events()
    assert (event.payload["oldPriority"], event.payload["newPriority"]) == ("lowest", "high")
    assert (await queue.refused("changeTaskPriority", second, payload={"newPriority": "high"})).status == 409
    [claim] = await queue.claim()
    assert claim["status"]["taskId"] == second
    await queue.call("reportCompleted", second, "0")
    assert (await queue.refused("changeTaskPriority", second, payload={"newPriority": "low"})).status == 409
    assert [c["status"]["taskId"] for c in await queue.claim()] == [first]


async def test_several_tasks_are_read_at_once_in_pages(queue: Queue) -> None:
    """tasks and statuses answer for those that exist, in pages, and need a scope for each."""
    task_ids = sorted([await queue.create() for _ in range(5)])
    for name, listed in (("tasks", "tasks"), ("statuses", "statuses")):
        found, token = [], {}
        while True:
            page = await queue.call(name, payload={"taskIds": [*task_ids, MISSING]}, query={"limit": "2", **token})
            found += [item["taskId"] for item in page[listed]]
            if "continuationToken" not in page:
                break
            token = {"continuationToken": page["continuationToken"]}
        assert found == task_ids
    assert (await queue.refused("tasks", payload={"taskIds": task_ids}, scopes=[f"queue:get-task:{task_ids[0]}"])).status == 403


async def test_two_claimers_never_get_the_same_run(queue: Queue) -> None:
    """However many workers claim at the same time, each run goes to one of them, and none is forgotten."""
    task_ids = {await queue.create() for _ in range(40)}

    async def work(worker: int) -> list[tuple[str, int]]:
        got: list[tuple[str, int]] = []
        while claims := await queue.claim_now(tasks=1 + worker % 3, workerId=f"w{worker}"):
            got += [(claim["status"]["taskId"], claim["runId"]) for claim in claims]
        return got

    rounds = await asyncio.gather(*(work(n) for n in range(8)))
    runs = [run for got in rounds for run in got]
    assert len(runs) == len(set(runs)) == 40
    assert {task_id for task_id, _ in runs} == task_ids
    running = [e for e in await queue.events() if e.exchange.endswith("task-running")]
    assert len(running) == 40


async def test_higher_priorities_are_claimed_first_and_then_the_oldest(queue: Queue) -> None:
    """claimWork orders by priority and then by time of waiting; a retried run waits at the end."""
    made = []
    for priority in ("low", "highest", "low", "lowest", "highest"):
        made.append(await queue.create(priority=priority))
        queue.clock.advance(1)
    claims = await queue.claim(tasks=32)
    assert [claim["status"]["taskId"] for claim in claims] == [made[i] for i in (1, 4, 0, 2, 3)]
