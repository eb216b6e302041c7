"""Worker pools and static workers on a real instance, by the clients that people use."""

import pytest
import taskcluster

from tests.support import definitions, proof
from tests.support.box import Box
from tests.support.waiting import until

CONFIG = """
workers:
  docker: {enabled: false}
  host: {enabled: false}
  builtin: {enabled: false}
providers:
  aws-prod: {type: aws}
"""
POOL = "proj/ci"
SECRET = "abcd" * 11


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """An instance without workers of its own."""
    made = Box(tmp_path_factory.mktemp("worker-manager"), CONFIG).start()
    yield made
    made.stop()


@pytest.fixture
def manager(box):
    return taskcluster.WorkerManager(box.options)


@pytest.fixture
def queue(box):
    return taskcluster.Queue(box.options)


def pool(**changes):
    return {"providerId": "static", "description": "d", "owner": "o@example.com", "emailOnError": False, "config": {"workerConfig": {"a": 1}}, **changes}


def expires():
    return taskcluster.fromNowJSON("1 day")


def with_credentials(box, client, credentials):
    """A client of another kind with the credentials that a worker got."""
    return client({"rootUrl": box.root_url, "credentials": credentials})


def test_a_client_calls_every_method(box, manager, queue, request):
    """The PyPI client calls every method of the service, and gets what they promise."""
    with proof.by("taskcluster (PyPI)", box.root_url, request):
        assert manager.ping()["alive"]
        for method in (manager.lbheartbeat, manager.heartbeat, manager.version):
            method()
        assert [each["providerId"] for each in manager.listProviders()["providers"]] == ["static", "aws-prod"]
        made = manager.createWorkerPool(POOL, pool())
        assert manager.workerPool(POOL) == made
        assert manager.updateWorkerPool(POOL, pool(description="e"))["description"] == "e"
        assert POOL in [each["workerPoolId"] for each in manager.listWorkerPools()["workerPools"]]
        (stats,) = [each for each in manager.listWorkerPoolsStats()["workerPoolsStats"] if each["workerPoolId"] == POOL]
        assert stats["currentCapacity"] == 0
        assert manager.listWorkerPoolLaunchConfigs(POOL) == {"workerPoolLaunchConfigs": []}
        manager.createWorker(POOL, "g", "w", {"expires": expires(), "providerInfo": {"staticSecret": SECRET}})
        manager.updateWorker(POOL, "g", "w", {"expires": expires(), "capacity": 2, "providerInfo": {"staticSecret": SECRET}})
        assert manager.worker(POOL, "g", "w")["capacity"] == 2
        got = manager.registerWorker(identity("w"))
        again = manager.reregisterWorker({"workerPoolId": POOL, "workerGroup": "g", "workerId": "w", "secret": got["secret"]})
        assert again["secret"] != got["secret"]
        with_credentials(box, taskcluster.Queue, again["credentials"])  # what it is for is tried below
        queue.declareWorker("proj", "ci", "g", "w", {"expires": expires()})
        assert manager.getWorker("proj", "ci", "g", "w")["state"] == "running"
        assert [each["workerId"] for each in manager.listWorkers("proj", "ci")["workers"]] == ["w"]
        assert [each["workerId"] for each in manager.listWorkersForWorkerPool(POOL)["workers"]] == ["w"]
        assert [each["workerId"] for each in manager.listWorkersForWorkerGroup(POOL, "g")["workers"]] == ["w"]
        assert manager.workerPoolStats(POOL)["launchConfigStats"][0]["runningCapacity"] == 2
        report = {"workerGroup": "g", "workerId": "w", "kind": "boot-error", "title": "t", "description": "d", "extra": {}}
        error = manager.reportWorkerError(POOL, report)
        assert manager.listWorkerPoolErrors(POOL)["workerPoolErrors"] == [error]
        assert manager.workerPoolErrorStats(query={"workerPoolId": POOL})["totals"]["total"] == 1
        assert manager.shouldWorkerTerminate(POOL, "g", "w") == {"terminate": False, "reason": "none"}
        manager.removeWorker(POOL, "g", "w")
        assert manager.worker(POOL, "g", "w")["state"] == "stopped"
        assert manager.deleteWorkerPool(POOL)["providerId"] == "null-provider"


def identity(worker_id, group="g", name=POOL):
    """What worker-runner's static provider sends."""
    return {"workerPoolId": name, "providerId": "static", "workerGroup": group, "workerId": worker_id, "workerIdentityProof": {"staticSecret": SECRET}}


@pytest.mark.contract
def test_a_static_worker_works_with_the_credentials_that_it_gets(box, manager, queue):
    """A machine without credentials registers with its secret, claims and finishes a task, registers again, works on, and is told to go."""
    name = "proj/static"
    manager.createWorkerPool(name, pool())
    manager.createWorker(name, "g", "m1", {"expires": expires(), "providerInfo": {"staticSecret": SECRET}})
    nobody = taskcluster.WorkerManager({"rootUrl": box.root_url})
    with pytest.raises(taskcluster.TaskclusterFailure) as refused:
        nobody.registerWorker({**identity("m1", name=name), "workerIdentityProof": {"staticSecret": "x" * 44}})
    assert refused.value.status_code == 400
    got = nobody.registerWorker(identity("m1", name=name))
    assert got["workerConfig"] == {"a": 1}

    def work(credentials):
        task_id = taskcluster.slugId()
        queue.createTask(task_id, definitions.task(name))
        worker = with_credentials(box, taskcluster.Queue, credentials)
        (claim,) = worker.claimWork(name, {"workerGroup": "g", "workerId": "m1", "tasks": 1})["tasks"]
        assert claim["status"]["taskId"] == task_id
        with_credentials(box, taskcluster.Queue, claim["credentials"]).reportCompleted(task_id, claim["runId"])
        assert queue.status(task_id)["status"]["state"] == "completed"
        return worker

    work(got["credentials"])
    own = with_credentials(box, taskcluster.WorkerManager, got["credentials"])
    own.reportWorkerError(name, {"workerGroup": "g", "workerId": "m1", "kind": "k", "title": "t", "description": "d", "extra": {}})
    fresh = own.reregisterWorker({"workerPoolId": name, "workerGroup": "g", "workerId": "m1", "secret": got["secret"]})
    worker = work(fresh["credentials"])
    with pytest.raises(taskcluster.TaskclusterFailure) as refused:
        worker.claimWork("proj/other", {"workerGroup": "g", "workerId": "m1", "tasks": 1})
    assert refused.value.status_code == 403
    with pytest.raises(taskcluster.TaskclusterFailure) as refused:
        worker.claimWork(name, {"workerGroup": "g", "workerId": "m2", "tasks": 1})
    assert refused.value.status_code == 403, "it is that worker, and no other"
    until(lambda: len(manager.getWorker("proj", "static", "g", "m1")["recentTasks"]) == 2)  # of several processes one may be a second late


@pytest.mark.contract
def test_what_a_removed_worker_ran_runs_again(box, manager, queue):
    """When a worker is removed, the task that it was running is tried again at once, not when its claim ends."""
    name = "proj/removed"
    manager.createWorkerPool(name, pool())
    manager.createWorker(name, "g", "m1", {"expires": expires(), "providerInfo": {"staticSecret": SECRET}})
    got = taskcluster.WorkerManager({"rootUrl": box.root_url}).registerWorker(identity("m1", name=name))
    task_id = taskcluster.slugId()
    queue.createTask(task_id, definitions.task(name))
    with_credentials(box, taskcluster.Queue, got["credentials"]).claimWork(name, {"workerGroup": "g", "workerId": "m1", "tasks": 1})
    with_credentials(box, taskcluster.WorkerManager, got["credentials"]).removeWorker(name, "g", "m1")
    until(lambda: len(queue.status(task_id)["status"]["runs"]) == 2)
    first, second = queue.status(task_id)["status"]["runs"]
    assert (first["reasonResolved"], second["state"]) == ("worker-shutdown", "pending")


def test_a_pool_of_a_cloud_without_credentials(box, manager):
    """A real pool of a cloud that is declared without credentials can be applied unchanged, and says why it has no machines, as does `tcbox status`."""
    config = {
        "launchConfigs": [{"workerConfig": {"z": 1, "a": [1.0, None]}, "region": "us-west-2", "launchConfig": {"ImageId": "ami-1"}, "capacityPerInstance": 1}],
        "maxCapacity": 5, "minCapacity": 0,
    }  # fmt: skip
    made = manager.createWorkerPool("proj/aws", pool(providerId="aws-prod", config=config, emailOnError=True))
    assert str(made["config"]) == str(config), "the same, in the same order"
    found = until(lambda: manager.listWorkerPoolErrors("proj/aws")["workerPoolErrors"])
    assert found[0]["title"] == "Nothing is provisioned"
    said = box.command("status", "--data", str(box.data)).stdout
    assert "● worker-manager healthy" in said
    assert "provider aws-prod (aws): nothing is provisioned: providers.aws-prod has no credentials in tcbox.yml." in said


@pytest.mark.contract
def test_changes_of_pools_are_in_the_audit_log(box, manager):
    """Who made, changed and deleted a pool is told by the auth service."""
    name = "proj/audited"
    manager.createWorkerPool(name, pool())
    manager.deleteWorkerPool(name)
    found = taskcluster.Auth(box.options).getEntityHistory("worker-pool", name)["auditHistory"]
    assert [(entry["actionType"], entry["clientId"]) for entry in found] == [("created", "static/taskcluster/root"), ("deleted", "static/taskcluster/root")]


def test_the_owner_gets_a_mail_about_an_error(box, manager):
    """An error of a pool that wants mail is sent to its owner through the notify service; without a mail server it lies in the data folder."""
    name = "proj/mail"
    manager.createWorkerPool(name, pool(emailOnError=True))
    made = manager.reportWorkerError(
        name, {"workerGroup": "g", "workerId": "w", "kind": "k", "title": "It does not boot", "description": "No disk.", "extra": {}}
    )

    def mails():
        return [text for path in (box.data / "mail").glob("*.eml") if made["errorId"] in (text := path.read_text())]

    (text,) = until(mails)
    assert "To: o@example.com" in text and "Subject: Taskcluster Worker Manager Error: It does not boot" in text
    assert name in text and "No disk." in text
