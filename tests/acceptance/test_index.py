"""The index of a real instance: the client from PyPI, tasks that complete, and workers that find images and files by it."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
import taskcluster

from tests.support import definitions, docker_images, proof
from tests.support.tasks import Tasks, fetch
from tests.support.waiting import until

WORKERS = "workers:\n  docker: {enabled: false}\n"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def location(url: str) -> str:
    """Where a URL sends those who ask it."""
    with pytest.raises(urllib.error.HTTPError) as told:
        urllib.request.build_opener(NoRedirect).open(url, timeout=10)
    assert told.value.code == 303
    return told.value.headers["Location"]


def found(index, path):
    """The task at a path, waited for."""

    def there():
        try:
            return index.findTask(path)
        except taskcluster.TaskclusterRestFailure as error:
            assert error.status_code == 404
            return None

    return until(there, shown=lambda: path)


@pytest.mark.contract
def test_every_method_by_the_client_from_pypi(box, request):
    """The unmodified client calls each method of the index with success."""
    task_id = Tasks(box).run(definitions.host("echo hi > f", artifacts=[{"type": "file", "path": "f", "name": "public/f"}]))
    with proof.by("taskcluster (PyPI)", box.root_url, request, beside_workers=True):
        index = taskcluster.Index(box.options)
        assert index.ping()["alive"]
        assert index.lbheartbeat() == {}
        assert index.heartbeat() == {}
        assert index.version()["version"]
        entry = {"taskId": task_id, "rank": 3, "data": {"b": 1, "a": [None]}, "expires": definitions.wire(days=1)}
        expected = {"namespace": "py.client.one", **entry}
        assert index.insertTask("py.client.one", entry) == expected
        assert index.insertTask("py.client.one", {**entry, "rank": 2}) == expected
        assert index.findTask("py.client.one") == expected
        assert index.findTasksAtIndex({"indexes": ["py.client.one", "py.no"]}) == {"tasks": [expected]}
        assert index.listTasks("py.client") == {"tasks": [expected]}
        assert "py.client" in [each["namespace"] for each in index.listNamespaces("py")["namespaces"]]
        assert "py" in [each["name"] for each in index.listNamespaces("")["namespaces"]]
        assert fetch(index.buildUrl("findArtifactFromTask", "py.client.one", "public/f")) == b"hi\n"
        assert index.findArtifactFromTask("py.client.one", "public/f")["response"].status_code == 303
        assert index.deleteTask("py.client.one") == {}
        with pytest.raises(taskcluster.TaskclusterRestFailure) as gone:
            index.findTask("py.client.one")
        assert gone.value.status_code == 404
    assert set(taskcluster.Index.funcinfo) == {
        "ping", "lbheartbeat", "version", "heartbeat", "findTask", "findTasksAtIndex", "listNamespaces", "listTasks", "insertTask", "deleteTask", "findArtifactFromTask",
    }  # fmt: skip


@pytest.mark.contract
def test_tasks_are_indexed_as_they_complete(box):
    """A task is found by its routes as soon as it has completed, and the next of the same rank takes its place."""
    index, tasks = taskcluster.Index(box.options), Tasks(box)
    first = tasks.run(definitions.host("true", routes=["index.a.latest", "index.a.revision.r1"]))
    assert found(index, "a.revision.r1")["taskId"] == first
    second = tasks.run(definitions.host("true", routes=["index.a.latest", "index.a.revision.r2"], extra={"index": {"data": {"n": 2}}}))
    assert found(index, "a.revision.r2")["data"] == {"n": 2}
    assert index.findTask("a.latest")["taskId"] == second
    assert index.findTask("a.revision.r1")["taskId"] == first
    failing = tasks.run(definitions.host("false", routes=["index.a.failed"]))
    assert tasks.state(failing) == "failed"


def test_nothing_is_lost_when_the_instance_is_killed(make_box):
    """After kill -9, and after a time without the service, every task that completed is in the index."""
    box = make_box("workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n")
    queue, ids = taskcluster.Queue(box.options), [taskcluster.slugId() for _ in range(40)]
    for number, task_id in enumerate(ids):
        queue.createTask(task_id, definitions.task("built-in/succeed", routes=[f"index.killed.n{number:02}"]))
    done = [task_id for task_id in ids if queue.status(task_id)["status"]["state"] == "completed"]
    box.kill()
    configured = box.config.read_text()
    box.config.write_text(configured + "services:\n  index: {enabled: false}\n")
    box.start()
    tasks = Tasks(box)
    until(lambda: all(tasks.state(task_id) == "completed" for task_id in ids), shown=lambda: done)
    box.stop()
    box.config.write_text(configured)
    box.start()
    index = taskcluster.Index(box.options)
    assert [found(index, f"killed.n{number:02}")["taskId"] for number in range(40)] == ids


@pytest.mark.contract
def test_private_artifacts_of_indexed_tasks(box):
    """Who has the scope is sent to a URL that opens a private artifact; who has not is refused; a link opens nothing more."""
    tasks, index = Tasks(box), taskcluster.Index(box.options)
    artifacts = [{"type": "file", "path": "f", "name": "private/f"}, {"type": "file", "path": "f", "name": "public/f"}]
    task_id = tasks.run(definitions.host("echo secret > f", artifacts=artifacts, routes=["index.my.private"]))
    found(index, "my.private")
    signed = location(index.buildSignedUrl("findArtifactFromTask", "my.private", "private/f"))
    assert signed.startswith(f"{box.root_url}/api/queue/v1/task/{task_id}/artifacts/private%2Ff?bewit=")
    assert fetch(signed) == b"secret\n"
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(index.buildUrl("findArtifactFromTask", "my.private", "private/f"))
    assert refused.value.code == 403
    assert "bewit" not in location(index.buildSignedUrl("findArtifactFromTask", "my.private", "public/f"))
    auth = taskcluster.Auth(box.options)
    made = auth.createClient("reader", {"expires": definitions.wire(days=1), "description": "", "scopes": ["queue:get-artifact:private/*"]})
    reader = taskcluster.Index({"rootUrl": box.root_url, "credentials": {"clientId": "reader", "accessToken": made["accessToken"]}})
    assert fetch(location(reader.buildSignedUrl("findArtifactFromTask", "my.private", "private/f"))) == b"secret\n"
    claimed = taskcluster.slugId()
    tasks.queue.createTask(claimed, definitions.task("by/hand"))
    claim = tasks.queue.claimWork("by/hand", {"workerGroup": "g", "workerId": "w"})["tasks"][0]
    worker = taskcluster.Queue({"rootUrl": box.root_url, "credentials": claim["credentials"]})
    common = {"expires": definitions.wire(hours=1), "contentType": "text/plain"}
    worker.createArtifact(claimed, "0", "private/there", {"storageType": "reference", "url": f"{box.root_url}/__version__", **common})
    worker.createArtifact(claimed, "0", "open/link", {"storageType": "link", "artifact": "private/there", **common})
    index.insertTask("my.link", {"taskId": claimed, "rank": 0, "data": {}, "expires": definitions.wire(hours=1)})
    assert b"version" in fetch(location(index.buildSignedUrl("findArtifactFromTask", "my.link", "open/link")))
    made = auth.createClient("peeper", {"expires": definitions.wire(days=1), "description": "", "scopes": ["queue:get-artifact:open/*"]})
    peeper = taskcluster.Index({"rootUrl": box.root_url, "credentials": {"clientId": "peeper", "accessToken": made["accessToken"]}})
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(location(peeper.buildSignedUrl("findArtifactFromTask", "my.link", "open/link")))
    assert refused.value.code == 403


@pytest.mark.contract
def test_a_host_task_mounts_what_the_index_has(box):
    """A mount by namespace has the artifact of the task that the index has just then; without one the log says so."""
    tasks, index = Tasks(box), taskcluster.Index(box.options)

    def build(text: str) -> str:
        made = definitions.host(f"echo {text} > f", artifacts=[{"type": "file", "path": "f", "name": "public/f"}], routes=["index.tools.latest"])
        return tasks.run(made)

    mounts = [{"file": "got", "content": {"namespace": "tools.latest", "artifact": "public/f"}}]
    for text in ("one", "two"):
        built = build(text)
        until(lambda built=built: found(index, "tools.latest")["taskId"] == built)
        used = tasks.run(definitions.host("cat got", mounts=mounts))
        assert tasks.state(used) == "completed", tasks.log(used)
        assert f"\n{text}\n" in tasks.log(used)
    mounts[0]["content"]["namespace"] = "tools.none"
    absent = tasks.run(definitions.host("cat got", mounts=mounts))
    assert tasks.state(absent) == "failed"
    assert "The index has nothing for tools.none" in tasks.log(absent)


@pytest.mark.docker
@pytest.mark.skipif(not docker_images.engine_answers(), reason="needs a Docker engine")
def test_a_docker_task_runs_in_an_image_that_the_index_has(make_box, tmp_path):
    """A task with an indexed image runs in the image that another task built; what the index lacks ends it as malformed."""
    box = make_box("workers:\n  docker: {capacity: 1}\n")
    tasks, index = Tasks(box), taskcluster.Index(box.options)
    saved = tmp_path / "image.tar.zst"
    saved.write_bytes(docker_images.zst(docker_images.saved()))
    artifacts = [{"type": "file", "path": "image.tar.zst", "name": "public/image.tar.zst"}]
    built = tasks.run(definitions.host(f"cp {saved} image.tar.zst", artifacts=artifacts, routes=["index.images.busybox.latest"]))
    assert tasks.state(built) == "completed", tasks.log(built)
    found(index, "images.busybox.latest")

    def payload(namespace: str) -> dict:
        image = {"type": "indexed-image", "namespace": namespace, "path": "public/image.tar.zst"}
        return {"image": image, "command": ["sh", "-c", "echo in the image; ls /bin/busybox"], "maxRunTime": 60}

    used = tasks.run(definitions.task("local/docker", payload("images.busybox.latest")), 120)
    assert tasks.state(used) == "completed", tasks.log(used)
    assert "in the image" in tasks.log(used)
    assert f"Fetching the image of task {built}" in tasks.log(used)
    absent = tasks.run(definitions.task("local/docker", payload("images.none")))
    assert tasks.queue.status(absent)["status"]["runs"][0]["reasonResolved"] == "malformed-payload"
    assert "The index has nothing for images.none" in tasks.log(absent)
