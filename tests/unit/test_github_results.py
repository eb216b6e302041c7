"""What GitHub shows of tasks: check runs, commit statuses, and what they say."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tests.support import github as support
from tests.support.databases import database  # noqa: F401
from tests.unit.test_github_building import CREATE, config
from tests.unit.test_github_webhook import check_run

migrations = support.MIGRATIONS
CHECKS = "reporting: checks-v1\n"
EVERY = "repo:github.com/octo/hello.world:*"
NOTE = {"path": "a.py", "start_line": 1, "end_line": 1, "annotation_level": "warning", "message": "hm"}


@pytest_asyncio.fixture
async def world(database, clock):  # noqa: F811
    async with support.running(database, clock) as made:
        await made.grant(EVERY, *CREATE)
        yield made


@pytest_asyncio.fixture
async def lone(tmp_path, clock):
    """The same on SQLite alone, for rules that do not touch what is stored."""
    async with support.alone(tmp_path, clock) as made:
        await made.grant(EVERY, *CREATE)
        yield made


async def pushed(world, *names, more=CHECKS) -> list[str]:
    """The tasks of a push."""
    await world.deliver("push", world.push(config(*names, more=more)))
    build = (await world.builds())[-1]
    return [entry["status"]["taskId"] for entry in await world.group(build["taskGroupId"])]


async def test_a_check_run_follows_its_task(world):
    """A check run is queued when its task is created, in progress when it runs, and completed with it, with a link and the log."""
    (task,) = await pushed(world, "one")
    (run,) = world.repo.checks()
    assert (run["name"], run["status"], run["external_id"]) == ("one", "queued", task)
    assert run["details_url"] == f"https://tc.example.com/tasks/{task}" and run["output"]["title"] == "Taskcluster (push)"
    await world.claim(task)
    await world.settle()
    assert run["status"] == "in_progress" and "started_at" in run and "conclusion" not in run["seen"]
    assert f"https://tc.example.com/tasks/{task}/runs/0/logs/live/public/logs/live.log" in run["output"]["text"]
    await world.artifact(task, "public/logs/live_backing.log", "\x1b[31mhello\x1b[0m\nworld ```` x\n")
    await world.artifact(task, "public/github/customCheckRunText.md", "# All is well")
    await world.artifact(task, "public/github/customCheckRunAnnotations.json", json.dumps([NOTE]))
    await world.end(task)
    await world.settle()
    assert (run["status"], run["conclusion"]) == ("completed", "success") and "completed_at" in run
    text = run["output"]["text"]
    assert "# All is well" in text and "hello\nworld ` ` ` ` x" in text and "[public/logs/live_backing.log]" in text and "\x1b" not in text
    assert run["annotations"] == [NOTE]
    assert len(world.repo.checks()) == 1 and world.repo.statuses == [] and world.repo.comments == []
    (build,) = await world.builds()
    assert build["state"] == "success"


@pytest.mark.parametrize(
    ("how", "reason", "conclusion", "state"),
    [
        ("reportFailed", None, "failure", "failure"),
        ("reportException", "malformed-payload", "action_required", "failure"),
        ("reportException", "internal-error", "failure", "failure"),
        ("cancelTask", None, "cancelled", "failure"),
    ],
)
async def test_how_a_task_ends(world, how, reason, conclusion, state):
    """A check run ends as its task does; its build fails when any of its tasks does not complete."""
    task, other = await pushed(world, "one", "two")
    await world.claim(task)
    await (world.root.call("queue", how, task) if how == "cancelTask" else world.end(task, how, reason=reason))
    await world.claim(other)
    await world.end(other)
    await world.settle()
    assert [run["conclusion"] for run in world.repo.checks("one")] == [conclusion]
    assert [run["conclusion"] for run in world.repo.checks("two")] == ["success"]
    (build,) = await world.builds()
    assert build["state"] == state


async def test_a_run_that_is_tried_again_does_not_end_the_check(world):
    """When a worker is shut down and the task tried again, its check run goes on; when no tries are left it fails."""
    (task,) = await pushed(world, "one")
    for run in range(6):
        await world.claim(task, run)
        await world.settle()
        assert world.repo.checks()[0]["status"] == "in_progress"
        await world.end(task, "reportException", run, reason="worker-shutdown")
        await world.settle()
    (check,) = world.repo.checks()
    assert (check["status"], check["conclusion"]) == ("completed", "failure")


async def test_a_task_that_misses_its_deadline(world):
    """A task that misses its deadline has timed out."""
    (task,) = await pushed(world, "one")
    world.clock.advance(25 * clocks.HOUR)
    import asyncio

    from tcbox.services.queue.loops import Loops

    loops: Loops = world.queue.work
    deadlines = asyncio.create_task(loops.deadlines())
    for _ in range(2000):
        if (await world.root.call("queue", "status", task))["status"]["state"] == "exception":
            break
        await asyncio.sleep(0.01)
    deadlines.cancel()
    await world.settle()
    assert world.repo.checks()[0]["conclusion"] == "timed_out"


async def test_nothing_is_shown_twice(world):
    """Of many messages while GitHub is away, the last state alone is shown, by one check run."""
    world.hub.broken = {"/repos/octo/hello.world/check-runs"}
    (task,) = await pushed(world, "one")
    await world.claim(task)
    await world.settle()
    await world.end(task)
    await world.settle()
    assert world.repo.checks() == []
    world.hub.broken = set()
    world.clock.advance(clocks.HOUR)
    await world.settle()
    (run,) = world.repo.checks()
    assert run["seen"] == ["success"]


async def test_many_annotations(world):
    """More annotations than GitHub takes at once are sent in several requests, each once, also after a failure between."""
    (task,) = await pushed(world, "one")
    await world.claim(task)
    notes = [{**NOTE, "start_line": number, "end_line": number} for number in range(1, 121)]
    await world.artifact(task, "public/github/customCheckRunAnnotations.json", json.dumps(notes))
    await world.end(task)
    real = world.service.store.set_check
    saved = []

    async def fail_once(check):
        await real(check)
        saved.append(check.annotated)
        if len(saved) == 2:
            raise OSError("as if the power went")

    world.service.store.set_check = fail_once
    await world.settle()
    world.clock.advance(clocks.MINUTE)
    await world.settle()
    (run,) = world.repo.checks()
    assert run["annotations"] == notes and saved[-1] == 120


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{not json", "is no JSON"), ("{}", "must hold a list"), (json.dumps([{"path": "x"}]), "GitHub does not take the annotations"),
        (b"\xff\xfe", "is no UTF-8 text"), (b"x" * (1024 * 1024 + 1), "more than 1 MiB"),
    ],
)  # fmt: skip
async def test_annotations_that_cannot_be_shown(lone, content, says):
    """What is wrong with annotations is told by a comment on the commit; the check run is completed all the same."""
    (task,) = await pushed(lone, "one")
    await lone.claim(task)
    await lone.artifact(task, "public/github/customCheckRunAnnotations.json", content)
    await lone.end(task)
    await lone.settle()
    assert lone.repo.checks()[0]["conclusion"] == "success"
    (comment,) = lone.repo.comments
    assert says in comment["body"] and task in comment["body"]


async def test_artifacts_of_other_names_and_kinds(world):
    """The task may name its artifacts, if they are public; one elsewhere is not fetched, a private one not shown, and both told."""
    extra = "extra: {github: {customCheckRun: {textArtifactName: public/mine.md, annotationsArtifactName: private/notes.json}}}\n    metadata"
    text = config("one", more=CHECKS).replace("metadata", extra)
    await world.grant("anonymous", "queue:get-artifact:public/*")
    await world.grant(EVERY, *CREATE, "queue:get-artifact:private/*")
    await world.deliver("push", world.push(text))
    task = world.repo.checks()[0]["external_id"]
    await world.claim(task)
    await world.artifact(task, "public/mine.md", "as I say")
    await world.artifact(task, "private/notes.json", "[]")
    await world.end(task)
    await world.settle()
    assert "as I say" in world.repo.checks()[0]["output"]["text"]
    (comment,) = world.repo.comments
    assert "`private/notes.json` is not public" in comment["body"]
    (other,) = await pushed(world, "two")
    await world.claim(other)
    for name in ("public/github/customCheckRunText.md", "public/logs/live_backing.log"):
        payload = {"storageType": "reference", "url": "http://169.254.169.254/secret", "contentType": "text/plain",
                   "expires": clocks.to_wire(world.clock.now() + clocks.HOUR)}  # fmt: skip
        await world.root.call("queue", "createArtifact", other, "0", name, payload=payload)
    await world.end(other)
    await world.settle()
    assert world.repo.checks("two")[0]["conclusion"] == "success" and "is of the storage type `reference`" in world.repo.comments[1]["body"]


async def test_texts_that_are_too_long(lone):
    """However much a task has to say, GitHub gets no more than it takes: the beginning and the end of the log among it."""
    (task,) = await pushed(lone, "one")
    await lone.claim(task)
    await lone.artifact(task, "public/github/customCheckRunText.md", "line of text\n" * 3000)
    await lone.artifact(task, "public/logs/live_backing.log", "".join(f"{number} " + "x" * 300 + "\n" for number in range(5000)))
    await lone.end(task)
    await lone.settle()
    (run,) = lone.repo.checks()
    text = run["output"]["text"]
    assert run["conclusion"] == "success" and len(text) < 65535
    assert "\n0 xxx" in text and "\n4999 xxx" in text and "lines are not shown here" in text


async def test_a_task_that_is_run_again(world):
    """When a task is run again after its end, another check run takes over, and the build is pending meanwhile."""
    (task,) = await pushed(world, "one")
    await world.claim(task)
    await world.end(task, "reportFailed")
    await world.settle()
    assert (await world.builds())[0]["state"] == "failure"
    await world.root.call("queue", "rerunTask", task)
    await world.settle()
    assert [run["status"] for run in world.repo.checks()] == ["completed", "queued"]
    assert (await world.builds())[0]["state"] == "pending"
    await world.claim(task, 1)
    await world.end(task, run=1)
    await world.settle()
    assert [run["conclusion"] for run in world.repo.checks()] == ["failure", "success"]
    assert (await world.builds())[0]["state"] == "success"


async def test_rerun_by_github(world):
    """The button at a check run runs its task again, with the role for that; a redelivery does not do it twice."""
    (task,) = await pushed(world, "one")
    await world.claim(task)
    await world.end(task, "reportFailed")
    await world.settle()
    (run,) = world.repo.checks()
    body = check_run()
    body["check_run"] = {**body["check_run"], "id": run["id"], "head_sha": run["head_sha"], "check_suite": {"id": 77, "head_sha": run["head_sha"]}}
    await world.deliver("check_run", body)
    assert "`repo:github.com/octo/hello.world:rerun` lacks" in world.repo.comments[0]["body"]
    assert "`queue:rerun-task:taskcluster-github/" in world.repo.comments[0]["body"]
    await world.grant("repo:github.com/octo/hello.world:rerun", "queue:rerun-task:taskcluster-github/*")
    delivery = await world.deliver("check_run", body)
    assert (await world.root.call("queue", "status", task))["status"]["state"] == "pending"
    assert (await world.builds())[0]["state"] == "pending"
    await world.claim(task, 1)
    await world.end(task, run=1)
    await world.deliver("check_run", body, delivery=delivery)
    assert len((await world.root.call("queue", "status", task))["status"]["runs"]) == 2


async def test_a_rerun_of_another_repository(world):
    """A check run is run again only by its own repository, and an unknown one is let be."""
    (task,) = await pushed(world, "one")
    await world.grant("repo:github.com/octo/other:rerun", "queue:rerun-task:*")
    run = world.repo.checks()[0]
    body = check_run(repository={"name": "other", "full_name": "octo/other", "owner": {"login": "octo"}})
    body["check_run"] = {**body["check_run"], "id": run["id"], "check_suite": {"id": 77, "head_sha": run["head_sha"]}}
    await world.claim(task)
    await world.end(task)
    await world.deliver("check_run", body)
    await world.deliver("check_run", check_run())
    assert len((await world.root.call("queue", "status", task))["status"]["runs"]) == 1 and world.repo.comments == []


# -- commit statuses


async def test_a_commit_status_follows_its_group(world):
    """Without `reporting`, one commit status stands for the group: pending, then success when all tasks have completed."""
    tasks = await pushed(world, "one", "two", more="")
    for task in tasks:
        await world.claim(task)
        await world.end(task)
        await world.settle()
    assert [status["state"] for status in reversed(world.repo.statuses)] == ["pending", "success"]
    (build,) = await world.builds()
    assert world.repo.statuses[0]["target_url"] == f"https://tc.example.com/tasks/groups/{build['taskGroupId']}"
    assert build["state"] == "success" and world.repo.checks() == []


async def test_a_commit_status_fails_at_once(world):
    """The first task that fails turns the status, before the others end; one that is run again turns it back."""
    first, second = await pushed(world, "one", "two", more="")
    await world.claim(first)
    await world.end(first, "reportFailed")
    await world.settle()
    assert [status["state"] for status in reversed(world.repo.statuses)] == ["pending", "failure"]
    await world.root.call("queue", "rerunTask", first)
    await world.claim(first, 1)
    await world.settle()
    assert world.repo.statuses[0]["state"] == "pending"
    await world.end(first, run=1)
    await world.claim(second)
    await world.end(second)
    await world.settle()
    assert world.repo.statuses[0]["state"] == "success" and (await world.builds())[0]["state"] == "success"


async def test_tasks_of_others_are_none_of_ours(world):
    """A task with our routes in a group that is no build makes no work and no request."""
    asked = sum(world.hub.asked.values())
    now = world.clock.now()
    definition = {
        "taskQueueId": "proj/ci", "schedulerId": "other", "created": clocks.to_wire(now), "deadline": clocks.to_wire(now + clocks.HOUR),
        "routes": ["checks", "statuses"], "payload": {}, "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://x.example"},
    }  # fmt: skip
    from tcbox import ids

    await world.root.call("queue", "createTask", ids.slugid(), payload=definition)
    await world.settle()
    assert sum(world.hub.asked.values()) == asked and await world.waiting() == []


async def test_a_missing_permission(world):
    """Where the app may not write checks, the log says what GitHub says, the work is tried again, and goes through once it may."""
    world.hub.permissions[support.INSTALLATION] = {"contents": "read", "metadata": "read"}
    await pushed(world, "one")
    assert world.repo.checks() == [] and len(await world.waiting()) == 1 and world.service.fault() is None
    world.hub.permissions.clear()
    world.clock.advance(clocks.HOUR)
    await world.settle()
    assert len(world.repo.checks()) == 1 and await world.waiting() == []


async def test_a_bad_key_is_told_by_health(database, clock):  # noqa: F811
    """When GitHub does not know the app's key, health says which settings are wrong, and recovers with them."""
    from tcbox.vendors.github import App
    from tests.simulators import tokens

    async with support.running(database, clock, app=App("4711", tokens.key_pair()[0])) as world:
        assert (await world.webhook("push", world.push(config("one")))).status == 204
        await world.settle()
        assert "app_id and private_key of services.github" in world.service.fault()
