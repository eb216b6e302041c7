"""The published worker-runner, unchanged, registers a generic-worker with the worker manager, and keeps it in credentials."""

from __future__ import annotations

import json
import time

import pytest
import taskcluster

from tests.support import clients, proof
from tests.support.box import Box
from tests.support.generic_worker import Runner, create, log, wait

pytestmark = pytest.mark.contract

POOL = "test/static"
SECRET = taskcluster.slugId() + taskcluster.slugId()
RENEWED_AFTER = 45
"""Seconds for which credentials hold; worker-runner renews them some 30 seconds before their end."""


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here."""
    made = Box(tmp_path_factory.mktemp("box"), "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n").start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def manager(box):
    return taskcluster.WorkerManager(box.options)


@pytest.fixture(scope="module")
def queue(box):
    return taskcluster.Queue(box.options)


@pytest.fixture
def run(box, manager, tmp_path):
    """Make a pool with a worker in it, and start worker-runner on what is to be that machine."""
    made = []

    def start(pool: str = POOL, *, secret: str = SECRET, known: str | None = None, lifecycle: dict | None = None, **settings) -> Runner:
        manager.createWorkerPool(
            pool, {
                "providerId": "static", "description": "machines of a test", "owner": "test@example.com", "emailOnError": False,
                "config": {"workerConfig": {"genericWorker": {"config": settings}}, **({"lifecycle": lifecycle} if lifecycle else {})},
            },
        )  # fmt: skip
        folder = tmp_path / f"machine{len(made)}"
        manager.createWorker(
            pool, "test-group", folder.name, {"expires": taskcluster.fromNow("1 day"), "capacity": 1, "providerInfo": {"staticSecret": known or secret}}
        )
        runner = Runner(folder, box, pool, secret=secret)
        made.append(runner)
        return runner

    yield start
    for runner in made:
        runner.stop()
        assert not runner.asked_for_shutdown.exists()


OURS = frozenset(
    {
        "queue.createTask", "queue.status", "queue.latestArtifact", "queue.listClaimedTasks", "secrets.set", "object.startDownload",
        "worker-manager.createWorkerPool", "worker-manager.createWorker", "worker-manager.worker",
    }
)  # fmt: skip
"""What the tests, and services in their loops, call themselves."""
RUNNERS = frozenset({"worker-manager.registerWorker", "worker-manager.reregisterWorker", "secrets.get"})
WORKERS = frozenset({"queue.claimWork", "queue.createArtifact", "queue.reportCompleted", "worker-manager.shouldWorkerTerminate", "purge-cache.purgeRequests"})


@pytest.fixture
def proven(box, request):
    """What the machine does in a test is what worker-runner, and the worker that it starts, prove."""
    clients.go("start-worker")  # a test that is skipped for its lack proves nothing
    with proof.by("worker-runner", box.root_url, request, without=OURS | WORKERS), proof.by("generic-worker", box.root_url, request, without=OURS | RUNNERS):
        yield


@pytest.mark.usefixtures("proven")
def test_a_static_worker(box, manager, queue, run):
    """A machine that knows its secret is registered, gets its pool's settings and a secret's, runs tasks with them, and is told when to end."""
    taskcluster.Secrets(box.options).set(
        f"worker-pool:{POOL}", {"secret": {"config": {"workerTypeMetadata": {"from": "a secret"}}, "files": []}, "expires": taskcluster.fromNow("1 hour")}
    )
    runner = run(numberOfTasksToRun=2)
    first = create(queue, 'echo "at $TASKCLUSTER_WORKER_LOCATION"; sleep 0.1', task_queue=POOL)
    status = wait(queue, first, "completed", "failed", "exception", worker=runner)
    assert status["runs"][0]["reasonResolved"] == "completed", runner.said()
    assert (status["runs"][0]["workerGroup"], status["runs"][0]["workerId"]) == (runner.group, runner.worker_id)
    text = log(queue, first)
    assert json.loads(next(line for line in text.splitlines() if line.startswith("at {")).removeprefix("at ")) == {"cloud": "static", "shelf": "top"}
    assert '"from": "a secret"' in text
    seen = manager.worker(POOL, runner.group, runner.worker_id)
    assert (seen["state"], seen["providerId"]) == ("running", "static")
    second = create(queue, "true", task_queue=POOL)
    wait(queue, second, "completed", worker=runner)
    assert runner.wait(30) == 0, runner.said()
    assert "Not terminating, worker manager loves me" in runner.log.read_text(errors="replace")


def test_a_machine_without_the_secret(run):
    """A machine whose secret is not the worker's is not registered, and says so."""
    runner = run("test/wrong", secret=SECRET, known=SECRET[::-1])
    assert runner.wait(60) == 1
    assert "could not register worker" in runner.said()


@pytest.mark.usefixtures("proven")
def test_credentials_are_renewed(queue, manager, run):
    """Before a worker's credentials end, worker-runner gets new ones, and the worker goes on with them."""
    runner = run("test/renewing", lifecycle={"reregistrationTimeout": RENEWED_AFTER})
    until = time.monotonic() + RENEWED_AFTER + 20
    while "Using new worker credentials" not in runner.log.read_text(errors="replace"):
        assert time.monotonic() < until, runner.said()
        time.sleep(0.5)
    task_id = create(queue, "echo renewed", task_queue="test/renewing")
    assert wait(queue, task_id, "completed", "failed", "exception", worker=runner)["state"] == "completed"
