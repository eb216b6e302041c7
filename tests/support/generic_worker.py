"""The published generic-worker as a process, with no more than its configuration file."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import taskcluster
import taskcluster.download

from tests.support import clients, definitions
from tests.support.box import Box, clean_env

_PORTS = 4


def scopes(queue: str, group: str, worker: str) -> list[str]:
    """All that a worker's own client needs."""
    return [f"queue:claim-work:{queue}", f"queue:worker-id:{group}/{worker}"]


class Ports:
    """Ranges of free ports: each of a worker's features needs one for every task that runs at a time."""

    def __init__(self) -> None:
        self._next = 20000 + os.getpid() % 8000

    def take(self) -> int:
        """The first of so many ports that nobody listens on."""
        while True:
            first = self._next
            self._next += _PORTS
            if all(_free(port) for port in range(first, self._next)):
                return first


def _free(port: int) -> bool:
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(("", port))
        except OSError:
            return False
        return True


_ports = Ports()


def config(folder: Path, **changes) -> dict:
    """Settings that say where things are; who the worker is comes with it, or from worker-runner."""
    key = folder / "key"
    subprocess.run([clients.go("generic-worker"), "new-ed25519-keypair", "--file", key], check=True, capture_output=True)
    return {
        "cachesDir": str(folder / "caches"),
        "downloadsDir": str(folder / "downloads"),
        "tasksDir": str(folder / "tasks"),
        "ed25519SigningKeyLocation": str(key),
        "livelogExecutable": str(clients.go("livelog")),
        "taskclusterProxyExecutable": str(clients.go("taskcluster-proxy")),
        "livelogPortBase": _ports.take(),
        "interactivePort": _ports.take(),
        "taskclusterProxyPort": _ports.take(),
        "publicIP": "127.0.0.1",
        "requiredDiskSpaceMegabytes": 10,
        "disableReboots": True,
        "shutdownMachineOnIdle": False,
        "shutdownMachineOnInternalError": False,
        **changes,
    }


class Process:
    """A program that keeps a log, and could not turn the machine off if it wanted to."""

    def __init__(self, folder: Path, *command: str | Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.asked_for_shutdown = folder / "asked-for-shutdown"
        harmless = folder / "harmless"
        harmless.mkdir()
        for name in ("shutdown", "sudo", "reboot", "poweroff"):
            (harmless / name).write_text(f'#!/bin/sh\necho "$0 $*" >> {self.asked_for_shutdown}\n')
            (harmless / name).chmod(0o755)
        (folder / "tmp").mkdir()
        env = clean_env(PATH=f"{harmless}{os.pathsep}{os.environ['PATH']}", TMPDIR=str(folder / "tmp"), PYTHON=sys.executable)
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [*_guarded(harmless), *map(str, command)], cwd=folder, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def wait(self, seconds: float = 60) -> int:
        """Its exit code."""
        return self._process.wait(seconds)

    def terminate(self) -> None:
        """Ask it to end, as a service manager does."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it and all that it started."""
        if self._process.poll() is None:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(2)  # one that waits for work would first wait to be told that there is none
        with contextlib.suppress(ProcessLookupError):  # worker-runner leaves its worker behind
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()

    def said(self, lines: int = 40) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _guarded(harmless: Path) -> list[str]:
    """What makes /sbin/shutdown, which the worker calls by its whole path, a harmless program for it alone."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or not Path("/sbin/shutdown").exists():
        return []
    real = os.path.realpath("/sbin/shutdown")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind {harmless}/shutdown {real} && exec "$@"', "guarded"]


class Worker(Process):
    """A worker that stands alone."""

    def __init__(self, folder: Path, box: Box, queue: str, **changes) -> None:
        folder.mkdir()
        self.queue, self.group, self.worker_id = queue, "test-group", folder.name
        auth = taskcluster.Auth(box.options)
        client = f"test/{queue}/{self.worker_id}"
        made = auth.createClient(
            client, {"description": "generic-worker", "expires": taskcluster.fromNow("1 hour"), "scopes": scopes(queue, self.group, self.worker_id)}
        )
        provisioner, _, kind = queue.partition("/")
        settings = config(
            folder, rootURL=box.root_url, clientId=client, accessToken=made["accessToken"],
            provisionerId=provisioner, workerType=kind, workerGroup=self.group, workerId=self.worker_id, **changes,
        )  # fmt: skip
        (folder / "worker.json").write_text(json.dumps(settings))
        super().__init__(folder, clients.go("generic-worker"), "run", "--config", folder / "worker.json")


def create(queue: taskcluster.Queue, *scripts: str, task_queue: str, task: dict | None = None, **payload) -> str:
    """A task of shell scripts, one command each."""
    task_id = taskcluster.slugId()
    payload = {"command": [["/bin/bash", "-ec", script] for script in scripts], "maxRunTime": 60, **payload}
    queue.createTask(task_id, definitions.task(task_queue, payload, **(task or {})))
    return task_id


def download(queue: taskcluster.Queue, task_id: str, name: str, run: int = -1) -> bytes:
    """An artifact as the published client sees it."""
    made, _ = taskcluster.download.downloadArtifactToBuf(taskId=task_id, runId=run if run >= 0 else None, name=name, queueService=queue)
    return bytes(made)


def raw(queue: taskcluster.Queue, task_id: str, name: str) -> tuple[bytes, str, str]:
    """The bytes as they are stored, their encoding and their type."""
    request = urllib.request.Request(queue.buildSignedUrl("getLatestArtifact", task_id, name), headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        encoding = reply.headers.get("Content-Encoding", "")
        return reply.read(), "" if encoding == "identity" else encoding, reply.headers["Content-Type"].split(";")[0]


def log(queue: taskcluster.Queue, task_id: str) -> str:
    return download(queue, task_id, "public/logs/live_backing.log").decode()


def wait(queue: taskcluster.Queue, task_id: str, *states: str, run: int = -1, seconds: float = 60, worker: Process | None = None) -> dict:
    """A task's status once one of its runs is in one of the states."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        status = queue.status(task_id)["status"]
        if len(status["runs"]) > max(run, 0) and status["runs"][run]["state"] in states:
            return status
        time.sleep(0.1)
    raise AssertionError(f"{task_id} does not come to be {' or '.join(states)}: {status}\n{worker.said() if worker else ''}")


class Runner(Process):
    """A worker that worker-runner registers and starts, for a pool of machines that somebody else looks after."""

    def __init__(self, folder: Path, box: Box, pool: str, *, secret: str, worker_config: dict | None = None) -> None:
        folder.mkdir()
        self.group, self.worker_id, self.secret = "test-group", folder.name, secret
        runner = {
            "provider": {
                "providerType": "static", "rootURL": box.root_url, "providerID": "static", "workerPoolID": pool,
                "workerGroup": self.group, "workerID": self.worker_id, "staticSecret": secret, "workerLocation": {"shelf": "top"},
            },
            "worker": {"implementation": "generic-worker", "path": str(clients.go("generic-worker")), "configPath": str(folder / "worker.json")},
            "workerConfig": config(folder, **(worker_config or {})),
        }  # fmt: skip
        path = folder / "runner.yml"
        path.write_text(json.dumps(runner))  # which is YAML too
        path.chmod(0o600)
        super().__init__(folder, clients.go("start-worker"), path)
