"""An export to Compose on a real Docker engine, with PostgreSQL, RabbitMQ and S3 beside: it comes up, works, and changes in parts.

The images of others are made here from the same programs, where a registry would have them (tests/support/standins.py). Services
that no test here needs are off, since each is two processes that start at once; TCBOX_COMPOSE=whole has all of them.
"""

from __future__ import annotations

import base64
import datetime
import os
import secrets
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import taskcluster
import yaml

from tests.support import clients, ports, standins
from tests.support.box import clean_env
from tests.support.image import NEEDED, run

pytestmark = [*NEEDED]

OFF = () if os.environ.get("TCBOX_COMPOSE") == "whole" else ("github", "hooks", "index", "notify", "purge_cache", "worker_manager")
_CONFIG = """
root_url: http://{host}:{port}
database: postgresql://tcbox:${{env:DB_PASSWORD}}@postgres/tcbox
events: amqp://tcbox:${{env:AMQP_PASSWORD}}@rabbitmq/tcbox
blobs: {{url: "s3://artifacts/prod", endpoint: "http://{host}:{s3}", access_key_id: tcbox, secret_access_key: "${{env:S3_SECRET}}"}}
services:
  secrets: {{key: "${{file:sealing.key}}"}}
  queue: {{claim_timeout: {claim_timeout}}}
{off}
export:
  image: tcbox-test/tcbox
  version: built
  compose: {{postgres: true, rabbitmq: true, s3: true, port: {port}}}
"""


class Project:
    """The exported project, under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.name = folder, folder / "host", f"tcbox-test-{os.urandom(4).hex()}"
        self.host = own_address()
        self.port, self.s3 = ports.free(2, "0.0.0.0")
        self.root_url = f"http://{self.host}:{self.port}"
        self.root_token = secrets.token_hex(22)
        key = base64.b64encode(os.urandom(32)).decode()
        self.env = clean_env(
            DB_PASSWORD="pa$$ w'ord",
            AMQP_PASSWORD="s3cret-pa",
            S3_SECRET=secrets.token_hex(20),
            TCBOX_INSTANCE_KEY=key,
            TCBOX_ROOT_ACCESS_TOKEN=self.root_token,
        )
        (folder / "sealing.key").write_text(base64.b64encode(os.urandom(32)).decode())
        (folder / "sealing.key").chmod(0o644)  # the containers' user reads it
        (folder / "images.yaml").write_text(yaml.safe_dump(standins.override()))

    def export(self, claim_timeout: int) -> None:
        """Write the project, as the page on exports says."""
        off = "\n".join(f"  {name}: {{enabled: false}}" for name in OFF)
        settings = _CONFIG.format(host=self.host, port=self.port, s3=self.s3, claim_timeout=claim_timeout, off=off)
        (self.folder / "tcbox.yml").write_text(settings)
        self._tcbox("--out", str(self.out))
        (self.out / ".env").write_text(self._tcbox("--secrets"))

    def _tcbox(self, *words: str) -> str:
        return run(sys.executable, "-m", "tcbox", "export", "--target", "compose", *words, cwd=self.folder, env=self.env)

    def compose(self, *words: str, timeout: int = 300) -> str:
        files = ["--file", self.out / "compose.yaml", "--file", self.folder / "images.yaml"]
        place = ["--project-directory", self.out, "--project-name", self.name]
        return run(clients.compose(), *files, *place, *words, timeout=timeout, env=clean_env())

    def containers(self) -> dict[str, str]:
        """The id of each service's container."""
        lines = run("docker", "ps", "--all", "--no-trunc", "--filter", f"label=com.docker.compose.project={self.name}",
            "--format", '{{.Label "com.docker.compose.service"}} {{.ID}}').splitlines()  # fmt: skip
        return dict(line.split() for line in lines)

    @property
    def options(self) -> dict:
        return {"rootUrl": self.root_url, "credentials": {"clientId": "static/taskcluster/root", "accessToken": self.root_token}}


def own_address() -> str:
    """An address of this machine that containers reach too; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))
        return sock.getsockname()[0]


@pytest.fixture(scope="module")
def project(image, tmp_path_factory):
    """The whole project, up."""
    made = Project(tmp_path_factory.mktemp("compose"))
    made.export(900)
    try:
        made.compose("up", "--detach", "--wait", "--wait-timeout", "240")
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "5")


def create(queue: taskcluster.Queue, task_queue: str) -> str:
    task_id, now = taskcluster.slugId(), datetime.datetime.now(datetime.timezone.utc)
    metadata = {"name": "t", "description": "d", "owner": "me@example.com", "source": "https://example.com"}
    queue.createTask(task_id, {"taskQueueId": task_queue, "created": now, "deadline": now + datetime.timedelta(hours=1), "payload": {}, "metadata": metadata})
    return task_id


def resolved(queue: taskcluster.Queue, task_id: str) -> str:
    until = time.monotonic() + 60
    while (state := queue.status(task_id)["status"]["state"]) in ("unscheduled", "pending", "running"):
        assert time.monotonic() < until, state
        time.sleep(0.2)
    return state


def test_a_task_is_resolved(project):
    """The worker of the project takes a task that came through its proxy, and resolves it; the broker has the exchanges for it."""
    queue = taskcluster.Queue(project.options)
    assert resolved(queue, create(queue, "built-in/succeed")) == "completed"
    assert resolved(queue, create(queue, "built-in/fail")) == "failed"
    exchanges = project.compose("exec", "-T", "rabbitmq", "rabbitmqctl", "-q", "list_exchanges", "-p", "tcbox", "name")
    assert "exchange/taskcluster-queue/v1/task-completed" in exchanges


def test_bytes_of_artifacts(project):
    """A worker puts an artifact to the S3 server by the URL that it is given, and everybody who may gets the bytes back."""
    queue = taskcluster.Queue(project.options)
    task_id = create(queue, "test/own")
    (claim,) = queue.claimWork("test/own", {"workerGroup": "g", "workerId": "w"})["tasks"]
    worker = taskcluster.Queue({"rootUrl": project.root_url, "credentials": claim["credentials"]})
    asked = {"storageType": "s3", "contentType": "text/plain", "expires": datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)}
    place = worker.createArtifact(task_id, 0, "public/x.txt", asked)
    put = urllib.request.Request(place["putUrl"], data=b"bytes", method="PUT", headers={"Content-Type": "text/plain"})
    assert urllib.request.urlopen(put, timeout=20).status == 200
    worker.reportCompleted(task_id, 0)
    with urllib.request.urlopen(f"{project.root_url}/api/queue/v1/task/{task_id}/artifacts/public/x.txt", timeout=20) as answer:
        assert answer.read() == b"bytes"


def test_a_change_makes_anew_what_it_concerns(project):
    """Another setting of the queue, exported and brought up again, makes its container anew and no other; what was there is there."""
    queue, vault = taskcluster.Queue(project.options), taskcluster.Secrets(project.options)
    tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    vault.set("kept", {"secret": {"a": 1}, "expires": tomorrow})
    task_id = create(queue, "test/own")
    before = project.containers()
    project.export(600)
    project.compose("up", "--detach", "--wait", "--wait-timeout", "120")
    after = project.containers()
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == {"queue"}
    (claim,) = queue.claimWork("test/own", {"workerGroup": "g", "workerId": "w"})["tasks"]
    taken = datetime.datetime.fromisoformat(claim["takenUntil"]) - datetime.datetime.now(datetime.timezone.utc)
    assert claim["status"]["taskId"] == task_id
    assert 500 < taken.total_seconds() < 601
    assert vault.get("kept")["secret"] == {"a": 1}
