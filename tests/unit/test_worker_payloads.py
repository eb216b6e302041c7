"""Payloads are checked and read."""

from __future__ import annotations

import pytest

from tcbox.workers.docker import payload as docker
from tcbox.workers.docker import references
from tcbox.workers.host import payload as host
from tcbox.workers.outcomes import RunEnded

TASK = {"deadline": "2026-01-02T00:00:00.000Z", "expires": "2026-02-01T00:00:00.000Z"}


def test_host_defaults():
    """A payload with the least has the published log names and no artifacts, mounts or special exit codes."""
    read = host.read({**TASK, "payload": {"command": [["true"]], "maxRunTime": 5}}, longest=10)
    assert (read.command, read.max_run_time, read.env, read.artifacts, read.mounts, read.proxy) == ([["true"]], 5, {}, [], [], False)
    assert (read.log_names.live, read.log_names.backing) == ("public/logs/live.log", "public/logs/live_backing.log")
    assert read.retry == read.purge_caches == frozenset()


def test_docker_defaults():
    """A docker payload with the least keeps its log under the published names."""
    read = docker.read({**TASK, "payload": {"image": "debian", "maxRunTime": 5}}, longest=10)
    assert (read.image, read.command, read.env, read.cache, read.proxy) == ("debian", [], {}, {}, False)
    assert (read.log_names.live, read.log_names.backing) == ("public/logs/live.log", "public/logs/live_backing.log")


@pytest.mark.parametrize(
    ("live", "backing"), [("public/logs/live.log", "public/logs/live_backing.log"), ("x/y.z.txt", "x/y.z_backing.txt"), ("log", "log_backing")]
)
def test_backing_names(live, backing):
    """The kept log's name is the live log's with _backing before its extension."""
    assert docker.backing_name(live) == backing


@pytest.mark.parametrize("read", [host.read, docker.read])
@pytest.mark.parametrize("payload", [{}, {"maxRunTime": 0}, {"maxRunTime": 5, "nonsense": 1}, []])
def test_malformed(read, payload):
    """What does not match the schema is malformed, and says where."""
    with pytest.raises(RunEnded) as caught:
        read({**TASK, "payload": payload}, longest=10)
    assert caught.value.outcome.reason == "malformed-payload"
    assert "- payload" in caught.value.outcome.message


@pytest.mark.parametrize(
    ("expires", "fault"),
    [
        ("2026-01-01T00:00:00.000Z", "before the task's deadline"),
        ("2026-03-01T00:00:00.000Z", "after the task expires"),
        ("2026-01-15T00:00:00.000Z", None),
        (None, None),
    ],
)
def test_artifact_expiry(expires, fault):
    """An artifact expires between the task's deadline and its expiry."""
    artifact = {"type": "file", "path": "x", **({"expires": expires} if expires else {})}
    task = {**TASK, "payload": {"command": [["true"]], "maxRunTime": 5, "artifacts": [artifact]}}
    if fault is None:
        assert host.read(task, longest=10).artifacts == [{**artifact, "optional": False}]
        return
    with pytest.raises(RunEnded, match=fault):
        host.read(task, longest=10)


def test_two_artifacts_of_one_name():
    """Two artifacts may not have the same name."""
    artifacts = [{"type": "file", "path": "x"}, {"type": "file", "path": "y", "name": "x"}]
    with pytest.raises(RunEnded, match=r"payload\.artifacts\[1\]"):
        host.read({**TASK, "payload": {"command": [["true"]], "maxRunTime": 5, "artifacts": artifacts}}, longest=10)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("debian", ("debian", "latest")), ("debian:12", ("debian", "12")), ("host:5000/a/b", ("host:5000/a/b", "latest")), ("host:5000/a:t", ("host:5000/a", "t")),
        ("a/b@sha256:00", ("a/b", "sha256:00")), ("a/b:t@sha256:00", ("a/b:t", "sha256:00")),
    ],
)  # fmt: skip
def test_image_names(name, parts):
    """A name is taken apart into repository and tag, the port of a registry left alone."""
    assert references.split(name) == parts


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("debian", "docker.io/library/debian:latest"), ("debian:12", "docker.io/library/debian:12"), ("index.docker.io/debian", "docker.io/library/debian:latest"),
        ("team/image:1", "docker.io/team/image:1"), ("docker.io/team/image:1", "docker.io/team/image:1"), ("localhost/a", "localhost/a:latest"),
        ("host:5000/a/b", "host:5000/a/b:latest"), ("registry.example.com/a:t@sha256:00", "registry.example.com/a@sha256:00"),
        ("3f5ef9003cef", "docker.io/library/3f5ef9003cef:latest"), ("<none>:<none>", "docker.io/library/<none>:<none>"),
    ],
)  # fmt: skip
def test_names_of_the_same_image(name, full):
    """Names that the engine takes for the same have one form."""
    assert references.full(name) == full
