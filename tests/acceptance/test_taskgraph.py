"""A project made by `taskgraph init` runs here: decision tasks, images built by tasks, cached tasks, actions."""

import hashlib
import json
import os
import re

import jsone
import pytest
import requests
import taskcluster

from tests.support import clients, docker_images, proof, taskgraph
from tests.support.box import Box

pytestmark = [
    pytest.mark.contract,
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(not docker_images.engine_answers(), reason="needs a Docker engine"),
]
CONFIG = """
workers:
  host: {enabled: false}
  builtin: {enabled: false}
  docker: {capacity: 2, serve: ["mozilla-*/*"]}
"""
OURS = frozenset({
    "auth.expandScopes", "queue.latestArtifact",
    "auth.createRole", "hooks.createHook", "hooks.triggerHook", "index.findTask", "queue.listLatestArtifacts", "queue.listTaskGroup", "queue.status",
    "queue.listPendingTasks", "queue.pendingTasks", "purge-cache.purgeRequests",
})  # fmt: skip
"""What the test itself and the worker inside call, and taskgraph does not in what is tried here."""


class World:
    """An instance with the project's rights and repository."""

    def __init__(self, box: Box, repository: taskgraph.Repository) -> None:
        self.box, self.repository = box, repository
        self.queue, self.index, self.hooks = (kind(box.options) for kind in (taskcluster.Queue, taskcluster.Index, taskcluster.Hooks))
        auth = taskcluster.Auth(box.options)
        for role_id, scopes in taskgraph.rights():
            auth.createRole(role_id, {"description": "", "scopes": scopes})

    def push(self, before: str, after: str) -> str:
        """Make the decision task of a push, with no more rights than the branch has, as the service for GitHub does; its id."""
        task_id = taskcluster.slugId()
        context = {"tasks_for": "github-push", "event": taskgraph.push_event(before, after), "as_slugid": lambda _: task_id}
        (task,) = jsone.render(self.repository.recipe, context)["tasks"]
        assert task.pop("taskId") == task_id
        scope = f"assume:repo:github.com/{taskgraph.PROJECT}:branch:main"
        taskcluster.Queue({**self.box.options, "authorizedScopes": [scope]}).createTask(task_id, task)
        return task_id

    def ended(self, group: str, count: int) -> dict[str, list[str]]:
        """A group's tasks by name, once there are so many and all of them are completed."""

        def look():
            tasks = self.queue.listTaskGroup(group)["tasks"]
            states = {each["status"]["taskId"]: each["status"]["state"] for each in tasks}
            bad = [task_id for task_id, state in states.items() if state in ("failed", "exception")]
            assert not bad, "\n".join(self.log(task_id) for task_id in bad)
            return tasks if len(tasks) >= count and set(states.values()) == {"completed"} else None

        found: dict[str, list[str]] = {}
        for each in taskgraph.wait(look, seconds=150, what=f"the end of all {count} tasks of {group}"):
            found.setdefault(each["task"]["metadata"]["name"], []).append(each["status"]["taskId"])
        return found

    def artifact(self, task_id: str, name: str) -> bytes:
        return requests.get(self.queue.buildSignedUrl("getLatestArtifact", task_id, name), timeout=30).content

    def log(self, task_id: str) -> str:
        return self.artifact(task_id, "public/logs/live_backing.log").decode(errors="replace")


@pytest.fixture
def world(tmp_path, make_box):
    folder = clients.taskgraph()
    host = taskgraph.gateway()
    repository = taskgraph.Repository(tmp_path, folder, host)
    box = make_box(CONFIG, start=False)
    name = f"tcbox-test/taskgraph-{os.urandom(5).hex()}:1"
    try:
        taskgraph.image(folder, name, {**repository.git_config, "BUILDER_IMAGE": name})
        repository.adapt(name)
        box.start("--host", host)
        yield World(box, repository)
    finally:
        box.stop()
        repository.close()
        for each in (*taskgraph.made_in(name), name):
            docker_images.remove(each)


def test_a_project_from_its_first_push(world, request):
    """The first push builds an image and a task in it; an action runs that again; the next push finds the image, and builds none."""
    repository = world.repository
    before = repository.push("As taskgraph init makes it")
    kind = "taskcluster/kinds/hello/kind.yml"
    repository.write(kind, repository.read(kind).replace("task-defaults:\n", "task-defaults:\n  attributes: {retrigger: true}\n  tags: {retrigger: 'true'}\n"))
    first = repository.push("Tasks can be triggered again")
    with proof.by("taskgraph", world.box.root_url, request, beside_workers=True, without=OURS):
        decision = world.push(before, first)
        tasks = world.ended(decision, 3)
        assert set(tasks) == {"Decision Task", "docker-image-linux", "hello-world"}
        (image,), (hello,) = tasks["docker-image-linux"], tasks["hello-world"]
        assert "Hello World!" in world.log(hello)
        indexed(world, decision, image, first)
        certified(world, image)
        again(world, decision, hello)
        repository.write("README.md", "More words\n")
        second = repository.push("Words")
        found_again(world, world.push(first, second), image)


def indexed(world, decision: str, image: str, revision: str) -> None:
    """Both are found by their routes."""
    for route, task_id in {
        "mozilla.v2.demo.latest.taskgraph.decision": decision,
        f"mozilla.v2.demo.revision.{revision}.taskgraph.decision": decision,
        "mozilla.v2.demo.cache.level-1.docker-images.v2.linux.latest": image,
    }.items():
        assert world.index.findTask(route)["taskId"] == task_id, route


def certified(world, image: str) -> None:
    """The image's task asked for a chain of trust, and left one."""
    certificate = json.loads(world.artifact(image, "public/chain-of-trust.json"))
    assert certificate["task"] == world.queue.task(image)
    digest = hashlib.sha256(world.artifact(image, "public/image.tar.zst")).hexdigest()
    assert certificate["artifacts"]["public/image.tar.zst"] == {"sha256": digest}


def again(world, decision: str, task_id: str) -> None:
    """Someone who looks at the task chooses "Retrigger": its hook, set up as actions.json wants it, makes a task that makes one like it."""
    offered = json.loads(world.artifact(decision, "public/actions.json"))["actions"]
    tags = world.queue.task(task_id)["tags"]
    action = next(each for each in offered if each["name"] == "retrigger" and any(fits.items() <= tags.items() for fits in each["context"]))
    name = (action["hookGroupId"], action["hookId"])
    world.hooks.createHook(*name, taskgraph.hook(world.repository.recipe, action["extra"]["actionPerm"]))
    payload = jsone.render(action["hookPayload"], {"taskId": task_id, "taskGroupId": decision, "input": {"times": 2}})
    made = world.hooks.triggerHook(*name, payload)["taskId"]
    tasks = world.ended(decision, 6)
    assert tasks.get("Action: Retrigger") == [made], world.log(made)
    assert len(tasks["hello-world"]) == 3
    assert re.search(r"Scheduled hello-world \(time 2/2\)", world.log(made))
    assert {task_id, *json.loads(world.artifact(made, "public/task-graph.json"))} == set(tasks["hello-world"])


def found_again(world, decision: str, image: str) -> None:
    """What was made before stands for what need not be made anew."""
    tasks = world.ended(decision, 2)
    assert set(tasks) == {"Decision Task", "hello-world"}
    assert json.loads(world.artifact(decision, "public/label-to-taskid.json"))["docker-image-linux"] == image
    (hello,) = tasks["hello-world"]
    assert world.queue.task(hello)["payload"]["image"] == {"type": "task-image", "taskId": image, "path": "public/image.tar.zst"}
    assert "as loaded before" in world.log(hello)
