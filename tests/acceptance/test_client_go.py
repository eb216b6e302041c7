"""Taskcluster's library for Go and its command line, unchanged, against a whole instance."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
import taskcluster

from tests.support import clients, definitions, proof, shared
from tests.support.box import Box, clean_env

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here, each of which makes its own things."""
    made = Box(tmp_path_factory.mktemp("go"), "workers:\n  docker: {enabled: false}\n").start()
    yield made
    made.stop()


@pytest.fixture
def shell(box, tmp_path):
    """Run the published `taskcluster` command."""
    program = clients.go("taskcluster")

    def run(*words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([program, *words], input=stdin, capture_output=True, text=True, env=env(box, HOME=str(tmp_path)), timeout=60)
        if check:
            assert done.returncode == 0, f"taskcluster {' '.join(words)}: {done.stdout}{done.stderr}\n{box.log_tail(5)}"
        return done

    return run


def ended(box: Box, task_id: str, run: int = 0) -> None:
    """Wait for a run's end: the log command refuses what has none yet."""
    queue, until = taskcluster.Queue(box.options), time.monotonic() + 30
    while time.monotonic() < until:
        runs = queue.status(task_id)["status"]["runs"]
        if len(runs) > run and runs[run]["state"] == "completed":
            return
        time.sleep(0.05)
    raise AssertionError(f"run {run} of {task_id} does not end")


def env(box: Box, **extra: str) -> dict[str, str]:
    made = box.info["credentials"]
    return clean_env(TASKCLUSTER_ROOT_URL=box.root_url, TASKCLUSTER_CLIENT_ID=made["clientId"], TASKCLUSTER_ACCESS_TOKEN=made["accessToken"], **extra)


@pytest.mark.parametrize("what", ["services", "task", "clients", "secrets", "errors", "objects"])
def test_the_library(box, request, what):
    """A program that uses the library does tasks, clients, secrets and objects, and sees refusals as the library's errors."""
    program = clients.go("client")
    given = env(box, LARGEST=str(8191 if shared.WANTED else 3 << 20))
    with proof.by("client-go (Go)", box.root_url, request, beside_workers=True, without=proof.LOOPS, part=what):
        done = subprocess.run([program, what], capture_output=True, text=True, env=given, timeout=120)
        assert done.returncode == 0, f"{done.stderr}\n{box.log_tail(5)}"


@pytest.fixture
def proven(box, request, shell):
    """What a test does is what the command proves."""
    with proof.by("taskcluster shell (Go)", box.root_url, request, beside_workers=True, without=proof.LOOPS | {"queue.status"}):
        yield


@pytest.mark.usefixtures("proven")
def test_the_command_calls_any_method(shell):
    """`taskcluster api` sends payloads, fills parameters in, and prints what comes back."""
    assert json.loads(shell("api", "queue", "ping").stdout)["alive"] is True
    shell("api", "secrets", "set", "shell/one", stdin=json.dumps({"secret": {"a": 1}, "expires": definitions.wire(hours=1)}))
    assert json.loads(shell("api", "secrets", "get", "shell/one").stdout)["secret"] == {"a": 1}
    assert "shell/one" in json.loads(shell("api", "secrets", "list").stdout)["secrets"]
    shell("api", "secrets", "remove", "shell/one")
    refused = shell("api", "secrets", "get", "shell/one", check=False)
    assert refused.returncode != 0
    assert "ResourceNotFound" in refused.stdout + refused.stderr
    assert json.loads(shell("api", "auth", "currentScopes").stdout)["scopes"] == ["*"]


def slugid(shell) -> str:
    """One that the command makes, and then takes as a word: it may begin with a dash."""
    while (made := shell("slugid", "generate").stdout.strip()).startswith("-"):
        pass
    return made


@pytest.mark.usefixtures("proven")
def test_the_command_follows_a_task(box, shell, tmp_path):
    """`taskcluster task` and `group` show definition, status, log and artifacts of a task, and run, rerun, retrigger and cancel it."""
    task_id, group = slugid(shell), slugid(shell)
    script = "mkdir o; echo hello from the log; printf '\\000\\001\\377' >o/f.bin"
    definition = definitions.host(script, artifacts=[{"type": "file", "path": "o/f.bin", "name": "public/f.bin"}], taskGroupId=group)
    shell("api", "queue", "createTask", task_id, stdin=json.dumps(definition))
    ended(box, task_id)
    assert "hello from the log" in shell("task", "log", task_id).stdout
    assert "completed" in shell("task", "status", task_id).stdout
    assert json.loads(shell("task", "def", task_id).stdout)["payload"] == definition["payload"]
    assert shell("task", "name", task_id).stdout.strip() == "test"
    assert shell("task", "group", task_id).stdout.strip() == group
    assert "public/f.bin" in shell("task", "artifacts", task_id).stdout
    assert task_id in shell("group", "list", group, "--all").stdout
    target = tmp_path / "f.bin"
    shell("download", "artifact", task_id, "public/f.bin", str(target))
    assert target.read_bytes() == b"\x00\x01\xff"
    again = re.search(r"[A-Za-z0-9_-]{22}", shell("task", "retrigger", task_id).stdout.replace(task_id, ""))[0]
    ended(box, again)
    assert "hello from the log" in shell("task", "log", again).stdout
    shell("task", "rerun", "--force", task_id)
    ended(box, task_id, 1)
    assert "hello from the log" in shell("task", "log", task_id).stdout
    waiting = slugid(shell)
    shell("api", "queue", "createTask", waiting, stdin=json.dumps(definitions.task("nobody/here")))
    shell("task", "cancel", waiting)
    assert "exception" in shell("task", "status", waiting).stdout
