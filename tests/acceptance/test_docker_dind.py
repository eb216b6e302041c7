"""The feature dind: a task of a docker-worker payload has a Docker engine of its own beside it, in an engine that runs privileged containers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.acceptance.test_docker_worker import instance
from tests.acceptance.test_host_worker import WORKER, emptied
from tests.support import docker_engine, docker_images as images
from tests.support.fake_queue import FakeQueue
from tests.support.waiting import eventually
from tests.support.workers import running

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not docker_engine.possible(), reason="needs to be root, with dockerd, containerd and runc"),
]
DIND = "tcbox-test/dind:1"
SCOPES = ["docker-worker:feature:dind:local/docker"]
MAKE = "tar -c -C / bin/busybox bin/sh bin/echo | docker import - inner:1 && docker run --rm --network=none inner:1 /bin/echo hello from inside"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine of this module's own; its socket's path must be short."""
    made = docker_engine.Engine(tmp_path_factory.getbasetemp().parent / f"e{os.urandom(3).hex()}")
    try:
        made.start()
        docker_engine.image(made, DIND, {"bridge": "none", "iptables": False, "ip6tables": False})
        images.make(images.IMAGE, url=made.url)
        yield made
    finally:
        made.close()


def listed(engine: docker_engine.Engine) -> list[str]:
    """Ids of all containers and names of all volumes of an engine."""
    asked = (["ps", "-aq", "--no-trunc"], ["volume", "ls", "-q"])
    return [word for words in asked for word in subprocess.run(["docker", "-H", engine.url, *words], capture_output=True, text=True, check=True).stdout.split()]


def task_of(script: str, image: str = DIND, **more) -> dict:
    return {"image": image, "command": ["sh", "-c", script], "maxRunTime": 60, "features": {"dind": True}, **more}


@pytest.fixture
async def docker(tmp_path, engine):
    async with running(tmp_path, "docker", capacity=2, instance=instance(), docker_url=engine.url, dind_image=DIND, memory_mb=2000) as here:
        yield here
    assert listed(engine) == []


async def test_a_task_has_an_engine_of_its_own(docker, engine):
    """`docker` in the task makes an image and runs it; each task has an engine for itself, of which nothing is left."""
    script = f"{MAKE} && docker info --format 'ID={{{{.ID}}}}'"
    tasks = [docker.add(task_of(script), scopes=SCOPES) for _ in range(2)]
    for task in tasks:
        await docker.end(task, 60)
        assert (task.state, "hello from inside" in task.log) == ("completed", True), task.log
    assert len({line.partition("ID=")[2] for task in tasks for line in task.log.splitlines() if line.startswith("ID=")}) == 2
    told = subprocess.run(["docker", "-H", engine.url, "images", "-q", "inner:1"], capture_output=True, text=True, check=True).stdout
    assert told == "", "what a task makes is not in the machine's engine"


async def test_users_other_than_root(docker, engine):
    """The socket is every user's of the task's container."""
    built = "tcbox-test/dind-user:1"
    made = subprocess.run(["docker", "-H", engine.url, "create", DIND], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["docker", "-H", engine.url, "commit", "--change", "USER 1000:1000", made, built], capture_output=True, check=True)
    subprocess.run(["docker", "-H", engine.url, "rm", made], capture_output=True, check=True)
    task = await docker.end(docker.add(task_of("id -u && docker version --format 'server {{.Server.Version}}'", image=built), scopes=SCOPES), 60)
    assert (task.state, "\n1000" in task.log.replace("\r", ""), "server " in task.log) == ("completed", True, True), task.log


async def test_the_scope(docker):
    """Without the scope there is no engine beside a task, since its task can do anything to the machine."""
    task = await docker.do(task_of("true"))
    assert (task.state, task.reason) == ("exception", "malformed-payload")
    assert "docker-worker:feature:dind or docker-worker:feature:dind:local/docker" in task.log


async def test_not_asked_for(docker):
    """A payload that says false has no engine, and needs no scope."""
    task = await docker.do(task_of("ls /var/run/docker.sock || echo none", features={"dind": False}))
    assert (task.state, "none" in task.log) == ("completed", True), task.log


async def test_a_cancelled_task(docker, engine):
    """When a task is cancelled, also while its engine starts, both its containers go."""
    for wait in (0.3, 4.0):
        task = docker.add(task_of("sleep 600"), scopes=SCOPES)
        await eventually(lambda: listed(engine), 60, pause=0.05)
        await asyncio.sleep(wait)
        docker.queue.resolve(task, "exception", "canceled")
        until = time.monotonic() + 90
        while listed(engine):
            assert time.monotonic() < until
            await asyncio.sleep(0.1)


async def test_nothing_survives_a_killed_worker(tmp_path, engine):
    """When the worker is killed by -9, the engine beside its task is removed at once, with its images, containers and volumes."""
    queue = FakeQueue()
    server = await queue.start()
    task = queue.add(task_of(f"{MAKE}; echo begun; sleep 600"), "local/docker", scopes=SCOPES)
    more = json.dumps({"docker_url": engine.url, "dind_image": DIND})
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), queue.root_url, str(tmp_path), "docker", instance(), more])
    try:
        await asyncio.wait_for(task.started.wait(), 20)
        until = time.monotonic() + 90
        while len(listed(engine)) < 4:  # two containers and two volumes
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(5)
        until = time.monotonic() + 90
        while listed(engine):
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
    finally:
        worker.kill()
        worker.wait()
        await server.cleanup()


async def test_an_engine_beside_that_ends(tmp_path, engine):
    """When it ends under the task, the task goes on, and its log has the last words of the engine."""
    ends = 'ENTRYPOINT ["sh", "-c", "touch /run/tcbox/docker.sock; echo API listen on; sleep 3; echo it is over"]'
    images.make("tcbox-test/dind-short:1", ends, url=engine.url)
    async with running(tmp_path, "docker", instance=instance(), docker_url=engine.url, dind_image="tcbox-test/dind-short:1") as docker:
        task = await docker.end(docker.add(task_of("sleep 6; echo on", image=images.IMAGE), scopes=SCOPES))
    assert task.state == "completed", task.log
    assert "The Docker engine beside the task has ended; it wrote:" in task.log
    assert "] it is over\n" in task.log
    assert "Only root can use the Docker engine beside the task" in task.log
    assert listed(engine) == []


async def test_an_engine_that_is_told_to_be_quiet(tmp_path, engine):
    """One that does not say that it serves is taken to, when its socket has been there for some seconds."""
    images.make("tcbox-test/dind-quiet:1", 'ENTRYPOINT ["sh", "-c", "touch /run/tcbox/docker.sock; sleep 600"]', url=engine.url)
    async with running(tmp_path, "docker", instance=instance(), docker_url=engine.url, dind_image="tcbox-test/dind-quiet:1") as docker:
        task = await docker.end(docker.add(task_of("ls /var/run/docker.sock", image=images.IMAGE), scopes=SCOPES))
    assert task.state == "completed", task.log


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("tcbox-test/dind-broken:1", "does not come up; it wrote:\n[taskcluster:error] failed to start daemon: no room"),
        ("127.0.0.1:1/no/such:1", "cannot be pulled"),
    ],
)
async def test_an_engine_beside_that_does_not_come_up(tmp_path, engine, image, says):
    """That is no fault of the task's, whose log has the last words of the engine; nothing is left of it."""
    images.make("tcbox-test/dind-broken:1", 'ENTRYPOINT ["sh", "-c", "echo failed to start daemon: no room; exit 1"]', url=engine.url)
    async with running(tmp_path, "docker", instance=instance(), docker_url=engine.url, dind_image=image) as docker:
        task = await docker.do(task_of("true", image=images.IMAGE), scopes=SCOPES)
        assert await emptied(tmp_path / "runs")
    assert (task.state, task.reason in ("internal-error", "resource-unavailable")) == ("exception", True), task.log
    assert says in task.log.replace("\r", "")
    assert listed(engine) == []


async def test_an_engine_without_privileged_containers(tmp_path, tmp_path_factory):
    """Where the machine's engine runs none, the task is refused with the engine's own words, and with what to do."""
    engine = docker_engine.Engine(tmp_path_factory.getbasetemp().parent / f"e{os.urandom(3).hex()}", privileged=False)
    try:
        engine.start()
        images.make(images.IMAGE, url=engine.url)
        async with running(tmp_path, "docker", instance=instance(), docker_url=engine.url, dind_image=images.IMAGE) as docker:
            task = await docker.do(task_of("true", image=images.IMAGE), scopes=SCOPES)
            assert (task.state, task.reason) == ("exception", "malformed-payload"), task.log
            assert "payload.features.dind: a Docker engine beside the task needs a privileged container" in task.log
            assert "no privileged containers here" in task.log
            assert "send the task to a worker whose engine does" in task.log
            assert (await docker.do(task_of("true", image=images.IMAGE, features={}))).state == "completed"
        assert listed(engine) == []
    finally:
        engine.close()


async def test_privileged_containers(tmp_path, engine):
    """A task that may have a privileged container has all that root has on the machine."""
    async with running(tmp_path, "docker", instance=instance(), docker_url=engine.url, privileged=True) as docker:
        script = "while read a b; do echo $a $b; done < /proc/self/status"
        payload = task_of(script, image=images.IMAGE, features={}, capabilities={"privileged": True})
        task = await docker.do(payload, scopes=["docker-worker:capability:privileged"])
        assert task.state == "completed", task.log
        assert int(task.log.partition("CapEff: ")[2].split()[0], 16) >> 21 & 1
