"""The docker worker runs docker-worker payloads in containers of a real engine, and leaves nothing of them behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import aiohttp
import pytest

from tcbox.workers.docker.engine import EngineError
from tests.acceptance.test_host_worker import WORKER, emptied
from tests.support import docker_images as images
from tests.support.fake_queue import FakeQueue
from tests.support.waiting import eventually
from tests.support.workers import gated, running, says

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")]
NOTHING = {"containers": [], "networks": [], "volumes": []}


def instance() -> str:
    """A label of this test's own."""
    return f"test-{os.urandom(5).hex()}"


def shell(script: str, **more) -> dict:
    return {"image": images.IMAGE, "command": ["sh", "-c", script], "maxRunTime": 60, **more}


@pytest.fixture
async def docker(tmp_path):
    images.ensure()
    async with running(tmp_path, "docker", capacity=3, instance=instance(), keep_caches=False) as here:
        yield here
    assert await images.labelled(f"tcbox.instance={here.settings.instance}") == NOTHING
    assert await images.labelled(f"tcbox.cache={here.settings.instance}") == NOTHING


async def test_a_task_runs_in_a_container(docker, tmp_path):
    """The command runs in the image, with the payload's and the standard variables, and its output is the log."""
    task = await docker.do(shell('echo "A=$A"; echo $TASK_ID/$RUN_ID/$TASK_GROUP_ID/$TASKCLUSTER_ROOT_URL; ls /bin/busybox; printf end', env={"A": "b c"}))
    assert (task.state, task.reason) == ("completed", "completed")
    assert "A=b c" in task.log
    assert f"{task.id}/0/{task.definition['taskGroupId']}/{docker.queue.root_url}" in task.log
    assert "=== Task Starting ===" in task.log
    assert "\nSuccessful" not in task.log.replace("\r", "")
    assert "] Successful task run with exit code: 0 completed in " in task.log
    assert await emptied(tmp_path / "runs")


@pytest.mark.parametrize(
    ("payload", "state", "reason", "says"),
    [
        (shell("exit 3"), "failed", "failed", "Unsuccessful task run with exit code: 3"),
        (shell("exit 3", onExitStatus={"retry": [3]}), "exception", "intermittent-task", "payload.onExitStatus.retry"),
        ({"image": images.IMAGE, "command": ["/no/such"], "maxRunTime": 5}, "failed", "failed", "cannot be started"),
        ({"image": images.IMAGE, "maxRunTime": 5}, "completed", "completed", "exit code: 0"),
        ({"image": {"type": "docker-image", "name": images.IMAGE}, "maxRunTime": 5}, "completed", "completed", "exit code: 0"),
        ({"image": "Not A Name", "maxRunTime": 5}, "exception", "malformed-payload", "is not the name of an image"),
        ({"image": {"type": "indexed-image", "namespace": "no.such", "path": "p"}, "maxRunTime": 5}, "exception", "malformed-payload", "no.such"),
        (
            {"image": {"type": "task-image", "taskId": "fN1SbArXTPSVFNUvaOlinQ", "path": "public/p"}, "maxRunTime": 5},
            "exception",
            "malformed-payload",
            "public/p",
        ),
        ({"command": "x", "maxRunTime": 0, "huh": 1}, "exception", "malformed-payload", "payload/huh"),
        (shell("true", capabilities={"privileged": True}), "exception", "malformed-payload", "payload.capabilities.privileged"),
        (shell("true", features={"dind": True}), "exception", "malformed-payload", "payload.features.dind: this worker runs no Docker engine beside a task"),
        (
            shell("true", capabilities={"devices": {"kvm": True}}),
            "exception",
            "malformed-payload",
            "add docker-worker:capability:device:kvm or docker-worker:capability:device:kvm:local/docker",
        ),
        (shell("true", capabilities={"disableSeccomp": True}), "exception", "malformed-payload", "add docker-worker:capability:disableSeccomp."),
        (shell("echo x", supersederUrl="https://example.com"), "exception", "malformed-payload", "payload.supersederUrl: Taskcluster no longer supersedes"),
        (shell("true", features={"allowPtrace": True}), "exception", "malformed-payload", "docker-worker:feature:allowPtrace"),
        (shell("true", artifacts={"public/v": {"type": "volume", "path": "v"}}), "exception", "malformed-payload", "must be an absolute path"),
        (shell("true", cache={"c": "/c"}), "exception", "malformed-payload", "docker-worker:cache:c"),
        (shell("true", cache={"c": "/c", "d": "/c/"}), "exception", "malformed-payload", "is mounted twice"),
        (shell("true", artifacts={"public/x": {"type": "file", "path": "/absent"}}), "completed", "completed", "does not fail"),
    ],
)
async def test_how_a_task_ends(docker, payload, state, reason, says):
    """Each way to end is reported as docker-worker reports it, and the log says why."""
    task = await docker.do(payload)
    assert (task.state, task.reason) == (state, reason), task.log
    assert says in task.log


async def test_an_image_that_no_registry_gives(docker):
    """A name that cannot be pulled ends the task with the engine's own words in the log."""
    task = await docker.do({"image": "127.0.0.1:1/no/such:1", "maxRunTime": 5})
    assert task.state == "exception"
    assert task.reason in ("resource-unavailable", "malformed-payload")
    assert "cannot be pulled" in task.log


async def test_artifacts(docker):
    """Files and folders are copied out of the container and uploaded, links followed, also when the task failed."""
    script = 'mkdir -p /out/deep; printf a > /out/a.txt; printf "{}" > /out/deep/b.json; head -c 3000000 /dev/zero > /big.bin; ln -s /out/a.txt /link; ln -s a.txt /out/near; ln -s /etc /out/far; exit 1'
    artifacts = {
        "public/out": {"type": "directory", "path": "/out/"},
        "public/big": {"type": "file", "path": "/big.bin"},
        "public/link.txt": {"type": "file", "path": "/link"},
        "public/wrong": {"type": "file", "path": "/out"},
        "public/logs/live.log": {"type": "file", "path": "/link"},
    }
    task = await docker.do(shell(script, artifacts=artifacts))
    assert task.state == "failed"
    assert {name: task.body(name) for name in task.content if "log" not in name} == {
        "public/out/a.txt": b"a", "public/out/deep/b.json": b"{}", "public/out/near": b"a", "public/big": bytes(3000000), "public/link.txt": b"a",
    }  # fmt: skip
    assert task.artifacts["public/wrong"]["storageType"] == "error"
    assert task.artifacts["public/logs/live.log"]["storageType"] == "link"
    assert task.artifacts["public/out/deep/b.json"]["contentType"] == "application/json"


async def test_max_run_time(docker):
    """When maxRunTime has passed the container is ended, the task failed, and what it had written is kept."""
    started = time.monotonic()
    task = await docker.do(shell("echo x > /f; trap '' TERM; while true; do sleep 1; done", maxRunTime=2, artifacts={"f": {"type": "file", "path": "/f"}}))
    assert (task.state, task.reason) == ("failed", "failed")
    assert "maxRunTime of 2 seconds" in task.log
    assert task.body("f") == b"x\n"
    assert time.monotonic() - started < 40


async def test_a_cancelled_task_is_stopped(docker):
    """A task that is cancelled loses its container within moments, and its log is kept."""
    task = docker.add(shell("echo begun; sleep 600"))
    label = f"tcbox.instance={docker.settings.instance}"
    await says(task, "begun")
    docker.queue.resolve(task, "exception", "canceled")
    await eventually(lambda: "public/logs/live_backing.log" in task.content)
    assert await images.labelled(label) == NOTHING
    assert "begun" in task.log
    assert "was cancelled" in task.log


async def let_through(label: str, name: str) -> None:
    """Let all that now run of an instance go on from a name on."""
    for container in (await images.labelled(f"tcbox.instance={label}"))["containers"]:
        await asyncio.to_thread(subprocess.run, ["docker", "exec", container, "sh", "-c", f"echo > /{name}"], capture_output=True)


async def test_the_live_log_can_be_read_while_the_task_runs(docker):
    """Who reads the live log gets each line as the container writes it, and the end when it ends."""
    task = docker.add(shell(gated("", "first", "second")))
    await eventually(lambda: "public/logs/live.log" in task.artifacts)
    seen = []
    async with aiohttp.ClientSession() as session, session.get(task.artifacts["public/logs/live.log"]["url"]) as reply:
        async for line in reply.content:
            if line.strip() in (b"first", b"second"):
                seen.append((line.strip(), task.state))
                await let_through(docker.settings.instance, line.strip().decode())
    assert seen == [(b"first", "running"), (b"second", "running")]
    await docker.end(task)
    assert task.artifacts["public/logs/live.log"]["storageType"] == "link"


async def test_log_names_and_features(docker):
    """The payload decides under which names the log is kept, or that nothing is."""
    task = await docker.do(shell("echo x", log="public/mine.txt"))
    assert set(task.artifacts) == {"public/mine.txt", "public/mine_backing.txt"}
    task = await docker.do(shell("echo x > /f", features={"artifacts": False}, artifacts={"f": {"type": "file", "path": "/f"}}))
    assert (task.state, set(task.artifacts)) == ("completed", set())


@pytest.mark.parametrize("packing", ["tar", "tar.gz", "tar.zst"])
async def test_images_from_artifacts(docker, packing):
    """A task runs in an image that another task, or the index, has as an artifact, however it is packed; it is fetched once."""
    data = images.saved()
    data = {"tar": bytes, "tar.gz": images.gz, "tar.zst": images.zst}[packing](data)
    maker = docker.queue.add({}, "none/none")
    maker.artifacts[f"public/image.{packing}"] = {"storageType": "s3"}
    maker.content[f"public/image.{packing}"] = (data, {})
    docker.queue.namespaces["my.image"] = maker.id
    by_task = {"type": "task-image", "taskId": maker.id, "path": f"public/image.{packing}"}
    by_index = {"type": "indexed-image", "namespace": "my.image", "path": f"public/image.{packing}"}
    first = await docker.do({**shell("echo ran"), "image": by_task})
    assert first.state == "completed", first.log
    assert "Fetching the image" in first.log
    second = await docker.do({**shell("echo ran"), "image": by_index})
    assert second.state == "completed", second.log
    assert "as loaded before" in second.log


async def test_an_artifact_that_is_no_image(docker):
    """What is not an image is malformed, with the engine's own words."""
    maker = docker.queue.add({}, "none/none")
    maker.artifacts["public/x"] = {"storageType": "s3"}
    maker.content["public/x"] = (b"no image", {})
    task = await docker.do({"image": {"type": "task-image", "taskId": maker.id, "path": "public/x"}, "maxRunTime": 5})
    assert (task.state, task.reason) == ("exception", "malformed-payload")


async def test_the_proxy_signs_for_the_task(docker):
    """With taskclusterProxy, a task calls the instance at http://taskcluster without credentials."""
    script = "wget -q -O - $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/status; wget -q -O - $TASKCLUSTER_PROXY_URL/queue/v1/task/$TASK_ID/status"
    task = await docker.do(shell(script, features={"taskclusterProxy": True}))
    assert task.state == "completed", task.log
    assert task.log.count('"state": "running"') >= 2


async def test_caches_last_from_task_to_task(docker):
    """A cache is found by the next task as the last one left it, but not after an exit code that purges it."""
    scopes = {"scopes": ["docker-worker:cache:mine"]}
    first = await docker.do(shell("ls /c | wc -l; echo kept > /c/f".replace("| wc -l", ""), cache={"mine": "/c"}), **scopes)
    assert first.state == "completed", first.log
    second = await docker.do(shell("cat /c/f; exit 4", cache={"mine": "/c"}, onExitStatus={"purgeCaches": [4]}), **scopes)
    assert "kept" in second.log
    third = await docker.do(shell("ls /c; test ! -e /c/f", cache={"mine": "/c"}), **scopes)
    assert third.state == "completed", third.log


async def test_several_at_once(docker):
    """Tasks run at once, each in its own container, as many as the capacity says."""
    tasks = [docker.add(shell(gated("", "begun"))) for _ in range(4)]
    for task in tasks[:3]:
        await says(task, "begun")
    assert [task.state for task in tasks] == ["running"] * 3 + ["pending"]
    await let_through(docker.settings.instance, "begun")
    await says(tasks[3], "begun")
    await let_through(docker.settings.instance, "begun")
    for task in tasks:
        await docker.end(task)
    assert {task.state for task in tasks} == {"completed"}


async def test_shutdown_hands_tasks_back(tmp_path):
    """A worker that is asked to stop ends what still runs as worker-shutdown, containers gone."""
    images.ensure()
    label = instance()
    async with running(tmp_path, "docker", instance=label) as docker:
        task = docker.add(shell("echo begun; sleep 600"))
        await says(task, "begun")
        docker.stop.set()
        await asyncio.wait_for(asyncio.shield(docker.worker), 60)
        assert (task.state, task.reason) == ("exception", "worker-shutdown")
    assert await images.labelled(f"tcbox.instance={label}") == NOTHING


@pytest.mark.parametrize("proxy", [False, True])
async def test_nothing_survives_a_killed_worker(tmp_path, proxy):
    """When the worker is killed by -9 its containers and networks are removed at once, without another worker."""
    images.ensure()
    queue = FakeQueue()
    server = await queue.start()
    label = instance()
    task = queue.add(shell("echo begun; sleep 600", features={"taskclusterProxy": proxy}), "local/docker")
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), queue.root_url, str(tmp_path), "docker", label])
    try:
        await says(task, "begun")
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(20)

        async def nothing() -> bool:
            return await images.labelled(f"tcbox.instance={label}") == NOTHING

        await eventually(nothing, pause=0.1)
    finally:
        worker.kill()
        worker.wait()
        await server.cleanup()


async def test_leftovers_are_removed_at_the_start(tmp_path):
    """Containers, networks and volumes of the instance that are there when its worker starts are removed; others are let be."""
    import docker as sdk

    images.ensure()
    mine, other = instance(), instance()
    client = sdk.from_env()
    try:
        for label in (mine, other):
            labels = {"tcbox.instance": label}
            client.networks.create(f"tcbox-{label}", labels=labels)
            client.volumes.create(f"tcbox-{label}", labels=labels)
            client.containers.run(images.IMAGE, ["sleep", "600"], detach=True, labels=labels)
        async with running(tmp_path, "docker", instance=mine) as worker:
            assert (await worker.do(shell("true"))).state == "completed"
            assert await images.labelled(f"tcbox.instance={mine}") == NOTHING
        assert {kind: len(found) for kind, found in (await images.labelled(f"tcbox.instance={other}")).items()} == {
            "containers": 1,
            "networks": 1,
            "volumes": 1,
        }
    finally:
        async with running(tmp_path / "other", "docker", instance=other) as worker:
            await worker.do(shell("true"))
        client.close()


async def test_without_an_engine_the_worker_says_so(tmp_path):
    """Where no engine listens, the worker refuses to start with one line that says where it looked and what to do."""
    with pytest.raises(EngineError, match=r"No Docker engine answers at unix:///no/such\.sock .*start it"):
        async with running(tmp_path, "docker", docker_url="unix:///no/such.sock") as here:
            await here.worker


class Wire:
    """A way to the engine that can be cut."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._join, self.path)

    async def cut(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        os.unlink(self.path)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection("/var/run/docker.sock")
        self._writers |= {writer, there[1]}
        await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except OSError:
            writer.close()


async def test_an_engine_that_goes_away(tmp_path):
    """When the engine goes away, what runs is handed back to be tried again, and the worker ends and says why."""
    images.ensure()
    label, wire = instance(), Wire(str(tmp_path / "docker.sock"))
    await wire.start()
    with pytest.raises(EngineError, match="No Docker engine answers"):
        async with running(tmp_path / "w", "docker", instance=label, docker_url=f"unix://{wire.path}") as docker:
            task = docker.add(shell("echo begun; sleep 600"))
            await says(task, "begun")
            await wire.cut()
            await docker.end(task)
            assert (task.state, task.reason) == ("exception", "worker-shutdown")
            assert "begun" in task.log
            await asyncio.wait_for(asyncio.shield(docker.worker), 60)
    async with running(tmp_path / "w", "docker", instance=label) as docker:
        await docker.do(shell("true"))
        assert await images.labelled(f"tcbox.instance={label}") == NOTHING
