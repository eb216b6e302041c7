"""Dependencies and task groups: who waits for whom, and when a group is done, on both engines."""

from __future__ import annotations

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox import ids
from tcbox.api import refusals
from tests.support import queue as support
from tests.support.databases import database  # noqa: F401
from tests.support.queue import Queue, clock, queue  # noqa: F401

migrations = support.MIGRATIONS


@pytest.mark.parametrize(
    ("requires", "end", "reason", "scheduled"),
    [
        ("all-completed", "reportCompleted", None, True),
        ("all-completed", "reportFailed", None, False),
        ("all-completed", "reportException", "internal-error", False),
        ("all-resolved", "reportCompleted", None, True),
        ("all-resolved", "reportFailed", None, True),
        ("all-resolved", "reportException", "internal-error", True),
        ("all-resolved", "reportException", "worker-shutdown", False),
    ],
)
async def test_a_dependent_is_scheduled_by_the_end_that_it_requires(queue: Queue, requires: str, end: str, reason: str | None, scheduled: bool) -> None:
    """all-completed waits for success, all-resolved for any end; a retry is no end."""
    first = await queue.create()
    second = await queue.create(dependencies=[first], requires=requires)
    assert await queue.state(second) == "unscheduled"
    await queue.run(first, end, reason)
    assert await queue.state(second) == ("pending" if scheduled else "unscheduled")


async def test_a_task_waits_for_the_last_of_its_dependencies(queue: Queue) -> None:
    """Several dependencies must all be satisfied, those that were when it was created included."""
    done, one, two = await queue.create(), await queue.create(), await queue.create()
    await queue.run(done)
    task_id = await queue.create(dependencies=[done, one, two])
    await queue.run(two)
    assert await queue.state(task_id) == "unscheduled"
    await queue.run(one)
    assert await queue.state(task_id) == "pending"
    ready = await queue.create(dependencies=[done, one])
    assert await queue.state(ready) == "pending"


async def test_a_rerun_of_a_dependency_does_not_run_its_dependents_again(queue: Queue) -> None:
    """A failed dependency that succeeds at its second run releases its dependent, once."""
    first = await queue.create()
    second = await queue.create(dependencies=[first])
    await queue.run(first, "reportFailed")
    await queue.call("rerunTask", first)
    await queue.run(first)
    assert await queue.state(second) == "pending"
    await queue.run(second)
    await queue.call("rerunTask", first)
    await queue.run(first)
    assert len((await queue.status(second))["runs"]) == 1


async def test_a_task_that_depends_on_itself_waits_for_schedule_task(queue: Queue) -> None:
    """It is created unscheduled, and runs when it is scheduled by hand."""
    task_id = ids.slugid()
    await queue.create(task_id, dependencies=[task_id], requires="all-resolved")
    assert await queue.state(task_id) == "unscheduled"
    assert (await queue.call("scheduleTask", task_id))["status"]["state"] == "pending"
    assert (await queue.run(task_id))["state"] == "completed"


async def test_missing_and_short_lived_dependencies_are_refused(queue: Queue) -> None:
    """A task whose dependencies do not exist, or expire before its deadline, is not created."""
    missing, task_id = ids.slugid(), ids.slugid()
    error = await queue.refused("createTask", task_id, payload=queue.definition(dependencies=[missing]))
    assert (error.code, error.details["missingTaskDependencies"]) == ("InputError", [missing])
    assert missing in str(error)
    now = queue.clock.now()
    short = await queue.create(deadline=clocks.to_wire(now + clocks.HOUR), expires=clocks.to_wire(now + 2 * clocks.HOUR))
    error = await queue.refused("createTask", task_id, payload=queue.definition(dependencies=[short]))
    assert error.details["expiringTaskDependencies"] == [short]
    assert (await queue.refused("status", task_id)).status == 404
    await queue.create(task_id)


async def test_creating_a_task_with_dependencies_again_gives_its_status(queue: Queue) -> None:
    """The repeated call neither counts its dependencies twice nor announces anything."""
    first, task_id = await queue.create(), ids.slugid()
    definition = queue.definition(dependencies=[first])
    await queue.call("createTask", task_id, payload=definition)
    await queue.events()
    await queue.call("createTask", task_id, payload=definition)
    assert await queue.announced() == []
    await queue.run(first)
    assert await queue.state(task_id) == "pending"


async def test_many_dependents_are_scheduled_by_the_loop(queue: Queue) -> None:
    """What is too much for the transaction of a resolution is left to the loop, and none is forgotten."""
    first = await queue.create()
    dependents = [await queue.create(dependencies=[first]) for _ in range(120)]
    await queue.run(first)
    assert {await queue.state(task_id) for task_id in dependents} == {"unscheduled"}
    while await queue.service.work.satisfy_dependents():
        pass
    assert {await queue.state(task_id) for task_id in dependents} == {"pending"}
    assert (await queue.announced()).count("pending") == 121


async def test_a_failure_after_a_rerun_takes_nothing_back_from_the_loop(queue: Queue) -> None:
    """A success whose many dependents the loop has not yet looked after counts, also when the task has failed since."""
    first = await queue.create()
    dependents = [await queue.create(dependencies=[first]) for _ in range(2)]
    always = [await queue.create(dependencies=[first], requires="all-resolved") for _ in range(60)]
    await queue.run(first)
    await queue.call("rerunTask", first)
    await queue.run(first, "reportFailed")
    while await queue.service.work.satisfy_dependents():
        pass
    assert {await queue.state(task_id) for task_id in dependents + always} == {"pending"}


async def test_dependents_are_listed_in_pages(queue: Queue) -> None:
    """listDependentTasks gives status and definition of each task that depends on one."""
    first = await queue.create()
    dependents = [await queue.create(dependencies=[first]) for _ in range(3)]
    page = await queue.call("listDependentTasks", first, query={"limit": "2"})
    rest = await queue.call("listDependentTasks", first, query={"limit": "2", "continuationToken": page["continuationToken"]})
    assert [item["status"]["taskId"] for item in page["tasks"] + rest["tasks"]] == dependents
    assert "continuationToken" not in rest


async def test_no_dependent_is_lost_when_it_is_created_while_its_dependency_ends(queue: Queue) -> None:
    """However creation and resolution fall together, the dependent ends up pending."""
    for _ in range(8):
        first = await queue.create()
        await queue.call("claimTask", first, "0", payload=support.WORKER)
        second = ids.slugid()
        await asyncio.gather(queue.call("reportCompleted", first, "0"), queue.create(second, dependencies=[first]))
        assert await queue.state(second) == "pending"


async def test_two_dependencies_that_end_together_release_their_dependent_once(queue: Queue) -> None:
    """A task that waits for two others is scheduled exactly once when both end at the same time."""
    for _ in range(5):
        both = [await queue.create(), await queue.create()]
        task_id = await queue.create(dependencies=both)
        for one in both:
            await queue.call("claimTask", one, "0", payload=support.WORKER)
        await queue.events()
        await asyncio.gather(*(queue.call("reportCompleted", one, "0") for one in both))
        assert await queue.state(task_id) == "pending"
        assert (await queue.announced()).count("pending") == 1


async def test_a_group_is_resolved_with_its_last_task(queue: Queue) -> None:
    """One message when no task of the group is left that was never resolved; again after a rerun or a further task."""
    group = ids.slugid()
    one = await queue.create(taskGroupId=group)
    two = await queue.create(taskGroupId=group, dependencies=[one])
    await queue.run(one)
    assert "task-group-resolved" not in await queue.exchanges()
    await queue.run(two)
    assert (await queue.exchanges())[-1] == "task-group-resolved"
    await queue.call("rerunTask", one)
    await queue.run(one, "reportFailed")
    assert (await queue.exchanges())[-1] == "task-group-resolved"
    await queue.run(await queue.create(taskGroupId=group))
    assert (await queue.exchanges())[-1] == "task-group-resolved"


async def test_tasks_of_a_group_that_end_together_resolve_it_once(queue: Queue) -> None:
    """However many tasks end at the same time, the group is resolved exactly once."""
    group = ids.slugid()
    tasks = [await queue.create(taskGroupId=group) for _ in range(6)]
    for task_id in tasks:
        await queue.call("claimTask", task_id, "0", payload=support.WORKER)
    await asyncio.gather(*(queue.call("reportCompleted", task_id, "0") for task_id in tasks))
    assert (await queue.exchanges()).count("task-group-resolved") == 1


async def test_all_tasks_of_a_group_have_one_scheduler(queue: Queue) -> None:
    """A task with another schedulerId is refused, and leaves no trace."""
    group, task_id = ids.slugid(), ids.slugid()
    await queue.create(taskGroupId=group)
    error = await queue.refused("createTask", task_id, payload=queue.definition(taskGroupId=group, schedulerId="other"))
    assert error.code == "RequestConflict"
    assert (await queue.refused("status", task_id)).status == 404
    assert len((await queue.call("listTaskGroup", group))["tasks"]) == 1


async def test_a_group_expires_an_hour_after_its_longest_lived_task(queue: Queue) -> None:
    """A group's expiry follows that of its tasks."""
    group, now = ids.slugid(), queue.clock.now()
    await queue.create(taskGroupId=group)
    await queue.create(taskGroupId=group, expires=clocks.to_wire(now + 10 * clocks.DAY))
    assert (await queue.call("getTaskGroup", group))["expires"] == clocks.to_wire(now + 10 * clocks.DAY + clocks.HOUR)


async def test_a_sealed_group_takes_no_more_tasks(queue: Queue) -> None:
    """Sealing is announced once, can be repeated, and refuses even the repetition of an earlier createTask."""
    group, task_id = ids.slugid(), ids.slugid()
    definition = queue.definition(taskGroupId=group)
    await queue.call("createTask", task_id, payload=definition)
    await queue.events()
    first = await queue.call("sealTaskGroup", group)
    queue.clock.advance(clocks.MINUTE)
    assert await queue.call("sealTaskGroup", group) == first
    [event] = await queue.events()
    assert event.payload["sealed"] == first["sealed"]
    for refused in (task_id, ids.slugid()):
        assert (await queue.refused("createTask", refused, payload=definition)).status == 409
    assert (await queue.call("listTaskGroup", group))["sealed"] == first["sealed"]


async def test_a_sealed_group_can_be_canceled(queue: Queue) -> None:
    """All unresolved tasks are canceled, in chunks, and nothing that waits for them is scheduled in between."""
    group = ids.slugid()
    done = await queue.create(taskGroupId=group)
    await queue.run(done)
    first = await queue.create(taskGroupId=group)
    waiting = await queue.create(taskGroupId=group, dependencies=[first], requires="all-resolved")
    others = [await queue.create(taskGroupId=group) for _ in range(104)]
    others.append(await queue.create(taskGroupId=group, dependencies=[first, others[-1]], requires="all-resolved"))
    await queue.claim()
    assert (await queue.refused("cancelTaskGroup", group)).status == 409
    await queue.call("sealTaskGroup", group)
    await queue.events()
    reply = await queue.call("cancelTaskGroup", group)
    assert set(reply["taskIds"]) == {first, waiting, *others}
    assert (reply["cancelledCount"], reply["taskGroupSize"]) == (107, 108)
    assert {await queue.state(task_id) for task_id in (first, waiting, *others)} == {"exception"}
    found = await queue.exchanges()
    assert (found.count("task-exception"), found[-1], found.count("task-group-resolved")) == (107, "task-group-resolved", 1)
    assert "task-pending" not in found
    assert (await queue.call("cancelTaskGroup", group))["cancelledCount"] == 0
    assert await queue.claim_now() == []


async def test_the_priority_of_a_group_changes_for_tasks_never_resolved(queue: Queue) -> None:
    """Pending and unscheduled tasks get the new priority, resolved ones keep theirs, and one message sums it up."""
    group = ids.slugid()
    done = await queue.create(taskGroupId=group)
    await queue.run(done)
    tasks = [await queue.create(taskGroupId=group) for _ in range(3)]
    before = await queue.create(priority="medium")
    await queue.events()
    reply = await queue.call("changeTaskGroupPriority", group, payload={"newPriority": "high"})
    assert (reply["tasksAffected"], sorted(reply["taskIds"])) == (3, sorted(tasks))
    assert await queue.exchanges() == ["task-group-priority-changed"]
    assert (await queue.call("task", done))["priority"] == "lowest"
    assert [c["status"]["taskId"] for c in await queue.claim(tasks=9)] == [*tasks, before]


async def test_a_group_is_listed_in_pages(queue: Queue) -> None:
    """listTaskGroup gives the tasks in the order of their creation, a page at a time."""
    group = ids.slugid()
    tasks = [await queue.create(taskGroupId=group) for _ in range(5)]
    found, query = [], {"limit": "2"}
    while True:
        page = await queue.call("listTaskGroup", group, query=query)
        found += [item["status"]["taskId"] for item in page["tasks"]]
        if "continuationToken" not in page:
            break
        query = {"limit": "2", "continuationToken": page["continuationToken"]}
    assert found == tasks
    assert (await queue.refused("listTaskGroup", group, query={"continuationToken": "nonsense"})).status == 400
