"""What the host worker does for a task beyond running it: shells, certificates, measurements, mounts of every kind, groups."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import struct
import sys
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from tcbox.workers import certificates
from tcbox.workers.host import worker as host_worker
from tcbox.workers.host.resources import Limits
from tests.acceptance.test_host_worker import alive, archive, emptied, gone, host, marker, shell  # noqa: F401
from tests.support.waiting import eventually
from tests.support.workers import running

SHELL = "private/generic-worker/shell.html"


# -- interactive


class Screen:
    """A browser's side of a shell."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.shown = socket, b""

    async def type(self, text: str) -> None:
        await self.socket.send_bytes(b"\x01" + text.encode())

    async def resize(self, rows: int, columns: int) -> None:
        await self.socket.send_bytes(b"\x02" + struct.pack("<HH", rows, columns))

    async def until(self, text: str, seconds: float = 20) -> str:
        async with asyncio.timeout(seconds):
            while text.encode() not in self.shown:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, (message, self.shown)
                self.shown += message.data
        return self.shown.decode(errors="replace")

    async def closed(self, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while (message := await self.socket.receive()).type is aiohttp.WSMsgType.BINARY:
                self.shown += message.data


async def invitation(task) -> str:
    """Where the shell of a task is, as its artifact tells the web UI."""
    await eventually(lambda: SHELL in task.artifacts)
    artifact = task.artifacts[SHELL]
    assert (artifact["storageType"], artifact["contentType"]) == ("reference", "text/html; charset=utf-8")
    url = urlsplit(artifact["url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.path == "/shell/"
    assert (query["v"], query["taskId"], query["runId"]) == ("2", task.id, "0")
    assert query["socketUrl"].startswith("ws://")
    return query["socketUrl"]


async def test_a_shell_in_a_running_task(host):
    """A person types in the task's folder and sees the answers, with the task's variables; the shell ends with the task."""
    mark = marker()
    task = host.add(shell("echo here > f; while [ ! -e done ]; do sleep 0.1; done", env={"A": "b c"}, features={"interactive": True}))
    url = await invitation(task)
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as first, session.ws_connect(url) as second:
        screen, other = Screen(first), Screen(second)
        await screen.resize(33, 101)
        await screen.type("echo $A-$(cat f)-$TASK_ID; stty size; tty | cut -c1-5\n")
        shown = await screen.until("/dev/\r\n")
        assert f"b c-here-{task.id}" in shown
        assert "33 101" in shown
        await other.type(f"sleep {mark}\n")
        await eventually(lambda: alive(mark), pause=0.05)
        await other.type("\x03")
        assert await gone(mark)
        await other.type("exit\n")
        await other.closed()
        await screen.type(f"setsid sleep {mark} & touch done\n")
        await screen.closed()
    await host.end(task)
    assert task.state == "completed", task.log
    assert alive(mark) == []
    async with aiohttp.ClientSession() as session, session.get("http" + url.removeprefix("ws")) as reply:
        assert reply.status == 404


async def test_a_shell_is_a_websocket_under_a_secret(host):
    """A request that is no WebSocket, or has another secret, is refused; and shells end when the browser goes."""
    mark = marker()
    task = host.add(shell("while [ ! -e done ]; do sleep 0.1; done", features={"interactive": True}))
    url = await invitation(task)
    async with aiohttp.ClientSession() as session:
        async with session.get("http" + url.removeprefix("ws")) as reply:
            assert reply.status == 426
        parts = url.rsplit("/", 2)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{parts[0]}/{'x' * len(parts[1])}/shell")
        async with session.ws_connect(url) as socket:
            await socket.send_bytes(b"")
            await socket.send_bytes(b"\x07what")
            await socket.send_str("text")
            await socket.send_bytes(b"\x02\x01")
            await Screen(socket).type(f"touch done-not; sleep {mark}\n")
            await eventually(lambda: alive(mark), pause=0.05)
        assert await gone(mark)
        async with session.ws_connect(url) as socket:
            await Screen(socket).type("touch done\n")
            await host.end(task)
    assert task.state == "completed"


# -- chain of trust


async def test_a_signed_certificate(host, tmp_path):
    """The certificate lists each artifact's SHA-256 and the task as it was defined, says where it ran, and is signed by the worker's key."""
    script = f"mkdir d; printf one > d/one; echo said; printf '{json.dumps({'taskId': 'x', 'environment': {'os': 'mine', 'region': 'x'}, 'more': [1]})}' > chain-of-trust-additional-data.json"
    body = shell(script, features={"chainOfTrust": True}, artifacts=[{"type": "directory", "path": "d", "name": "public"}])
    task = await host.do(body)
    assert task.state == "completed", task.log
    told = json.loads(task.body("public/chain-of-trust.json"))
    assert told["artifacts"]["public/one"] == {"sha256": hashlib.sha256(b"one").hexdigest()}
    assert told["artifacts"]["public/logs/certified.log"] == {"sha256": hashlib.sha256(task.body("public/logs/certified.log")).hexdigest()}
    assert b"said" in task.body("public/logs/certified.log")
    assert (told["chainOfTrustVersion"], told["taskId"], told["runId"], told["workerGroup"], told["workerId"]) == (1, task.id, 0, "local", "worker")
    assert told["task"] == task.definition
    assert told["environment"]["os"] == "mine"
    assert (told["environment"]["region"], told["environment"]["instanceId"], told["more"]) == ("", "worker", [1])
    public = (tmp_path / "chain-of-trust.pub").read_text().strip()
    signature = task.body("public/chain-of-trust.json.sig")
    assert certificates.verified([public], task.body("public/chain-of-trust.json"), signature)
    assert not certificates.verified([public], task.body("public/chain-of-trust.json") + b" ", signature)
    assert len(base64.b64decode(public)) == 32
    task = await host.do(shell("exit 1", features={"chainOfTrust": True}))
    assert (task.state, "public/chain-of-trust.json.sig" in task.artifacts) == ("failed", True)
    for wrong in ("no JSON", "[]"):
        task = await host.do(shell(f"echo '{wrong}' > chain-of-trust-additional-data.json", features={"chainOfTrust": True}))
        assert (task.state, "chain-of-trust-additional-data.json" in task.log) == ("failed", True)


# -- resource monitor


async def test_the_resource_monitor_tells_what_was_used(host):
    """The log of each command tells of the machine's memory; asked for by name, the monitor leaves an artifact of the task's processes."""
    busy = f"{sys.executable} -c 'import time; x = bytearray(40_000_000); t = time.time()\nwhile time.time() < t + 1.4: pass'"
    task = await host.do(shell(busy, "true", features={"resourceMonitor": True}))
    assert task.state == "completed", task.log
    for name in ("Average Available System Memory", "Average System Memory Used", "Peak System Memory Used", "Total System Memory"):
        assert task.log.count(name) == 1  # the second command was too short to be measured
    told = json.loads(task.body("public/logs/resource-monitor.json"))
    assert told["columns"] == ["ms", "cpuSeconds", "residentBytes", "processes"]
    assert told["peakResidentBytes"] > 40_000_000
    assert told["cpuSeconds"] > 0.2
    assert [row[0] for row in told["samples"]] == sorted(row[0] for row in told["samples"])
    task = await host.do(shell("sleep 0.7"))
    assert "Peak System Memory Used" in task.log
    assert "public/logs/resource-monitor.json" not in task.artifacts
    task = await host.do(shell("sleep 0.7", features={"resourceMonitor": False}))
    assert "Peak System Memory Used" not in task.log


async def test_a_task_is_ended_when_the_machine_has_no_memory_left(tmp_path):
    """When memory has been short for longer than allowed, the task fails, says so, and its caches are purged; without the monitor it goes on."""
    mark = marker()
    limits = Limits(percent=0, available=1 << 62, for_ms=300)
    async with running(tmp_path, "host", memory=limits) as host:
        mounts = [{"cacheName": "c", "directory": "c"}]
        task = await host.do(shell(f"touch c/f; sleep {mark}", mounts=mounts), scopes=["generic-worker:cache:c"])
        assert (task.state, task.reason) == ("failed", "failed")
        assert "Task aborted: The machine has been short of memory" in task.log
        assert "Purging the cache c" in task.log
        assert alive(mark) == []
        task = await host.do(shell("sleep 1.2", features={"resourceMonitor": False}))
        assert task.state == "completed"


# -- groups and users


async def test_running_as_the_workers_user(host):
    """runTaskAsCurrentUser asks for what is so anyway, and needs its scope."""
    task = await host.do(shell("id", features={"runTaskAsCurrentUser": True}), scopes=["generic-worker:run-task-as-current-user:local/*"])
    assert task.state == "completed", task.log
    assert f"uid={os.getuid()}" in task.log


async def test_a_group_of_the_users_needs_a_scope(tmp_path, monkeypatch):
    """A group that the worker's user is in is taken when the task has the scope for it."""
    monkeypatch.setattr(host_worker, "own_groups", lambda: frozenset({"video", "audio"}))
    async with running(tmp_path, "host") as host:
        task = await host.do(shell("true", osGroups=["video"]), scopes=["generic-worker:os-group:local/host/video"])
        assert task.state == "completed", task.log
        task = await host.do(shell("true", osGroups=["video"]))
        assert (task.reason, "generic-worker:os-group:local/host/video" in task.log) == ("malformed-payload", True)
        task = await host.do(shell("true", osGroups=["kvm"]))
        assert (task.reason, "only audio, video can be asked for" in task.log) == ("malformed-payload", True)


# -- mounts


def carried(host, name: str, data: bytes):
    """A task with an artifact."""
    dependency = host.queue.add({}, "none/none")
    dependency.artifacts[name] = {"storageType": "s3"}
    dependency.content[name] = (data, {})
    return dependency


async def test_folders_and_caches_with_content(host):
    """A read-only folder and a new cache are filled from an archive; a cache that is there already is left as it is."""
    dependency = carried(host, "public/a", archive("tar.gz"))
    content = {"taskId": dependency.id, "artifact": "public/a", "sha256": hashlib.sha256(dependency.content["public/a"][0]).hexdigest()}
    mounts = [
        {"cacheName": "filled", "directory": "c/d", "format": "tar.gz", "content": content},
        {"directory": "r", "format": "tar.gz", "content": content},
    ]
    more = {"dependencies": [dependency.id], "scopes": ["generic-worker:cache:filled"]}
    task = await host.do(shell("c/d/bin/tool; r/bin/tool; rm c/d/bin/tool; rm -r r; echo kept > c/d/f", mounts=mounts), **more)
    assert task.state == "completed", task.log
    assert task.log.count("tool ran") == 2
    task = await host.do(shell("ls c/d/bin | wc -l; cat c/d/f; r/bin/tool", mounts=mounts), **more)
    assert (task.state, "\n0\n" in task.log, "kept" in task.log, "tool ran" in task.log) == ("completed", True, True, True)


async def test_mounts_at_absolute_paths(host, tmp_path):
    """Files and caches can be mounted outside of the task's folder; a cache is taken away again after, also when it is purged."""
    place = tmp_path / "else where"
    mounts = [{"file": str(place / "f"), "content": {"raw": "x"}}, {"cacheName": "abs", "directory": str(place / "c")}]
    more = {"scopes": ["generic-worker:cache:abs"]}
    task = await host.do(shell(f"cat '{place}/f'; echo mine > '{place}/c/g'", mounts=mounts), **more)
    assert task.state == "completed", task.log
    assert not (place / "c").exists()
    task = await host.do(shell(f"cat '{place}/c/g'; exit 3", mounts=mounts, onExitStatus={"purgeCaches": [3]}), **more)
    assert "\nmine\n" in task.log
    assert not (place / "c").exists()
    task = await host.do(shell(f"ls '{place}/c' | wc -l", mounts=mounts), **more)
    assert "\n0\n" in task.log


@pytest.mark.parametrize("spoil", ["rm -r c", "mv c d; ln -s d c", "rm -r c; echo > c"])
async def test_a_cache_that_the_task_has_spoiled(host, spoil):
    """A cache that is no folder any more after the task fails it, and the next task has an empty one; other caches are kept."""
    mounts = [{"cacheName": "c", "directory": "c"}, {"cacheName": "other", "directory": "o"}]
    more = {"scopes": ["generic-worker:cache:*"]}
    task = await host.do(shell(f"{spoil}; echo kept > o/f", mounts=mounts), **more)
    assert (task.state, task.reason) == ("failed", "failed")
    assert "The cache c could not be kept" in task.log
    task = await host.do(shell("ls c | wc -l; cat o/f", mounts=mounts), **more)
    assert (task.state, "\n0\n" in task.log, "\nkept\n" in task.log) == ("completed", True, True)


async def test_mounts_in_each_others_way(host):
    """A cache is not mounted over files, nor a file over a folder; the cache that was there is kept."""
    scopes = {"scopes": ["generic-worker:cache:c"]}
    mount = {"cacheName": "c", "directory": "d"}
    await host.do(shell("echo kept > d/f", mounts=[mount]), **scopes)
    task = await host.do(shell("true", mounts=[{"file": "d/x", "content": {"raw": ""}}, mount]), **scopes)
    assert (task.state, "d is not empty" in task.log) == ("failed", True)
    task = await host.do(shell("true", mounts=[mount, {"file": "d", "content": {"raw": ""}}]), **scopes)
    assert (task.state, "d is a directory already" in task.log) == ("failed", True)
    task = await host.do(shell("cat d/f", mounts=[mount]), **scopes)
    assert "\nkept\n" in task.log


async def test_what_mounts_lack(host):
    """Without index entry, artifact, or with base64 that is none, the task ends with what is wrong in its log."""
    dependency = carried(host, "a", b"x")
    for content, state, says in (
        ({"namespace": "no.such", "artifact": "a"}, "failed", "The index has nothing for no.such"),
        ({"taskId": dependency.id, "artifact": "absent"}, "failed", "The artifact absent of task"),
        ({"base64": "AAAAA="}, "exception", "cannot be decoded"),
        ({"url": "no url"}, "exception", "payload/mounts"),
        ({"taskId": dependency.id, "artifact": "a", "sha256": "0" * 64}, "failed", "but the payload demands"),
    ):
        task = await host.do(shell("true", mounts=[{"file": "f", "content": content}]), dependencies=[dependency.id])
        assert (task.state, says in task.log) == (state, True), task.log


async def test_an_artifact_is_fetched_once_and_checked_each_time(host):
    """What was fetched is kept for later tasks; another SHA-256 than the kept one has it fetched again, for a task that demands it."""
    dependency = carried(host, "a", b"old")
    mount = {"file": "f", "content": {"url": f"{host.queue.root_url}/get/{dependency.id}/a"}}
    first = await host.do(shell("cat f", mounts=[mount]))
    assert "Fetched 3 bytes" in first.log
    dependency.content["a"] = (b"new", {})
    assert "as fetched before" in (await host.do(shell("cat f", mounts=[mount]))).log
    mount["content"]["sha256"] = hashlib.sha256(b"new").hexdigest()
    task = await host.do(shell("cat f", mounts=[mount]))
    assert ("fetching it again" in task.log, "\nnew" in task.log, task.state) == (True, True, "completed")


# -- names and times


async def test_artifact_expiry_must_fit(host):
    """An artifact may not expire before the deadline or after the task."""
    for expires, says in (("2020-01-01T00:00:00.000Z", "before the task's deadline"), ("2999-01-01T00:00:00.000Z", "after the task expires")):
        task = await host.do(shell("true", artifacts=[{"type": "file", "path": "x", "expires": expires}]))
        assert (task.reason, says in task.log) == ("malformed-payload", True)


async def test_artifacts_by_absolute_path_and_reserved_names(host, tmp_path):
    """An artifact may lie anywhere; one that has the name of a log is passed over with a word in the log."""
    (tmp_path / "far").write_text("far")
    artifacts = [{"type": "file", "path": str(tmp_path / "far"), "name": "public/far"}, {"type": "directory", "path": "d", "name": "public/logs"}]
    task = await host.do(shell("mkdir d; echo no > d/live_backing.log; echo yes > d/own", artifacts=artifacts))
    assert task.state == "completed", task.log
    assert (task.body("public/far"), task.body("public/logs/own")) == (b"far", b"yes\n")
    assert "public/logs/live_backing.log of the payload is not uploaded" in task.log


async def test_the_deadline_ends_a_task(host):
    """A run that the queue has resolved for its deadline stops within moments."""
    mark = marker()
    task = host.add(shell(f"sleep {mark}"))
    await task.started.wait()
    host.queue.resolve(task, "exception", "deadline-exceeded")
    assert await gone(mark)
    await eventually(lambda: "public/logs/live_backing.log" in task.content)
    assert "passed its deadline" in task.log


async def test_nothing_is_left(host, tmp_path):
    """After tasks with every feature, no folder, process or claim is left."""
    mark = marker()
    await asyncio.gather(
        host.do(shell(f"setsid sleep {mark} &", features={"chainOfTrust": True, "interactive": True, "taskclusterProxy": True, "resourceMonitor": True})),
        host.do(shell("exit 1", features={"interactive": True})),
        host.do(shell("true", artifacts=[{"type": "file", "path": "absent"}])),
    )
    assert alive(mark) == []
    assert await emptied(tmp_path / "runs")
    assert await emptied(tmp_path / "claims")
