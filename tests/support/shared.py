"""One cluster for a whole run of the tests, in the place of each test's own box: with TCBOX_TEST_CLUSTER=1, tests marked `contract`
run unchanged against replicas of every service on PostgreSQL, RabbitMQ and SeaweedFS, behind the front door.

It is configured with all that any of these tests configures, and listens where containers of this machine's Docker engine reach it,
at a root URL without a port if this user may. Its workers run beside it, while a test has a box with workers.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from tcbox.config.checks import REQUIRES
from tests.support import docker_images, s3_server, vendors
from tests.support.cluster import Cluster, clean_env
from tests.support.hosts import Place

WANTED = os.environ.get("TCBOX_TEST_CLUSTER", "") not in ("", "0")
_COUNTS = {"queue": 3}
_CLAIMS = 215
"""Seconds that a claim lasts: generic-worker renews it three minutes before its end, which is waited for."""
_CONFIG = f"""
  queue: {{claim_timeout: {_CLAIMS}}}
"""


class Shared:
    """The cluster, and those whom its services call."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tcbox-cluster-"))
        place = Place(docker_images.gateway() or "127.0.0.1")
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.vendors = stack.enter_context(vendors.running(self.folder))
            self._s3 = s3_server.own(place.address)
            stack.callback(self._s3.stop)
            config = self.vendors.config + _CONFIG
            self.cluster = Cluster(self.folder, self._s3.endpoint, counts=_COUNTS, config=config, places=[place], port=80 if place.may_have(80) else 0)
            stack.callback(self.cluster.stop)
            self.cluster.start()
            self._first = self.folder / "first.yml"
            self._state("export", self.cluster.root_url, "--out", str(self._first), "--secrets")
            self._stack = stack.pop_all()

    def restore(self) -> None:
        """Have the roles, clients, hooks, worker pools and secrets that it began with, and no others."""
        self._state("import", str(self._first), "--into", self.cluster.root_url, "--prune", "--tokens", str(self.folder / "tokens.json"))

    def _state(self, *words: str) -> None:
        made = self.cluster.options["credentials"]
        env = clean_env(TASKCLUSTER_CLIENT_ID=made["clientId"], TASKCLUSTER_ACCESS_TOKEN=made["accessToken"])
        done = subprocess.run([sys.executable, "-m", "tcbox", "state", *words], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> None:
        """End all of it."""
        self._stack.close()


@functools.cache
def shared() -> Shared:
    """This process's cluster, made when it is first needed."""
    made = Shared()
    atexit.register(made.stop)
    return made


class SharedBox:
    """Stands where a test has a `Box`; what only the owner of a process can do is refused."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.folder = folder
        self._kinds = _enabled(config)
        self._workers: list[subprocess.Popen[bytes]] = []
        self.info: dict[str, Any] = {}

    def start(self, *words: str) -> SharedBox:
        """Have it ready, with the workers that the configuration has inside. All reach it, so `--host` makes no difference."""
        if words and words[0] != "--host":
            self._refuse()
        made = shared().cluster
        credentials = made.options["credentials"]
        self.info = {"rootUrl": made.root_url, "credentials": credentials, "services": list(REQUIRES), "port": made.front.port}
        env = clean_env(
            TASKCLUSTER_ROOT_URL=made.root_url, TASKCLUSTER_CLIENT_ID=credentials["clientId"], TASKCLUSTER_ACCESS_TOKEN=credentials["accessToken"],
        )  # fmt: skip
        for kind, settings in self._kinds.items():
            with (shared().folder / f"worker-{kind}.log").open("ab") as log:
                command = [sys.executable, "-m", "tcbox", "worker", "run", "--kind", kind, "--folder", str(self.folder / f"worker-{kind}")]
                command += ["--capacity", str(settings.get("capacity", 4)), *(word for pattern in settings.get("serve", ()) for word in ("--serve", pattern))]
                self._workers.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
        return self

    def stop(self) -> None:
        """End the workers; the cluster goes on for the next test."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.wait(60)
        self._workers.clear()

    def alive(self) -> bool:
        return all(replica.alive for replica in shared().cluster.all)

    @property
    def logs(self) -> list[Path]:
        return [replica.log for replica in shared().cluster.all]

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(f"{replica.name}: {error}" for replica in shared().cluster.all for error in replica.errors())[-200 * lines :]

    @property
    def root_url(self) -> str:
        return str(self.info["rootUrl"])

    @property
    def port(self) -> int:
        return int(self.info["port"])

    @property
    def options(self) -> dict[str, Any]:
        """What a taskcluster client's constructor takes."""
        return {"rootUrl": self.root_url, "credentials": dict(self.info["credentials"])}

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()

    @staticmethod
    def _refuse() -> NoReturn:
        pytest.fail("this test needs a box of its own, and not a cluster that it shares: it is not to be marked `contract`")


def metrics(root_url: str) -> list[str]:
    """The URLs at which an instance's calls are counted: its own, or those of each replica."""
    if WANTED and root_url == shared().cluster.root_url:
        return [f"{replica.url}/metrics" for found in shared().cluster.replicas.values() for replica in found]
    return [f"{root_url}/metrics"]


def restored() -> None:
    """With a cluster that is shared: forget what earlier tests made in it, but for tasks and what belongs to them."""
    if WANTED:
        shared().restore()


def _enabled(config: str) -> dict[str, dict[str, Any]]:
    """The kinds of workers that an instance with this configuration would have inside, and their settings."""
    workers = (yaml.safe_load(config) or {}).get("workers") or {}
    docker = {"docker": workers["docker"]} if workers.get("docker") else {}  # who says nothing of it does not need one
    found = {"builtin": workers.get("builtin") or {}, "host": workers.get("host") or {}, **docker}
    return {kind: settings for kind, settings in found.items() if settings.get("enabled", True)}
