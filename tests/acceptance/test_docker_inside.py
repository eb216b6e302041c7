"""The docker worker inside a real instance: signed tasks through the real queue, and what a power cut leaves."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
import urllib.request

import docker
import pytest
import taskcluster
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.support import definitions
from tests.support import docker_images as images

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")]
CONFIG = "workers:\n  docker: {capacity: 2, memory_mb: 500}\n  host: {enabled: false}\n"


def ended(queue: taskcluster.Queue, task_id: str, *states: str) -> dict:
    """A task's status once it is in one of the states."""
    end = time.monotonic() + 60
    while (status := queue.status(task_id)["status"])["state"] not in states:
        assert time.monotonic() < end, status
        time.sleep(0.1)
    return status


def create(queue: taskcluster.Queue, script: str, **more) -> str:
    task_id = taskcluster.slugId()
    payload = {"image": images.IMAGE, "command": ["sh", "-c", script], "maxRunTime": 60, **more}
    queue.createTask(task_id, definitions.task("local/docker", payload, scopes=["docker-worker:*"]))
    return task_id


def content(queue: taskcluster.Queue, task_id: str, name: str) -> bytes:
    with urllib.request.urlopen(queue.buildSignedUrl("getLatestArtifact", task_id, name)) as reply:
        data = reply.read()
        if reply.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        return data


def test_what_a_signed_task_leaves(make_box):
    """A task's certificate, read through the instance, has a good signature, the task as it was created and the hashes of its files."""
    images.ensure()
    box = make_box(CONFIG)
    queue = taskcluster.Queue(box.options)
    with urllib.request.urlopen(f"{box.root_url}/schemas/docker-worker/v1/payload.json") as reply:
        assert json.load(reply)["$id"] == "/schemas/docker-worker/v1/payload.json#"
    artifacts = {"public/out": {"type": "volume", "path": "/out"}}
    task_id = create(queue, "echo a > /out/a.txt", features={"chainOfTrust": True}, artifacts=artifacts)
    ended(queue, task_id, "completed")
    statement = content(queue, task_id, "public/chain-of-trust.json")
    (public,) = box.data.rglob("chain-of-trust.pub")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.read_text(encoding="ascii")))
    key.verify(content(queue, task_id, "public/chain-of-trust.json.sig"), statement)
    told = json.loads(statement)
    assert told["task"] == queue.task(task_id)
    assert {"public/out/a.txt", "public/logs/certified.log"} <= set(told["artifacts"])
    for name, hashes in told["artifacts"].items():
        assert hashes["sha256"] == hashlib.sha256(content(queue, task_id, name)).hexdigest(), name
    wrong = create(queue, "true", capabilities={"privileged": True}, cache={"c": "no/path"}, huh=1)
    assert ended(queue, wrong, "exception")["runs"][0]["reasonResolved"] == "malformed-payload"


def test_a_power_cut_under_docker_tasks(make_box):
    """When the instance is killed by -9, nothing of its tasks is left in the engine, and they run again once it is back."""
    images.ensure()
    box = make_box(CONFIG)
    queue = taskcluster.Queue(box.options)
    tasks = [create(queue, "test $RUN_ID = 1 || sleep 600", features={"taskclusterProxy": proxy}, cache={"c": "/c"}) for proxy in (False, True)]
    for task_id in tasks:
        ended(queue, task_id, "running")
    client = docker.from_env()
    try:
        end = time.monotonic() + 90
        while len(mine := [each for each in client.containers.list() if each.labels.get("tcbox.task", "").split("_0")[0] in tasks]) < 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        label = mine[0].labels["tcbox.instance"]
        time.sleep(1)
        box.kill()
        end = time.monotonic() + 20
        while client.containers.list(all=True, filters={"label": f"tcbox.instance={label}"}) or client.networks.list(
            filters={"label": f"tcbox.instance={label}"}
        ):
            assert time.monotonic() < end
            time.sleep(0.1)
        box.start()
        for task_id in tasks:
            status = ended(queue, task_id, "completed", "failed", "exception")
            assert [run["reasonResolved"] for run in status["runs"]] == ["worker-shutdown", "completed"]
        end = time.monotonic() + 10
        while list(box.data.rglob("runs/*_*")):
            assert time.monotonic() < end
            time.sleep(0.1)
        for volume in client.volumes.list(filters={"label": f"tcbox.cache={label}"}):
            volume.remove()
    finally:
        client.close()
