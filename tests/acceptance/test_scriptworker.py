"""The published scriptworker, unchanged, takes tasks from an instance, runs its script for them and uploads what that leaves."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import subprocess
import time
import urllib.request

import pytest
import taskcluster
import taskcluster.download
import yaml

from tests.support import clients, definitions, proof
from tests.support.box import Box, clean_env

pytestmark = pytest.mark.contract

QUEUE = "test/scripts"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here."""
    made = Box(tmp_path_factory.mktemp("box"), "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n").start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def queue(box):
    return taskcluster.Queue(box.options)


class Worker:
    """A scriptworker with its own client, on a folder of its own."""

    def __init__(self, folder, box: Box) -> None:
        installed = clients.scriptworker()
        folder.mkdir()
        client = f"test/{folder.name}"
        made = taskcluster.Auth(box.options).createClient(
            client, {
                "description": "scriptworker", "expires": taskcluster.fromNow("1 hour"),
                "scopes": [f"queue:claim-work:{QUEUE}", f"queue:worker-id:scripts/{folder.name}"],
            },
        )  # fmt: skip
        key = folder / "key"
        key.write_text(base64.b64encode(os.urandom(32)).decode())
        python = installed / "venv" / "bin" / "python"
        provisioner, _, kind = QUEUE.partition("/")
        config = folder / "scriptworker.yaml"
        config.write_text(yaml.safe_dump({
            "taskcluster_root_url": box.root_url,
            "credentials": {"clientId": client, "accessToken": made["accessToken"]},
            "provisioner_id": provisioner, "worker_type": kind, "worker_group": "scripts", "worker_id": folder.name,
            "work_dir": str(folder / "work"), "log_dir": str(folder / "log"), "artifact_dir": str(folder / "artifacts"),
            "task_log_dir": str(folder / "artifacts" / "public" / "logs"),
            "task_script": [str(python), str(installed / "task_script.py"), str(folder / "work"), str(folder / "artifacts")],
            "ed25519_private_key_path": str(key),
            "poll_interval": 1,
        }))  # fmt: skip
        self._out = folder / "out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [python, installed / "venv" / "bin" / "scriptworker", config],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=clean_env(PYTHONPATH=""),
            )

    def said(self) -> str:
        return self._out.read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture(scope="module")
def workers(box, tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("scriptworker"), []
    yield folder, made
    for each in made:
        each.stop()


@pytest.fixture
def worker(box, workers):
    """One that runs: that of the last test, unless it has ended."""
    folder, made = workers
    if not made or made[-1].process.poll() is not None:
        made.append(Worker(folder / f"n{len(made)}", box))
    return made[-1]


OURS = frozenset(f"queue.{name}" for name in ("createTask", "status", "task", "listLatestArtifacts", "latestArtifact", "getLatestArtifact", "artifact"))
"""What the tests call themselves."""


@pytest.fixture
def proven(box, request, worker):
    """What the worker does in a test is what it proves."""
    with proof.by("scriptworker (PyPI)", box.root_url, request, without=OURS):
        yield


def create(queue, **payload) -> str:
    task_id = taskcluster.slugId()
    queue.createTask(task_id, definitions.task(QUEUE, payload))
    return task_id


def ended(queue, task_id: str, worker: Worker, *, run: int = 0) -> dict:
    """A run once it is resolved."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        runs = queue.status(task_id)["status"]["runs"]
        if len(runs) > run and runs[run]["state"] in ("completed", "failed", "exception"):
            return runs[run]
        time.sleep(0.1)
    raise AssertionError(f"run {run} of {task_id} does not end: {runs}\n{worker.said()}")


@pytest.mark.usefixtures("proven")
def test_a_task_and_its_artifacts(box, queue, worker):
    """A task is claimed, its script run, and all that it leaves uploaded: text packed, the rest as it is, with a log and a signed chain of trust."""
    task_id = create(queue, write={"public/a.txt": "plain words", "private/b.json": "{}", "public/empty.txt": ""})
    assert ended(queue, task_id, worker)["reasonResolved"] == "completed", worker.said()
    listed = {each["name"] for each in queue.listLatestArtifacts(task_id)["artifacts"]}
    assert listed >= {
        "public/a.txt", "private/b.json", "public/empty.txt", "public/noise.bin", "public/seen.json",
        "public/chain-of-trust.json", "public/chain-of-trust.json.sig", "public/logs/live_backing.log",
    }  # fmt: skip

    def content(name: str) -> bytes:
        return bytes(taskcluster.download.downloadArtifactToBuf(taskId=task_id, name=name, queueService=queue)[0])

    assert (content("public/a.txt"), content("private/b.json"), content("public/empty.txt")) == (b"plain words", b"{}", b"")
    assert content("public/noise.bin") == bytes(range(256)) * 100
    assert json.loads(content("public/seen.json")) == {"TASK_ID": task_id, "RUN_ID": "0", "TASKCLUSTER_ROOT_URL": box.root_url}
    assert b"working on test" in content("public/logs/live_backing.log")
    trust = json.loads(content("public/chain-of-trust.json"))
    assert trust["task"] == queue.task(task_id)
    request = urllib.request.Request(queue.buildUrl("getLatestArtifact", task_id, "public/a.txt"))
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(reply.read()) == b"plain words"


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [(1, "failed", "failed"), (3, "exception", "malformed-payload"), (4, "exception", "resource-unavailable"), (5, "exception", "internal-error")],
)
def test_how_tasks_end(queue, worker, code, state, reason):
    """A script's exit code becomes the published reason."""
    run = ended(queue, create(queue, exit=code), worker)
    assert (run["state"], run["reasonResolved"]) == (state, reason)


def test_a_worker_that_is_asked_to_end(box, queue, worker, tmp_path):
    """A worker that gets SIGTERM during a task gives it back, and another takes it."""
    marker = tmp_path / "marker"
    task_id = create(queue, marker=str(marker))
    until = time.monotonic() + 60
    while not marker.exists():
        assert time.monotonic() < until, worker.said()
        time.sleep(0.1)
    worker.stop()
    assert ended(queue, task_id, worker)["reasonResolved"] == "worker-shutdown"
    run = queue.status(task_id)["status"]["runs"][1]
    assert (run["state"], run["reasonCreated"]) == ("pending", "retry")
