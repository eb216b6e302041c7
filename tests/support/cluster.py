"""A whole cluster of real processes on this machine: PostgreSQL, RabbitMQ, an S3 server, replicas of every service, a front door."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tcbox.config.checks import REQUIRES
from tests.support import postgres_server, rabbitmq_server

BUCKET = "artifacts"
STARTING = 90.0


def clean_env(**extra: str) -> dict[str, str]:
    """The environment without what would be taken for settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKCLUSTER_", "TCBOX_"))}
    return {**kept, **extra}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Replica:
    """One process of `tcbox serve`, which may be killed and started again at the same port."""

    def __init__(self, cluster: Cluster, name: str, words: list[str], **env: str) -> None:
        self.name, self.words, self.port = name, words, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = cluster.folder / f"{name}.log"
        self._cluster, self._env = cluster, env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Replica:
        env = clean_env(**{**self._cluster.env, **self._env, "TCBOX_PORT": str(self.port)})
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "tcbox", "serve", *self.words], env=env, stdout=log, stderr=log, cwd=self._cluster.folder)
        if wait:
            self.ready()
        return self

    def ready(self, seconds: float = STARTING) -> None:
        """Return when it takes requests."""
        until = time.monotonic() + seconds
        while not self.answers("/__lbheartbeat__"):
            assert self.alive and time.monotonic() < until, f"{self.name} did not start:\n{self.tail()}"
            time.sleep(0.05)

    def answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> int:
        """End it as Kubernetes would; its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise AssertionError(f"{self.name} did not end:\n{self.tail()}") from None

    def restart(self) -> None:
        assert self.stop() == 0, self.tail()
        self.start()

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""

    def errors(self) -> list[dict[str, Any]]:
        """What it logged as errors."""
        entries = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [entry for entry in entries if entry["level"] == "error"]


class Cluster:
    """All of it. The servers are there when it is made; `start` starts the processes.

    Args:
        counts: replicas of each service; 2 of those that are not named.
        apart: services whose loops run in processes of their own.
    """

    def __init__(self, folder: Path, s3_endpoint: str, *, counts: dict[str, int] | None = None, apart: tuple[str, ...] = ("hooks",)) -> None:
        self.folder = folder
        self.postgres = postgres_server.own()
        self.postgres.run("CREATE DATABASE tc")
        self.rabbitmq = rabbitmq_server.own()
        self.root_token = secrets.token_hex(22)
        _bucket(s3_endpoint)
        front = free_port()
        self.root_url = f"http://127.0.0.1:{front}"
        self.env = {
            "TCBOX_ROOT_URL": self.root_url,
            "TCBOX_DATABASE": self.postgres.url("tc") + "&pool=5",
            "TCBOX_EVENTS": self.rabbitmq.url,
            "TCBOX_BLOBS": f"s3://{BUCKET}/prod?endpoint={s3_endpoint}&region=us-east-1&access_key_id=test&secret_access_key=test",
            "TCBOX_SERVICES_SECRETS_KEY": base64.b64encode(os.urandom(32)).decode(),
            "TCBOX_INSTANCE_KEY": base64.b64encode(os.urandom(32)).decode(),
            "TCBOX_ROOT_ACCESS_TOKEN": self.root_token,
            "TCBOX_SERVE_NOTICE_SECONDS": "1.5",
            "TCBOX_SERVICES_WEB_SERVER_LINKS": "anywhere",
        }  # fmt: skip
        self.replicas: dict[str, list[Replica]] = {}
        for name in REQUIRES:
            for number in range((counts or {}).get(name, 2)):
                word = f"{name}/api" if name in apart else name
                self.replicas.setdefault(name, []).append(Replica(self, f"{name}-{number + 1}", [word, "--no-migrate"]))
        self.loops = [Replica(self, f"{name}-loops-{number + 1}", [f"{name}/loops", "--no-migrate"]) for name in apart for number in range(2)]
        answering = {name: [replica.url for replica in found] for name, found in self.replicas.items()}
        self.front = Replica(self, "front", ["front"], TCBOX_SERVE_REPLICAS=json.dumps(answering))
        self.front.port, self.front.url = front, self.root_url

    @property
    def all(self) -> Iterator[Replica]:
        for found in self.replicas.values():
            yield from found
        yield from self.loops

    @property
    def options(self) -> dict[str, Any]:
        """What the PyPI client is given."""
        return {"rootUrl": self.root_url, "credentials": {"clientId": "static/taskcluster/root", "accessToken": self.root_token}, "maxRetries": 5}

    def migrate(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "tcbox", "migrate"], env=clean_env(**self.env), cwd=self.folder)

    def start(self) -> Cluster:
        """Two migrations at once, then every process, some at a time."""
        waiting = list(self.all)
        first, rest = waiting[:4], waiting[4:]
        for replica in first:  # they wait for the schema
            replica.start(wait=False)
        migrations = [self.migrate(), self.migrate()]
        assert [each.wait(60) for each in migrations] == [0, 0]
        self.front.start(wait=False)
        for replica in first:
            replica.ready()
        for at in range(0, len(rest), 4):
            for replica in rest[at : at + 4]:
                replica.start(wait=False)
            for replica in rest[at : at + 4]:
                replica.ready()
        self.front.ready()
        return self

    def stop(self) -> None:
        for replica in [self.front, *self.all]:
            with contextlib.suppress(Exception):
                if replica.alive:
                    replica.kill()
        self.rabbitmq.stop()
        self.postgres.stop()


def _bucket(endpoint: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    client.create_bucket(Bucket=BUCKET)
