"""The host worker runs docker-worker payloads by `docker run` on a real engine, and leaves nothing of them behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap

import aiohttp
import pytest

from tcbox.workers import certificates
from tcbox.workers.host import docker
from tests.acceptance.test_host_features import Screen, invitation
from tests.acceptance.test_host_worker import WORKER, emptied
from tests.support import docker_images as images
from tests.support.fake_queue import FakeQueue
from tests.support.workers import running

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")]
NOTHING = {"containers": [], "networks": [], "volumes": []}


def shell(script: str, **more) -> dict:
    return {"image": images.IMAGE, "command": ["sh", "-c", script], "maxRunTime": 60, **more}


def label() -> str:
    return f"test-{os.urandom(5).hex()}"


@pytest.fixture
async def host(tmp_path):
    images.ensure()
    async with running(tmp_path, "host", capacity=3, instance=label()) as here:
        yield here
    assert await images.labelled(f"tcbox.host={here.settings.instance}") == NOTHING
    assert await emptied(tmp_path / "runs")


async def test_a_task_runs_in_a_container(host):
    """The command runs in the image with the payload's and the standard variables; the log shows `docker run`, and no variable of the worker's."""
    env = {"A": "b c", "LINES": "one\ntwo", "TASK_ID": "mine"}
    task = await host.do(shell('echo "A=$A/$LINES"; echo $TASK_ID/$RUN_ID/$TASK_GROUP_ID/$TASKCLUSTER_ROOT_URL; env | sort; hostname', env=env))
    assert (task.state, task.reason) == ("completed", "completed"), task.log
    log = task.log.replace("\r", "")
    assert "A=b c/one\ntwo\n" in log
    assert f"{task.id}/0/{task.definition['taskGroupId']}/{host.queue.root_url}" in log
    assert "Executing command 0: docker run -t --name tcbox-host-" in log
    assert f"[d2g] Using the image {images.IMAGE}" in log
    assert "TCBOX_TASK_FOLDER" not in log.partition("\nA=")[2]
    assert "DOCKER_HOST" not in log


@pytest.mark.parametrize(
    ("payload", "state", "reason", "says"),
    [
        (shell("exit 3"), "failed", "failed", "exit status 3"),
        (shell("exit 3", onExitStatus={"retry": [3]}), "exception", "intermittent-task", "onExitStatus.retry"),
        ({**shell("true"), "command": ["/no/such"]}, "failed", "failed", "exit status 127"),
        ({**shell("true"), "image": "tcbox-test/absent:1"}, "exception", "malformed-payload", "cannot be pulled"),
        ({**shell("true"), "image": "Not A Name"}, "exception", "malformed-payload", "is not the name of an image"),
        (shell("true", capabilities={"privileged": True}), "exception", "malformed-payload", "docker-worker:capability:privileged:local/host"),
        (shell("true", features={"allowPtrace": True}), "exception", "malformed-payload", "docker-worker:feature:allowPtrace"),
        (shell("true", cache={"c": "/c"}), "exception", "malformed-payload", "docker-worker:cache:c"),
        (shell("true", capabilities={"devices": {"loopbackVideo": True}}), "exception", "malformed-payload", "loopbackVideo"),
        (shell("true", artifacts={"public/x": {"type": "file", "path": "/absent"}}), "completed", "completed", "does not fail"),
        (shell("sleep 100", maxRunTime=2), "failed", "failed", "maxRunTime of 2 seconds"),
    ],
)
async def test_how_a_task_ends(host, payload, state, reason, says):
    """Each way to end is reported as a generic-worker with d2g reports it, and the log says why."""
    task = await host.do(payload)
    assert (task.state, task.reason) == (state, reason), task.log
    assert says in task.log


async def test_artifacts(host):
    """Files and folders are copied out, volumes collected; links that lead out of them are passed over; also of a task that failed."""
    script = """mkdir -p /out/deep; printf a > /out/a.txt; printf b > /out/deep/b.json; ln -s a.txt /out/link; ln -s /etc/hostname /out/far; ln -s /out/a.txt /ln
        printf v > /vol/v; ln -s /etc/passwd /vol/passwd; mkdir -p /vol/w; printf w > /vol/w/w; exit $1"""
    artifacts = {
        "public/out": {"type": "directory", "path": "/out"}, "public/a.txt": {"type": "file", "path": "/out/a.txt"}, "public/ln": {"type": "file", "path": "/ln"},
        "public/vol": {"type": "volume", "path": "/vol"}, "public/dir": {"type": "file", "path": "/out"}, "public/none": {"type": "directory", "path": "/none"},
    }  # fmt: skip
    for code in ("0", "1"):
        task = await host.do({**shell(script, artifacts=artifacts), "command": ["sh", "-c", script, "sh", code]})
        assert task.state == ("failed" if code == "1" else "completed"), task.log
        found = {name: task.body(name) for name in task.content if not name.startswith("public/logs/")}
        assert found == {
            "public/out/a.txt": b"a", "public/out/deep/b.json": b"b", "public/out/link": b"a", "public/a.txt": b"a", "public/ln": b"a",
            "public/vol/v": b"v", "public/vol/w/w": b"w",
        }  # fmt: skip
        assert task.artifacts["public/none"]["reason"] == "file-missing-on-worker"
        assert task.artifacts["public/dir"]["reason"] == "invalid-resource-on-worker"
        assert "/passwd is passed over: it is a link that leads out" in task.log


async def test_caches_last_from_task_to_task(host):
    """A cache is found by the next task as the last one left it, by either kind of payload, until an exit code purges it."""
    scopes = {"scopes": ["docker-worker:cache:c", "generic-worker:cache:c"]}
    task = await host.do(shell("ls /c | wc -l; echo kept > /c/f", cache={"c": "/c"}), **scopes)
    assert (task.state, "\n0" in task.log) == ("completed", True), task.log
    native = {"command": [["cat", "d/f"]], "maxRunTime": 60, "mounts": [{"cacheName": "c", "directory": "d"}]}
    assert "\nkept\n" in (await host.do(native, **scopes)).log
    task = await host.do(shell("cat /c/f; exit 4", cache={"c": "/c"}, onExitStatus={"purgeCaches": [4]}), scopes=["docker-worker:cache:*"])
    assert "\nkept" in task.log
    task = await host.do(shell("ls /c | wc -l", cache={"c": "/c"}), scopes=["generic-worker:cache:c"])
    assert "\n0" in task.log


async def test_what_a_container_wrote_belongs_to_the_workers_user(host, monkeypatch):
    """A worker that is not root can keep and remove what the container's root wrote, since it is made its user's."""
    if os.geteuid() != 0:
        pytest.skip("acts as another user, which root can")
    image = "tcbox-test/chown:1"
    script = "FROM tcbox-test/busybox:1\nRUN ln -s busybox /bin/chown"
    subprocess.run(["docker", "build", "-q", "-t", image, "-"], input=script.encode(), check=True, capture_output=True)
    try:
        monkeypatch.setattr(os, "geteuid", lambda: 4321)
        monkeypatch.setattr(os, "getegid", lambda: 4322)
        task = await host.do({**shell("echo x > /c/f; mkdir /c/d", cache={"c": "/c"}), "image": image}, scopes=["docker-worker:cache:c"])
        assert task.state == "completed", task.log
        native = {"command": [["sh", "-c", "stat -c %u:%g d/f d/d"]], "maxRunTime": 60, "mounts": [{"cacheName": "c", "directory": "d"}]}
        task = await host.do(native, scopes=["generic-worker:cache:c"])
        assert "\n4321:4322\n4321:4322\n" in task.log
    finally:
        images.remove(image)


async def test_images_from_artifacts(host):
    """Images come from artifacts of tasks and of the index, plain or compressed; each is loaded once, and what holds none is refused."""
    saved = images.saved()
    dependency = host.queue.add({}, "none/none")
    for name, data in (("a.tar", saved), ("b.tar.zst", images.zst(saved)), ("c.tar.gz", images.gz(saved)), ("bad", b"no image" * 100)):
        dependency.artifacts[name] = {"storageType": "s3"}
        dependency.content[name] = (data, {})
    host.queue.namespaces["my.image"] = dependency.id
    for name in ("a.tar", "b.tar.zst", "c.tar.gz"):
        task = await host.do({**shell("echo ran"), "image": {"type": "task-image", "taskId": dependency.id, "path": name}}, dependencies=[dependency.id])
        assert (task.state, "\nran" in task.log, "[d2g] Loaded the image sha256:" in task.log) == ("completed", True, True), task.log
    task = await host.do({**shell("echo ran"), "image": {"type": "indexed-image", "namespace": "my.image", "path": "a.tar"}})
    assert (task.state, "as loaded before" in task.log) == ("completed", True), task.log
    task = await host.do({**shell("true"), "image": {"type": "docker-image", "name": images.IMAGE}})
    assert task.state == "completed"
    task = await host.do({**shell("true"), "image": {"type": "task-image", "taskId": dependency.id, "path": "bad"}})
    assert (task.reason, "docker save" in task.log) == ("malformed-payload", True)
    task = await host.do({**shell("true"), "image": {"type": "indexed-image", "namespace": "none", "path": "x"}})
    assert (task.state, "The index has nothing for none" in task.log) == ("failed", True)


async def test_the_proxy_is_on_the_tasks_own_network(host):
    """A container calls the instance by its proxy, without credentials; other containers and this machine's programs cannot."""
    script = (
        "wget -qO- $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/status; echo; echo $TASKCLUSTER_PROXY_URL; while [ ! -e /tmp/done ]; do sleep 0.2; done"
    )
    task = host.add(shell(script, features={"taskclusterProxy": True}))
    async with asyncio.timeout(40):
        while not (found := await images.labelled(f"tcbox.host={host.settings.instance}"))["containers"]:
            await asyncio.sleep(0.1)
    assert len(found["networks"]) == 1
    told = json.loads(subprocess.run(["docker", "network", "inspect", found["networks"][0]], check=True, capture_output=True).stdout)
    gateway = told[0]["IPAM"]["Config"][0]["Gateway"]
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"http://{gateway}/api/queue/v1/task/{task.id}/status") as reply:
                assert reply.status == 403
        except aiohttp.ClientConnectionError:
            pass  # port 80 was not to be had
    async with asyncio.timeout(20):
        while subprocess.run(["docker", "exec", found["containers"][0], "sh", "-c", "echo > /tmp/done"], check=False, capture_output=True).returncode:
            await asyncio.sleep(0.1)
    await host.end(task)
    assert (task.state, '"state": "running"' in task.log, "http://taskcluster" in task.log) == ("completed", True, True), task.log


async def test_processes_reach_the_proxy_on_a_bridge(host):
    """With docker-bridge, a task's own containers reach the proxy by the network and gateway that its variables name."""
    script = f"""curl -s $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/status || python3 -c 'import os,urllib.request as u; print(u.urlopen(os.environ["TASKCLUSTER_PROXY_URL"]+"/api/queue/v1/task/"+os.environ["TASK_ID"]+"/status").read())'
        docker run --rm --network $TASKCLUSTER_DOCKER_NETWORK {images.IMAGE} wget -qO- $TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/status; echo; echo $TASKCLUSTER_PROXY_GATEWAY"""
    body = {"command": [["sh", "-c", script]], "maxRunTime": 60, "features": {"taskclusterProxy": True}, "taskclusterProxyInterface": "docker-bridge"}
    task = await host.do(body)
    assert task.state == "completed", task.log
    assert task.log.count('"state": "running"') == 2 * 2


async def test_a_shell_in_the_container(host):
    """The shell of an interactive task is one in its container."""
    task = host.add(shell("while [ ! -e /done ]; do sleep 0.2; done", features={"interactive": True}))
    url = await invitation(task)
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        screen = Screen(socket)
        await screen.type("echo in-$(hostname)-$TASK_ID; ls -d /bin/busybox\n")
        await screen.until(f"-{task.id}\r\n", 30)
        await screen.type("echo > /done\n")
        await host.end(task)
    assert task.state == "completed", task.log


async def test_a_certificate_names_the_image(host, tmp_path):
    """The certificate says which image the container had, and by which artifact it came."""
    saved = images.saved()
    dependency = host.queue.add({}, "none/none")
    dependency.artifacts["a.tar"] = {"storageType": "s3"}
    dependency.content["a.tar"] = (saved, {})
    artifacts = {"public/x": {"type": "file", "path": "/x"}}
    body = {
        **shell("printf x > /x", features={"chainOfTrust": True}, artifacts=artifacts),
        "image": {"type": "task-image", "taskId": dependency.id, "path": "a.tar"},
    }
    task = await host.do(body)
    assert task.state == "completed", task.log
    told = json.loads(task.body("public/chain-of-trust.json"))
    assert told["artifacts"]["public/x"]["sha256"] == hashlib.sha256(b"x").hexdigest()
    assert told["environment"]["imageHash"].startswith("sha256:")
    assert told["environment"]["imageArtifactHash"] == f"sha256:{hashlib.sha256(saved).hexdigest()}"
    assert told["task"] == task.definition
    public = (tmp_path / "chain-of-trust.pub").read_text().strip()
    assert certificates.verified([public], task.body("public/chain-of-trust.json"), task.body("public/chain-of-trust.json.sig"))


def set_caps() -> bool:
    """Whether the engine can make privileged containers."""
    return subprocess.run(["docker", "run", "--rm", "--privileged", images.IMAGE, "true"], check=False, capture_output=True).returncode == 0


async def test_capabilities_with_their_scopes(host):
    """With its scope a container may be privileged, trace processes, or share this machine's memory."""
    task = await host.do(shell("true", features={"allowPtrace": True}), scopes=["docker-worker:feature:allowPtrace"])
    assert (task.state, "--cap-add=SYS_PTRACE" in task.log) == ("completed", True), task.log
    task = await host.do(
        shell("ls /dev/shm >/dev/null && echo shared", capabilities={"disableSeccomp": True, "devices": {"hostSharedMemory": True}}),
        scopes=["docker-worker:capability:disableSeccomp", "docker-worker:capability:device:hostSharedMemory:local/host"],
    )
    assert (task.state, "--security-opt=seccomp=unconfined" in task.log, "\nshared" in task.log) == ("completed", True, True), task.log
    task = await host.do(shell("echo ran", capabilities={"privileged": True}), scopes=["docker-worker:capability:privileged:local/host"])
    assert "--privileged" in task.log
    if not set_caps():
        return  # an engine that is itself without privileges gives none
    assert (task.state, "\nran" in task.log) == ("completed", True), task.log


async def test_a_cancelled_task_is_stopped(host):
    """A task that is cancelled has its container removed within moments."""
    task = host.add(shell("sleep 1000"))
    async with asyncio.timeout(40):
        while not (await images.labelled(f"tcbox.host={host.settings.instance}"))["containers"]:
            await asyncio.sleep(0.1)
    host.queue.resolve(task, "exception", "canceled")
    async with asyncio.timeout(20):
        while await images.labelled(f"tcbox.host={host.settings.instance}") != NOTHING:
            await asyncio.sleep(0.1)


async def test_without_an_engine_or_when_it_is_switched_off(tmp_path, monkeypatch):
    """Without an engine, without the command, or by setting, a payload for containers is refused with what to do; other tasks run."""
    native = {"command": [["true"]], "maxRunTime": 5}
    for more, says in (
        ({"docker_url": f"unix://{tmp_path}/absent.sock"}, f"No Docker engine answers at unix://{tmp_path}/absent.sock"),
        ({"d2g": False}, "or set workers.host.d2g"),
    ):
        async with running(tmp_path / "a", "host", **more) as host:
            task = await host.do(shell("true"))
            assert (task.reason, says in task.log) == ("malformed-payload", True), task.log
            assert (await host.do(native)).state == "completed"
    monkeypatch.setenv("PATH", "/bin" if not os.path.exists("/bin/docker") else "/sbin")
    async with running(tmp_path / "b", "host") as host:
        task = await host.do(shell("true"))
        assert (task.reason, "This machine has no docker command" in task.log) == ("malformed-payload", True), task.log


async def test_an_engine_that_goes_and_comes_back(tmp_path, monkeypatch):
    """A task whose engine has gone meanwhile waits for it; when it does not come back, the task is handed on to be tried again."""
    monkeypatch.setattr(docker, "_LOOK_S", 0.0)
    monkeypatch.setattr(docker, "_AGAIN_S", 0.3)
    images.ensure()
    place = tmp_path / "engine.sock"
    place.symlink_to("/var/run/docker.sock")
    async with running(tmp_path / "w", "host", docker_url=f"unix://{place}", instance=label()) as host:
        assert (await host.do(shell("true"))).state == "completed"
        place.unlink()
        task = host.add(shell("echo back"))
        await asyncio.sleep(1.5)
        assert task.state == "running"
        place.symlink_to("/var/run/docker.sock")
        await host.end(task)
        assert (task.state, "\nback" in task.log) == ("completed", True), task.log
        monkeypatch.setattr(docker, "_RETURN_S", 0.5)
        task = host.add(shell("sleep 3; exit 1"))
        async with asyncio.timeout(40):
            while not (await images.labelled(f"tcbox.host={host.settings.instance}"))["containers"]:
                await asyncio.sleep(0.1)
        place.unlink()
        await host.end(task)
        assert task.state in ("failed", "exception")  # the run that went on was watched by a connection of its own
        task = await host.do(shell("true"))
        assert (task.state, task.reason) == ("exception", "worker-shutdown")
        place.symlink_to("/var/run/docker.sock")
        assert (await host.do(shell("true"))).state == "completed"
    await removed(host.settings.instance)


async def removed(name: str) -> None:
    """Remove what a test has left on purpose."""
    for container in (await images.labelled(f"tcbox.host={name}"))["containers"]:
        subprocess.run(["docker", "rm", "-f", container], check=False, capture_output=True)


async def test_what_a_killed_worker_and_its_watchdog_left_is_removed(tmp_path):
    """Should the watchdog have been killed too, the next worker on the same folder removes containers and networks when it starts."""
    images.ensure()
    name = label()
    subprocess.run(["docker", "run", "-d", "--label", f"tcbox.host={name}", images.IMAGE, "sleep", "1000"], check=True, capture_output=True)
    subprocess.run(["docker", "network", "create", "--label", f"tcbox.host={name}", f"net-{name}"], check=True, capture_output=True)
    (tmp_path / "docker").touch()
    async with running(tmp_path, "host", instance=name):
        async with asyncio.timeout(30):
            while await images.labelled(f"tcbox.host={name}") != NOTHING:
                await asyncio.sleep(0.1)


async def test_nothing_survives_a_killed_worker(tmp_path):
    """When the worker is killed by -9, its containers and networks go at once; the next one hands its runs back."""
    images.ensure()
    queue = FakeQueue()
    server = await queue.start()
    name = label()
    task = queue.add(shell("sleep 1000", features={"taskclusterProxy": True}), "local/host")
    argv = [sys.executable, "-c", textwrap.dedent(WORKER), queue.root_url, str(tmp_path), "host", name]
    worker = subprocess.Popen(argv)
    try:
        async with asyncio.timeout(60):
            while not (await images.labelled(f"tcbox.host={name}"))["containers"]:
                await asyncio.sleep(0.1)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(5)
        async with asyncio.timeout(20):
            while await images.labelled(f"tcbox.host={name}") != NOTHING:
                await asyncio.sleep(0.1)
        worker = subprocess.Popen(argv)
        await asyncio.wait_for(task.ended.wait(), 30)
        assert (task.state, task.reason) == ("exception", "worker-shutdown")
        assert (await queue.done(queue.add(shell("true"), "local/host"))).state == "completed"
        assert await emptied(tmp_path / "runs")
    finally:
        worker.kill()
        worker.wait()
        await server.cleanup()
