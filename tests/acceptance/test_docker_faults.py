"""What becomes of docker tasks when the engine, the disk, the network or the worker fails under them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tcbox.workers.docker.engine import EngineError
from tests.acceptance.test_docker_worker import NOTHING, instance, shell
from tests.acceptance.test_host_worker import WORKER, emptied
from tests.support import docker_engine, docker_images as images
from tests.support.fake_queue import FakeQueue
from tests.support.waiting import eventually
from tests.support.workers import running, says

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")]
own_engine = pytest.mark.skipif(not docker_engine.possible(), reason="needs to be root, with dockerd, containerd and runc")


@pytest.fixture
def engine(tmp_path):
    """An engine of the test's own; its socket's path must be short."""
    folder = tmp_path.parent / f"e{os.urandom(3).hex()}"
    made = docker_engine.Engine(folder)
    try:
        yield made.start()
    finally:
        made.close()


@contextlib.contextmanager
def small_disk(folder, size: str):
    """A file system of a few megabytes at a folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


# -- the engine


@own_engine
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_an_engine_that_is_restarted(tmp_path, engine, how):
    """When the engine is restarted under a task, however it ends, the task is handed back to be tried again; and it can be."""
    images.make(images.IMAGE, url=engine.url)
    label = instance()
    with contextlib.suppress(EngineError):  # the worker ends when it finds no engine; who runs it starts it again
        async with running(tmp_path / "w", "docker", instance=label, docker_url=engine.url) as docker:
            task = docker.add(shell("trap 'exit 0' TERM; echo begun; while true; do sleep 1; done", cache={"c": "/c"}), scopes=["docker-worker:cache:*"])
            await says(task, "begun")
            await asyncio.to_thread(engine.stop, how)
            await docker.end(task)
            await asyncio.to_thread(engine.start)
    assert (task.state, task.reason) == ("exception", "worker-shutdown"), task.log
    assert "begun" in task.log
    async with running(tmp_path / "w", "docker", instance=label, docker_url=engine.url) as docker:
        assert (await docker.do(shell("true"))).state == "completed"
        listed = subprocess.run(["docker", "-H", engine.url, "ps", "-aq"], capture_output=True, text=True, check=True)
        assert listed.stdout == ""
        assert await emptied(tmp_path / "w" / "runs")


async def test_a_container_that_somebody_ends(tmp_path):
    """A container that is stopped through the engine, and not by its own doing, is no failure of the task's: it is tried again."""
    images.ensure()
    label = instance()
    async with running(tmp_path, "docker", instance=label) as docker:
        task = docker.add(shell("echo begun; sleep 600"))
        await says(task, "begun")
        [container] = (await images.labelled(f"tcbox.instance={label}"))["containers"]
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
        await docker.end(task)
        assert (task.state, task.reason) == ("exception", "worker-shutdown")
        task = await docker.do(shell("sh -c 'kill -9 $$'; exit $?"))
        assert (task.state, task.reason) == ("failed", "failed"), "what the task does to itself is its own"


# -- the disk


@own_engine
async def test_a_full_disk_where_the_worker_keeps_files(tmp_path):
    """What the disk has no room for ends the task as resource-unavailable, with the reason in its log, and the next one runs."""
    images.ensure()
    with small_disk(tmp_path / "small", "8m") as folder:
        async with running(folder, "docker", instance=instance(), free_disk_mb=1) as docker:
            big = shell("head -c 20000000 /dev/urandom > /big; echo made", artifacts={"public/big": {"type": "file", "path": "/big"}})
            task = await docker.do(big)
            assert (task.state, task.reason) == ("exception", "resource-unavailable"), task.log
            assert "The worker's disk is full" in task.log
            task = await docker.do(shell("head -c 20000000 /dev/zero | tr '\\0' x"))
            assert task.state in ("completed", "exception")
            task = await docker.do(shell("echo small > /f", artifacts={"public/f": {"type": "file", "path": "/f"}}))
            assert task.state == "completed", task.log


@own_engine
async def test_no_task_is_claimed_when_the_disk_is_nearly_full(tmp_path):
    """Below the floor tasks stay pending for other workers; once there is room again they are claimed."""
    images.ensure()
    with small_disk(tmp_path / "small", "20m") as folder:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(12_000_000))
        async with running(folder, "docker", instance=instance(), free_disk_mb=10) as docker:
            task = docker.add(shell("true"))
            await asyncio.sleep(1)
            assert task.state == "pending"
            ballast.unlink()
            await docker.end(task)
            assert task.state == "completed"


@own_engine
async def test_a_full_disk_where_the_engine_keeps_images(tmp_path):
    """An image that the engine has no room for is no fault of the task's: it ends as resource-unavailable."""
    data = images.saved()
    folder = tmp_path.parent / f"e{os.urandom(3).hex()}"
    with small_disk(tmp_path.parent / f"r{os.urandom(3).hex()}", "1500k") as root:
        engine = docker_engine.Engine(folder, root)
        try:
            engine.start()
            async with running(tmp_path, "docker", instance=instance(), docker_url=engine.url, free_disk_mb=0) as docker:
                maker = docker.queue.add({}, "none/none")
                maker.artifacts["public/image.tar"], maker.content["public/image.tar"] = {"storageType": "s3"}, (data, {})
                task = await docker.do({**shell("true"), "image": {"type": "task-image", "taskId": maker.id, "path": "public/image.tar"}})
                assert (task.state, task.reason) == ("exception", "resource-unavailable"), task.log
                assert "no space left on device" in task.log
        finally:
            engine.close()


# -- the network


async def test_uploads_that_are_cut_off(tmp_path):
    """An upload that breaks off in the middle is tried again; when that never helps the task ends as resource-unavailable."""
    images.ensure()
    payload = shell("head -c 3000000 /dev/urandom > /big", artifacts={"public/big": {"type": "file", "path": "/big"}})
    async with running(tmp_path, "docker", instance=instance()) as docker:
        docker.queue.cuts = 2
        task = await docker.do(payload)
        assert task.state == "completed", task.log
        assert (len(task.body("public/big")), docker.queue.cuts) == (3000000, 0)
        docker.queue.cuts = 100
        task = await docker.end(docker.add(payload), 60)
        assert (task.state, task.reason) == ("exception", "resource-unavailable")
        assert "The artifact public/big could not be uploaded" in task.log


# -- the worker


async def test_fifty_tasks_at_once(tmp_path):
    """Fifty tasks run at the same time, more of them with the proxy than the engine has networks for, and nothing of them is left."""
    images.ensure()
    label = instance()
    async with running(tmp_path, "docker", instance=label, capacity=50, keep_caches=False) as docker:
        script = "wget -q -O - $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/status"
        tasks = [
            docker.add(
                shell(f"{script if number % 5 else 'true'}; echo {number} > /c/n; cat /c/n > /n", maxRunTime=300, cache={"c": "/c"},
                      features={"taskclusterProxy": bool(number % 5)}, artifacts={"public/n": {"type": "file", "path": "/n"}}),
                scopes=["docker-worker:cache:*"],
            )
            for number in range(50)
        ]  # fmt: skip
        for task in tasks:
            await docker.end(task, 300)
        assert [task.log for task in tasks if task.state != "completed"] == []
        assert [task.body("public/n") for task in tasks] == [f"{number}\n".encode() for number in range(50)]
        assert await emptied(tmp_path / "runs")
        assert await images.labelled(f"tcbox.instance={label}") == NOTHING
    assert await images.labelled(f"tcbox.cache={label}") == NOTHING


async def test_caches_of_a_killed_worker_go_too(tmp_path):
    """A cache that a task had when its worker was killed by -9 is removed at once, those that no task had stay; the task is tried again."""
    images.ensure()
    queue = FakeQueue()
    server = await queue.start()
    label = instance()
    payload = shell("echo x > /c/f; echo begun; sleep 600", cache={"used": "/c"})
    before = queue.add(shell("true", cache={"unused": "/c"}), "local/docker", scopes=["docker-worker:cache:*"])
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), queue.root_url, str(tmp_path), "docker", label])
    try:
        await queue.done(before)
        task = queue.add(payload, "local/docker", scopes=["docker-worker:cache:*"])
        await says(task, "begun")

        async def caches() -> int:
            return len((await images.labelled(f"tcbox.cache={label}"))["volumes"])

        async def one_is_left() -> bool:
            return await caches() == 1

        assert await caches() == 2
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(20)
        await eventually(one_is_left, pause=0.1)
        worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), queue.root_url, str(tmp_path), "docker", label])
        await asyncio.wait_for(task.ended.wait(), 20)
        assert (task.state, task.reason) == ("exception", "worker-shutdown")
        after = queue.add(shell("true"), "local/docker")
        await queue.done(after)
        assert await emptied(tmp_path / "runs")
        assert await images.labelled(f"tcbox.instance={label}") == NOTHING
    finally:
        worker.terminate()
        worker.wait(20)
        await server.cleanup()
        async with running(tmp_path, "docker", instance=label, keep_caches=False) as last:
            await last.do(shell("true"))
