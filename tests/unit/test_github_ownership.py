"""Whose a task group is: results are shown where its build says, so no other build's file may name it."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tests.support import github as support
from tests.support.databases import database  # noqa: F401
from tests.unit.test_github_building import CREATE, ROLE, config

migrations = support.MIGRATIONS

CHECKS = "reporting: checks-v1\n"
GROUP = "GGGGGGGGQGGGGGGGGGGGGA"


@pytest_asyncio.fixture
async def world(database):  # noqa: F811
    async with support.running(database, clocks.VirtualClock()) as made:
        yield made


def into(group: str, *tasks: str) -> str:
    """A file whose last task names a task group, and has a check run."""
    before, last, rest = config(*tasks, more=CHECKS).rpartition("    priority: low")
    return f"{before}    taskGroupId: {group}\n{last}{rest}"


@pytest.mark.parametrize("rights", [(), CREATE], ids=["without scopes", "with scopes"])
@pytest.mark.parametrize("tasks", [("forged",), ("own", "forged")])
async def test_a_file_cannot_take_the_task_group_of_another_build(world, rights, tasks):
    """A file of another repository, or of another event, that names a build's group makes no task, and changes nothing of that build."""
    await world.grant("repo:github.com/octo/hello.world:*", *CREATE)
    await world.grant("repo:github.com/mallory/own:*", *rights)
    world.repo.commit("version: 1\npolicy: {pullRequests: public}\ntasks: []\n", "main")
    delivery = await world.deliver("pull_request", world.pull(config("first", more=CHECKS)))
    victim = next(build for build in await world.builds() if build["eventId"] == delivery)
    group, shown = victim["taskGroupId"], world.repo.checks()
    assert len(shown) == 1
    mine, text = world.hub.install("mallory", 99, "own")[0], into(group, *tasks)
    body = world.push(text) | {"after": mine.commit(text, "main"), "installation": {"id": 99}}
    body["repository"] = body["repository"] | {
        "name": "own",
        "full_name": "mallory/own",
        "owner": body["repository"]["owner"] | {"login": "mallory", "name": "mallory"},
    }
    body["organization"] = {"login": "mallory"}
    await world.deliver("push", body)
    await world.deliver("push", world.push(text))
    assert [build for build in await world.builds() if build["taskGroupId"] == group] == [victim]
    assert len(await world.builds()) == 1
    assert [entry["task"]["metadata"]["name"] for entry in await world.group(group)] == ["first"]
    assert world.repo.checks() == shown
    for repo in (mine, world.repo):
        (comment,) = repo.comments
        assert f"The task group `{group}` is that of another build" in comment["body"] and "as_slugid" in comment["body"]


async def test_tasks_of_a_decision_task_are_shown(world):
    """A task that is made later in a build's group, by another than its file, has its check run."""
    await world.grant(ROLE, *CREATE)
    body = world.push(config("decision", more=CHECKS))
    await world.deliver("push", body)
    (build,) = await world.builds()
    (entry,) = await world.group(build["taskGroupId"])
    child = entry["task"] | {"metadata": entry["task"]["metadata"] | {"name": "child"}}
    await world.root.call("queue", "createTask", "CCCCCCCCQCCCCCCCCCCCCA", payload=child)
    await world.settle()
    assert sorted(check["name"] for check in world.repo.checks()) == ["child", "decision"]


async def test_a_file_may_name_a_task_group_that_is_new(world):
    """A task group of the file's own choice is taken, also when the same delivery comes again."""
    await world.grant(ROLE, *CREATE)
    body = world.push(into(GROUP, "one", "two"))
    delivery = await world.deliver("push", body)
    await world.deliver("push", body, delivery=delivery)
    assert world.repo.comments == [] and len(await world.group(GROUP)) == 1
