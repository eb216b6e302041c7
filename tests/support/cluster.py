"""A whole cluster of real processes on this machine: PostgreSQL, RabbitMQ, an S3 server, replicas of every service, a front door."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tcbox.config.checks import REQUIRES
from tests.support import postgres_server, rabbitmq_server, s3_server
from tests.support.hosts import Place

BUCKET = "artifacts"
STARTING = 90.0
CORS = {"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD", "PUT"], "AllowedHeaders": ["*"], "ExposeHeaders": ["Content-Range", "ETag"]}
"""What docs/serve.md has an operator set for the bucket, so that pages of other origins may read and write there."""


def clean_env(**extra: str) -> dict[str, str]:
    """The environment without what would be taken for settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKCLUSTER_", "TCBOX_"))}
    return {**kept, **extra}


class Replica:
    """One process of `tcbox serve`, which may be killed and started again at the same port."""

    def __init__(self, cluster: Cluster, name: str, words: list[str], *, place: Place = Place(), **env: str) -> None:
        self.name, self.words, self.place, self.port = name, words, place, place.free_port()
        self.url = f"http://{place.address}:{self.port}"
        self.log = cluster.folder / f"{name}.log"
        self._cluster, self._env = cluster, env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Replica:
        env = clean_env(**{**self._cluster.env, **self._env, "TCBOX_HOST": self.place.address, "TCBOX_PORT": str(self.port)})
        with self.log.open("ab") as log, self.place.inside():
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
            with self.place.inside(), urllib.request.urlopen(self.url + path, timeout=5) as reply:
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
        places: where replicas run, in turn; the first is that of the servers and of the front door. Processes of the last place
            start first, and so begin with whatever only one of them does.
        config: a configuration beside what the processes need to find each other.
        port: where the front door listens; a free one when it is 0. With port 80 the root URL has none.
    """

    def __init__(
        self, folder: Path, s3_endpoint: str, *, counts: dict[str, int] | None = None, apart: tuple[str, ...] = ("hooks",),
        places: Sequence[Place] = (Place(),), config: str = "", port: int = 0,
    ) -> None:  # fmt: skip
        self.folder, self.places = folder, places
        if config:
            (folder / "tcbox.yml").write_text(config)  # which processes find where they run
        home = places[0]
        self.postgres = postgres_server.own(address=home.address if len(places) > 1 else "")
        self.postgres.run("CREATE DATABASE tc")
        self.rabbitmq = rabbitmq_server.own(home.address)
        self.root_token = secrets.token_hex(22)
        _bucket(s3_endpoint)
        front = port or home.free_port()
        self.root_url = f"http://{home.address}" + (f":{front}" if front != 80 else "")
        self.env = {
            "TCBOX_ROOT_URL": self.root_url,
            "TCBOX_DATABASE": _with_pool(self.postgres.url("tc")),
            "TCBOX_EVENTS": self.rabbitmq.url,
            "TCBOX_BLOBS": s3_server.url(s3_endpoint, BUCKET),
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
                self.replicas.setdefault(name, []).append(Replica(self, f"{name}-{number + 1}", [word, "--no-migrate"], place=self._place(number)))
        self.loops = [
            Replica(self, f"{name}-loops-{number + 1}", [f"{name}/loops", "--no-migrate"], place=self._place(number)) for name in apart for number in range(2)
        ]
        answering = {name: [replica.url for replica in found] for name, found in self.replicas.items()}
        self.front = Replica(self, "front", ["front"], place=home, TCBOX_SERVE_REPLICAS=json.dumps(answering))
        self.front.port, self.front.url = front, self.root_url

    def _place(self, number: int) -> Place:
        return self.places[number % len(self.places)]

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
        waiting = sorted(self.all, key=lambda replica: replica.place is not self.places[-1])
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


def _with_pool(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}pool=5"


def _bucket(endpoint: str) -> None:
    with contextlib.closing(s3_server.connect(endpoint)) as client:
        if BUCKET not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [CORS]})
