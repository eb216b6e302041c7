"""Features and capabilities of docker-worker payloads, in containers of a real engine."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import struct
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.acceptance.test_docker_worker import NOTHING, instance, shell
from tests.simulators.registry import Registry
from tests.support import clients
from tests.support import docker_images as images
from tests.support.workers import running

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")]
PEOPLE = {"etc/passwd": b"root:x:0:0::/root:/bin/sh\nworker:x:1000:1001::/tmp:/bin/sh\n", "etc/group": b"root:x:0:\nworker:x:1001:\n"}
EVERYTHING = {"scopes": ["docker-worker:*"]}


@pytest.fixture
async def docker(tmp_path):
    images.ensure()
    async with running(tmp_path, "docker", capacity=3, instance=instance(), keep_caches=False, privileged=True, session_ms=0, session_after_ms=0) as here:
        yield here
    assert await images.labelled(f"tcbox.instance={here.settings.instance}") == NOTHING
    assert await images.labelled(f"tcbox.cache={here.settings.instance}") == NOTHING


# -- caches and volumes


@pytest.mark.parametrize("user", ["worker", "1000:1001"])
async def test_a_fresh_cache_belongs_to_the_containers_user(docker, user):
    """A cache that no task has had, and a volume, can be written by the image's user; what the image has at the path is hidden."""
    name = f"tcbox-test/user-{user.replace(':', '-')}:1"
    images.make(name, f"USER {user}", files={**PEOPLE, "c/old": b""})
    script = "ls -ln /c /deep; echo x > /c/f && echo y > /deep/er/g && ls -lnd /c /deep/er && id"
    task = await docker.do(
        {**shell(script), "image": name, "cache": {"mine": "/c"}, "artifacts": {"public/v": {"type": "volume", "path": "/deep/er"}}}, **EVERYTHING
    )
    assert task.state == "completed", task.log
    assert task.log.count("1000     1001") >= 2
    assert "old" not in task.log
    assert task.body("public/v/g") == b"y\n"
    images.remove(name)


async def test_volumes_become_artifacts(docker):
    """The folder of a volume artifact is there when the task starts, and all in it is uploaded, also when the task fails."""
    script = "test -d /out && mkdir /out/deep && echo a > /out/deep/a.txt && echo b > /out/b.txt; exit 1"
    task = await docker.do(shell(script, artifacts={"public/out": {"type": "volume", "path": "/out"}, "public/none": {"type": "volume", "path": "/none"}}))
    assert task.state == "failed"
    assert {name: task.body(name) for name in task.content if "log" not in name} == {"public/out/deep/a.txt": b"a\n", "public/out/b.txt": b"b\n"}


# -- capabilities


async def test_capabilities(docker):
    """With its scope each capability is given: unfiltered system calls, tracing; without asking none is."""

    async def status(**more) -> dict[str, str]:
        task = await docker.do(shell("while read a b; do echo $a $b; done < /proc/self/status", **more), **EVERYTHING)
        assert task.state == "completed", task.log
        return dict(line.strip().split(": ", 1) for line in task.log.splitlines() if ": " in line and "taskcluster" not in line)

    plain = await status()
    assert (int(plain["CapEff"], 16) >> 19 & 1, plain["Seccomp"]) == (0, "2")
    traced = await status(features={"allowPtrace": True})
    assert int(traced["CapEff"], 16) >> 19 & 1
    assert (await status(capabilities={"disableSeccomp": True}))["Seccomp"] == "0"


async def test_privileged_containers_must_be_allowed(tmp_path):
    """Whatever scopes a task has, a worker whose settings do not allow it runs no privileged container."""
    async with running(tmp_path, "docker", instance=instance()) as docker:
        task = await docker.do(shell("true", capabilities={"privileged": True}), **EVERYTHING)
        assert (task.state, task.reason) == ("exception", "malformed-payload")
        assert "workers.docker.privileged" in task.log


async def test_devices(docker):
    """A task with the scope gets the machine's devices, and learns which of them the machine does not have."""
    script = "ls -l /dev/kvm; ls /dev/shm"
    mark = Path("/dev/shm") / f"tcbox-{os.urandom(4).hex()}"
    mark.touch()
    try:
        asked = {"hostSharedMemory": True} | ({"kvm": True} if Path("/dev/kvm").exists() else {})
        task = await docker.do(
            shell(script, capabilities={"devices": asked}), scopes=[f"docker-worker:capability:device:{name}:local/docker" for name in asked]
        )
        assert mark.name in task.log
        assert ("kvm" not in asked) or "10, 232" in task.log
    finally:
        mark.unlink()
    if not list(Path("/dev").glob("video*")):
        task = await docker.do(shell("true", capabilities={"devices": {"loopbackVideo": True}}), **EVERYTHING)
        assert (task.state, task.reason) == ("exception", "malformed-payload")
        assert "load the module v4l2loopback" in task.log


async def test_scopes_that_are_missing_are_named(docker):
    """A payload that asks for several guarded things is told of every scope that it lacks."""
    task = await docker.do(shell("true", cache={"c": "/c"}, capabilities={"privileged": True, "devices": {"kvm": True}}, features={"allowPtrace": True}))
    assert (task.state, task.reason) == ("exception", "malformed-payload")
    for each in ("cache:c", "capability:privileged", "capability:device:kvm"):
        assert f"docker-worker:{each} or docker-worker:{each}:local/docker" in task.log
    assert "docker-worker:feature:allowPtrace" in task.log


async def test_a_task_cannot_take_the_machine(tmp_path):
    """A container that wants more memory or processes than it may have fails, and the log says that it was the memory."""
    images.ensure()
    async with running(tmp_path, "docker", instance=instance(), memory_mb=32, processes=20) as docker:
        task = await docker.do(shell("head -c 200000000 /dev/zero | tail -c 199999999 > /dev/null"))
        assert task.state == "failed"
        assert "ran out of memory: it may use 32 MB" in task.log
        task = await docker.do(shell("i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo all"))
        assert "can't fork" in task.log


# -- logs


async def test_the_bulk_log_by_its_own_name(docker):
    """Who asks for bulkLog in so many words also finds the log under the name that docker-worker gave it."""
    task = await docker.do(shell("echo x", features={"bulkLog": True}))
    assert task.artifacts["public/logs/terminal_bulk.log.gz"]["storageType"] == "link"
    assert task.body("public/logs/terminal_bulk.log.gz") == task.log.encode()


async def test_the_environment(docker):
    """Tasks are told their worker's pool, type and group, as docker-worker tells them."""
    task = await docker.do(shell("echo $TASKCLUSTER_WORKER_POOL $TASKCLUSTER_WORKER_TYPE $TASKCLUSTER_WORKER_GROUP"))
    assert "local/docker docker local" in task.log


# -- chain of trust


def signed(task, folder: Path) -> dict:
    """A task's certificate, once its signature and its hashes are found right."""
    statement = task.body("public/chain-of-trust.json")
    public = base64.b64decode((folder / "chain-of-trust.pub").read_text(encoding="ascii"))
    Ed25519PublicKey.from_public_bytes(public).verify(task.body("public/chain-of-trust.json.sig"), statement)
    told = json.loads(statement)
    for name, hashes in told["artifacts"].items():
        assert hashes == {"sha256": hashlib.sha256(task.body(name)).hexdigest()}, name
    return told


async def test_chain_of_trust(docker, tmp_path):
    """A task that asks for it is certified: what it was, where it ran, and the hash of each file, signed with the worker's key."""
    artifacts = {"public/a.txt": {"type": "file", "path": "/a.txt"}, "public/chain-of-trust.json": {"type": "file", "path": "/a.txt"}}
    for script, state in (("echo a > /a.txt", "completed"), ("echo a > /a.txt; exit 1", "failed")):
        task = await docker.do(shell(script, features={"chainOfTrust": True}, artifacts=artifacts))
        assert task.state == state, task.log
        told = signed(task, tmp_path)
        assert (told["chainOfTrustVersion"], told["taskId"], told["runId"]) == (1, task.id, 0)
        assert (told["workerGroup"], told["workerId"], told["task"]) == ("local", "worker", task.definition)
        assert told["environment"]["imageHash"].startswith("sha256:")
        assert {"public/a.txt", "public/logs/certified.log"} <= set(told["artifacts"])
        assert task.body("public/logs/certified.log") == task.log.encode()
        assert "chain-of-trust.json of the payload is not uploaded" in task.log
    assert (tmp_path / "chain-of-trust.key").stat().st_mode & 0o777 == 0o600
    key = (tmp_path / "chain-of-trust.key").read_bytes()
    async with running(tmp_path, "docker", instance=instance()) as again:
        task = await again.do(shell("true", features={"chainOfTrust": True}))
        signed(task, tmp_path)
    assert (tmp_path / "chain-of-trust.key").read_bytes() == key


def certified(queue, *, digest: str | None = None, key: Ed25519PrivateKey | None = None) -> dict:
    """A task that made an image, as a payload names it; with a certificate when there is a key."""
    data = images.saved()
    maker = queue.add({}, "none/none")
    files = {"public/image.tar": data}
    if key is not None:
        told = {"artifacts": {"public/image.tar": {"sha256": digest or hashlib.sha256(data).hexdigest()}}}
        files["public/chain-of-trust.json"] = json.dumps(told).encode()
        files["public/chain-of-trust.json.sig"] = key.sign(files["public/chain-of-trust.json"])
    for name, content in files.items():
        maker.artifacts[name] = {"storageType": "s3"}
        maker.content[name] = (content, {})
    return {"type": "task-image", "taskId": maker.id, "path": "public/image.tar"}


async def test_images_are_held_against_their_own_certificates(tmp_path):
    """The image of a task to be certified must be what its own task's certificate says; whose word that is, the log says."""
    images.ensure()
    theirs = Ed25519PrivateKey.generate()
    public = base64.b64encode(theirs.public_key().public_bytes_raw()).decode()
    ask = {"features": {"chainOfTrust": True}}
    async with running(tmp_path / "a", "docker", instance=instance()) as docker:
        task = await docker.do({**shell("true", **ask), "image": certified(docker.queue)})
        assert task.state == "completed"
        assert "has no chain of trust: its image is used all the same" in task.log
        told = signed(task, tmp_path / "a")
        assert told["environment"]["imageArtifactHash"] == f"sha256:{hashlib.sha256(images.saved()).hexdigest()}"
        task = await docker.do({**shell("true", **ask), "image": certified(docker.queue, key=theirs)})
        assert task.state == "completed"
        assert "signed by a key that this worker does not know" in task.log
        wrong = certified(docker.queue, key=theirs, digest="0" * 64)
        task = await docker.do({**shell("true", **ask), "image": wrong})
        assert (task.state, task.reason) == ("exception", "malformed-payload")
        assert "it is not used" in task.log
        task = await docker.do({**shell("true"), "image": wrong})
        assert task.state == "completed", "who does not ask is not checked"
    async with running(tmp_path / "b", "docker", instance=instance(), trusted_keys=(public,)) as docker:
        task = await docker.do({**shell("true", **ask), "image": certified(docker.queue, key=theirs)})
        assert task.state == "completed", task.log
        assert "certifies the image" in task.log
        for image in (certified(docker.queue), certified(docker.queue, key=Ed25519PrivateKey.generate())):
            task = await docker.do({**shell("true", **ask), "image": image})
            assert (task.state, task.reason) == ("exception", "malformed-payload")
            assert "workers.docker.trusted_keys" in task.log


# -- interactive


async def opened(task) -> str:
    """The address of a task's shells."""
    from urllib.parse import parse_qs, urlsplit

    while "private/docker-worker/shell.html" not in task.artifacts:
        assert task.state in ("pending", "running"), task.log
        await asyncio.sleep(0.05)
    url = urlsplit(task.artifacts["private/docker-worker/shell.html"]["url"])
    query = parse_qs(url.query)
    assert (url.path, query["v"], query["taskId"], query["runId"]) == ("/shell/", ["1"], [task.id], ["0"])
    return query["socketUrl"][0]


async def talk(url: str, command: list[str], *sent: bytes, tty: bool = False) -> list[tuple[int, bytes]]:
    """All that a shell says when it is sent these messages."""
    query = [("command", word) for word in command] + [("tty", str(tty).lower())]
    async with aiohttp.ClientSession() as session, session.ws_connect(url, params=query) as socket:
        first = await socket.receive_bytes(timeout=10)
        assert first == bytes([100])
        for message in sent:
            await socket.send_bytes(message)
        return [(message.data[0], message.data[1:]) async for message in socket]


def said(messages: list[tuple[int, bytes]], code: int) -> bytes:
    return b"".join(content for each, content in messages if each == code)


async def test_shells_in_a_running_task(docker):
    """With the feature interactive, people who know the secret address get shells in the container, with docker-worker's messages."""
    task = docker.add(shell("echo marker > /f; sleep 4; exit 3", features={"interactive": True}))
    url = await opened(task)
    assert url.startswith("ws://")
    heard = await talk(url, ["sh", "-c", "cat /f; echo problem >&2; cat; exit 7"], b"\x00typed\n", bytes([102]))
    assert (said(heard, 1), said(heard, 2), heard[-1]) == (b"marker\ntyped\n", b"problem\n", (200, b"\x07"))
    size = bytes([50]) + struct.pack("<HH", 33, 111)
    heard = await talk(url, ["sh"], size, b"\x00stty size; exit\n", tty=True)
    assert b"33 111" in said(heard, 1)
    heard = await talk(url, ["sh", "-c", "head -c 3000000 /dev/zero"], bytes([101]), bytes([100]))
    assert len(said(heard, 1)) == 3000000
    heard = await talk(url, ["/no/such"])
    assert heard[-1][0] in (200, 202)
    async with aiohttp.ClientSession() as session:
        async with session.get(url.replace("ws:", "http:")) as reply:
            assert reply.status == 426
        async with session.get(url.replace("ws:", "http:").replace("/shell.sock", "x/shell.sock")) as reply:
            assert reply.status == 404
    await docker.end(task)
    assert (task.state, task.reason) == ("failed", "failed")
    assert "exit code: 3" in task.log
    with pytest.raises(aiohttp.ClientError):
        await talk(url, ["sh"])


async def test_a_task_waits_for_those_who_have_a_shell(tmp_path):
    """A task with open shells does not end with its command, but when the last shell was closed; maxRunTime ends it in any case."""
    images.ensure()
    async with running(tmp_path, "docker", instance=instance(), session_ms=500, session_after_ms=300) as docker:
        task = docker.add(shell("echo over > /f", features={"interactive": True}))
        heard = await talk(await opened(task), ["sh", "-c", "sleep 3; cat /f"])
        assert said(heard, 1) == b"over\n"
        await docker.end(task)
        assert task.state == "completed"
        task = docker.add(shell("true", features={"interactive": True}, maxRunTime=2))
        heard = await talk(await opened(task), ["sleep", "600"])
        assert heard[-1][0] in (200, 201)
        await docker.end(task)
        assert task.state == "failed"
        assert "maxRunTime of 2 seconds" in task.log


# -- images


async def test_an_image_from_an_artifact_takes_no_names(docker):
    """An archive that names its image as another one does not take that name from it."""
    name = f"tcbox-test/names-{os.urandom(4).hex()}:1"
    images.make(name)
    archive = images.saved(name)
    images.remove(name)
    innocent = images.make(name, "ENV INNOCENT=1")
    try:
        maker = docker.queue.add({}, "none/none")
        maker.artifacts["public/image.tar"], maker.content["public/image.tar"] = {"storageType": "s3"}, (archive, {})
        image = {"type": "task-image", "taskId": maker.id, "path": "public/image.tar"}
        assert (await docker.do({**shell("true"), "image": image})).state == "completed"
        assert images.make(name) == innocent
    finally:
        images.remove(name)


async def test_an_image_is_given_by_its_name_alone(docker):
    """What a task brought in is had by no other task that knows, or guesses, its id."""
    name = f"tcbox-test/ids-{os.urandom(4).hex()}:1"
    identity = images.make(name, f"ENV OF={name}")
    archive = images.saved(name)
    images.remove(name)
    maker = docker.queue.add({}, "none/none")
    maker.artifacts["public/image.tar"], maker.content["public/image.tar"] = {"storageType": "s3"}, (archive, {})
    image = {"type": "task-image", "taskId": maker.id, "path": "public/image.tar"}
    assert (await docker.do({**shell("true"), "image": image})).state == "completed"
    digits = identity.removeprefix("sha256:")
    for given in (identity, digits, digits[:12], digits[:20]):
        task = await docker.do({**shell("true"), "image": given})
        assert (task.state, task.reason) == ("exception", "malformed-payload"), task.log
        assert "is the id of an image" in task.log


async def test_images_give_way_to_others(tmp_path):
    """When the worker's images take more than they may, those used longest ago go; never one in use, nor one that was there before."""
    before = images.make(images.IMAGE)
    async with running(tmp_path, "docker", capacity=2, instance=instance(), images_mb=3, keep_caches=False) as docker:

        def maker(number: int) -> dict:
            name = f"tcbox-test/many-{os.urandom(4).hex()}:1"
            images.make(name, f"ENV NUMBER={docker.settings.instance}-{number}")
            data = images.saved(name)
            images.remove(name)
            task = docker.queue.add({}, "none/none")
            task.artifacts["public/image.tar"], task.content["public/image.tar"] = {"storageType": "s3"}, (data, {})
            return {"type": "task-image", "taskId": task.id, "path": "public/image.tar"}

        first, second, third = (maker(number) for number in range(3))
        held = docker.add({**shell("sleep 6"), "image": first})
        await asyncio.wait_for(held.started.wait(), 10)
        for image in (second, third):
            assert (await docker.do({**shell("true"), "image": image})).state == "completed"
        again = await docker.do({**shell("true"), "image": second})
        assert "Fetching the image" in again.log, "it had to give way to the third"
        await docker.end(held)
        assert held.state == "completed"
        assert (await docker.do(shell("true"))).state == "completed"
        assert images.make(images.IMAGE) == before


async def test_images_from_a_registry(tmp_path):
    """An image is pulled once and then used; one that the registry does not have is the task's fault, and an unreachable one is not."""
    registry = Registry(images.root_filesystem({"etc/of": os.urandom(8).hex().encode()}))
    server = await registry.start()
    name = f"{registry.address}/team/image:1"
    try:
        async with running(tmp_path, "docker", instance=instance(), keep_caches=False) as docker:
            for says in ("Pulling the image", "Using the image"):
                task = await docker.do({**shell("cat /etc/of"), "image": name})
                assert task.state == "completed", task.log
                assert f"{says} {name}" in task.log
            assert registry.pulls == 1
            for wrong in (f"{registry.address}/team/image:2", f"{registry.address}/no/such:1"):
                task = await docker.do({**shell("true"), "image": wrong})
                assert (task.state, task.reason) == ("exception", "malformed-payload"), task.log
                assert "cannot be pulled" in task.log
            await server.cleanup()
            task = await docker.do({**shell("true"), "image": f"{registry.address}/team/image:3"})
            assert (task.state, task.reason) == ("exception", "resource-unavailable"), task.log
    finally:
        await server.cleanup()
    assert not await held(name), "the worker takes what it pulled with it"


async def test_private_images_need_a_scope(tmp_path, monkeypatch):
    """An image that is had with the machine's own password is given only to tasks with the scope for it."""
    registry = Registry(images.root_filesystem({"etc/of": os.urandom(8).hex().encode()}), login=("me", "secret"))
    server = await registry.start()
    config = tmp_path / "config"
    config.mkdir()
    auths = {registry.address: {"auth": base64.b64encode(b"me:secret").decode()}}
    (config / "config.json").write_text(json.dumps({"auths": auths}), encoding="ascii")
    name = f"{registry.address}/team/image:1"
    try:
        async with running(tmp_path / "w", "docker", instance=instance(), keep_caches=False) as docker:
            task = await docker.do({**shell("true"), "image": name})
            assert (task.state, task.reason) == ("exception", "malformed-payload")
            assert "cannot be pulled" in task.log
            monkeypatch.setenv("DOCKER_CONFIG", str(config))
            task = await docker.do({**shell("true"), "image": name})
            assert (task.state, task.reason) == ("exception", "malformed-payload")
            assert f"add docker-worker:image:{name}." in task.log
            task = await docker.do({**shell("true"), "image": name}, scopes=[f"docker-worker:image:{registry.address}/team/*"])
            assert task.state == "completed", task.log
    finally:
        await server.cleanup()


async def held(name: str) -> bool:
    """Whether the engine has an image of this name."""
    process = await asyncio.create_subprocess_exec("docker", "image", "inspect", name, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait() == 0


async def test_the_published_client_opens_shells(docker):
    """The client library for docker-worker's shells, unchanged, opens one, types, and hears output, errors and the exit code."""
    installed = await asyncio.to_thread(clients.shell)
    task = docker.add(shell("sleep 15", features={"interactive": True}))
    url = await opened(task)
    command = ["sh", "-c", "echo problem >&2; read line; echo heard $line; exit 5"]
    process = await asyncio.create_subprocess_exec("node", installed / "shell.mjs", url, "typed\n", *command, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert json.loads(out) == {"stdout": "heard typed\n", "stderr": "problem\n", "exit": 5}
    docker.queue.resolve(task, "exception", "canceled")
