"""The processes of a cluster, for the bench: PostgreSQL that brings every commit to the disk, RabbitMQ, an S3 server, services, fronts."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tcbox.config.checks import REQUIRES
from tests.support import ports, postgres_server, rabbitmq_server
from tests.support.cluster import Replica, clean_env

BUCKET = "artifacts"
ALONE = ("auth", "web-server", "queue")
"""Services that are a process of their own; the others share one."""
BOUND = ("task-defined", "task-pending", "task-running", "task-completed")
DURABLE = ("max_connections=200",)
"""Settings of PostgreSQL: its own, so that a commit is on the disk before it is answered."""


class Cluster:
    """A cluster with up to so many replicas of the queue, all of which run, and a front for each number of them."""

    def __init__(self, folder: Path, most: int) -> None:
        from moto.server import ThreadedMotoServer

        self.folder = folder
        self.postgres = postgres_server.own(DURABLE)
        self.postgres.run("CREATE DATABASE tc")
        self.rabbitmq = rabbitmq_server.own()
        self._s3 = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._s3.start()
        host, port = self._s3.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT"), timeout=30).close()
        self.root_token = secrets.token_hex(22)
        fronts = ports.free(most)
        self.env = {
            "TCBOX_ROOT_URL": f"http://127.0.0.1:{fronts[-1]}",
            "TCBOX_DATABASE": self.postgres.url("tc") + "&pool=10",
            "TCBOX_EVENTS": self.rabbitmq.url,
            "TCBOX_BLOBS": f"s3://{BUCKET}/prod?endpoint={endpoint}&region=us-east-1&access_key_id=test&secret_access_key=test",
            "TCBOX_SERVICES_SECRETS_KEY": base64.b64encode(os.urandom(32)).decode(),
            "TCBOX_INSTANCE_KEY": base64.b64encode(os.urandom(32)).decode(),
            "TCBOX_ROOT_ACCESS_TOKEN": self.root_token,
        }
        others = [name for name in REQUIRES if name not in ALONE]
        self.auth, self.web = self._replica("auth"), self._replica("web-server")
        self.others = self._replica("others", *others)
        self.queues = [self._replica(f"queue-{number + 1}", "queue") for number in range(most)]
        where = {"auth": self.auth.url, "web-server": self.web.url, "queue": self.queues[0].url, **dict.fromkeys(others, self.others.url)}
        self.env["TCBOX_SERVE_URLS"] = json.dumps(where)
        self.fronts = [self._front(number + 1, port, where) for number, port in enumerate(fronts)]

    def _replica(self, name: str, *words: str) -> Replica:
        return Replica(self, name, [*(words or (name,)), "--no-migrate"])  # type: ignore[arg-type] - it asks for a folder and variables alone

    def _front(self, count: int, port: int, where: dict[str, str]) -> Replica:
        urls = {name: [url] for name, url in where.items()} | {"queue": [queue.url for queue in self.queues[:count]]}
        made = Replica(self, f"front-{count}", ["front"], TCBOX_SERVE_REPLICAS=json.dumps(urls))  # type: ignore[arg-type]
        made.port, made.url = port, f"http://127.0.0.1:{port}"
        return made

    @property
    def services(self) -> list[Replica]:
        """Every process of a service."""
        return [self.auth, self.web, self.others, *self.queues]

    def start(self) -> None:
        """Start all of it; a queue of the broker gets the messages, as somebody's would who listens."""
        subprocess.run([sys.executable, "-m", "tcbox", "migrate"], env=clean_env(**self.env), cwd=self.folder, check=True, capture_output=True)
        for replica in [*self.services, *self.fronts]:
            replica.start()
        with self.rabbitmq.channel() as channel:
            channel.queue_declare("listener", durable=True, arguments={"x-max-length": 10_000})
            for name in BOUND:
                exchange = f"exchange/taskcluster-queue/v1/{name}"
                channel.exchange_declare(exchange, "topic", durable=True)
                channel.queue_bind("listener", exchange, "#")

    def stop(self) -> None:
        """End all of it."""
        for replica in [*self.fronts, *self.services]:
            with contextlib.suppress(Exception):
                replica.stop()
        self._s3.stop()
        self.rabbitmq.stop()
        self.postgres.stop()

    def groups(self, count: int) -> dict[str, list[int]]:
        """The processes whose CPU is measured, with so many replicas at work."""
        parts: dict[str, list[Any]] = {
            "queue": self.queues[:count], "auth": [self.auth], "front": [self.fronts[count - 1]], "web-server": [self.web], "others": [self.others],
        }  # fmt: skip
        servers = {"postgres": self.postgres, "rabbitmq": self.rabbitmq}
        found = {name: [replica._process.pid for replica in replicas] for name, replicas in parts.items()}  # noqa: SLF001
        return {**found, **{name: [server._process.pid] for name, server in servers.items()}}  # type: ignore[attr-defined] # noqa: SLF001

    def queries(self) -> dict[str, float]:
        """How often each named statement has run, over all processes."""
        total: dict[str, float] = {}
        for replica in self.services:
            with urllib.request.urlopen(f"{replica.url}/metrics", timeout=30) as answer:
                lines = answer.read().decode().splitlines()
            for line in lines:
                if line.startswith("tcbox_queries_total{"):
                    name = line.partition('query="')[2].partition('"')[0]
                    total[name] = total.get(name, 0.0) + float(line.rpartition(" ")[2])
        return total
