"""The host worker where things fail: full disks, cut connections, crowds, and processes that do not want to end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tcbox.workers import artifacts, downloads
from tests.acceptance.test_host_worker import alive, emptied, gone, host, marker, shell  # noqa: F401
from tests.support.fake_queue import FakeQueue
from tests.support.workers import running


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 16 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", place], check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


class Server:
    """Serves one file, badly.

    Attributes:
        cuts: how many requests are cut off in the middle, with and without a length announced by turns.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.cuts, self.asked, self.url = data, 0, 0, ""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.cuts == 0:
            return web.Response(body=self.data)
        self.cuts -= 1
        reply = web.StreamResponse()
        if self.cuts % 2:
            reply.content_length = len(self.data)
        await reply.prepare(request)
        await reply.write(self.data[: len(self.data) // 2])
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return reply


@contextlib.asynccontextmanager
async def serving(data: bytes):
    server = Server(data)
    app = web.Application()
    app.router.add_get("/{name}", server._answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = "http://127.0.0.1:%d" % runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


async def test_a_download_that_breaks_is_tried_again(host, tmp_path, monkeypatch):
    """A download that breaks in the middle is begun anew, and is whole in the end; one that always breaks fails the task and leaves nothing."""
    async with serving(os.urandom(300_000)) as server:
        server.cuts = 3
        content = {"url": f"{server.url}/f", "sha256": hashlib.sha256(server.data).hexdigest()}
        task = await host.do(shell("sha256sum f", mounts=[{"file": "f", "content": content}]))
        assert (task.state, content["sha256"] in task.log, server.asked) == ("completed", True, 4), task.log
        monkeypatch.setattr(downloads, "_TRIES", 2)
        server.cuts = 2
        task = await host.do(shell("true", mounts=[{"file": "f", "content": {"url": f"{server.url}/g"}}]))
        assert (task.state, "Cannot fetch" in task.log) == ("failed", True)
    assert not list((tmp_path / "downloads").glob("*.part"))


async def test_an_upload_that_is_cut_off_is_tried_again(tmp_path, monkeypatch):
    """An upload that is cut off is begun anew, large files too, and is whole in the end; one that never gets through is said to be so."""
    cut = {"left": 4}
    put = FakeQueue._put

    async def flaky(self: FakeQueue, request: web.Request) -> web.StreamResponse:
        if request.match_info["name"].startswith("public/out") and cut["left"]:
            cut["left"] -= 1
            await request.content.read(1000)
            assert request.transport is not None
            request.transport.abort()
        return await put(self, request)

    monkeypatch.setattr(FakeQueue, "_put", flaky)
    async with running(tmp_path, "host") as host:
        files = [
            {"type": "file", "path": "big", "name": "public/out/packed", "contentEncoding": "gzip"},
            {"type": "file", "path": "big", "name": "public/out/plain", "contentEncoding": "identity"},
            {"type": "file", "path": "small", "name": "public/out/small"},
        ]
        task = await host.do(shell("head -c 2000000 /dev/urandom > big; echo x > small; sha256sum big", artifacts=files))
        assert (task.state, cut["left"]) == ("completed", 0), task.log
        for name in ("packed", "plain"):
            assert hashlib.sha256(task.body(f"public/out/{name}")).hexdigest() in task.log
        assert task.body("public/out/small") == b"x\n"
        cut["left"] = 100
        monkeypatch.setattr(artifacts, "_TRIES", 2)
        task = await host.do(shell("echo x > small", artifacts=files[2:]))
        assert (task.state, task.reason, "could not be uploaded" in task.log) == ("exception", "resource-unavailable", True)


async def test_a_full_disk(small_disk):
    """Tasks that fill the disk end with their logs kept, and the next ones run: by files, by their own log, by what they mount."""
    async with serving(bytes(40_000_000)) as server, running(small_disk, "host", free_disk_mb=1) as host:
        task = await host.do(shell("cat /dev/zero > big; echo the end is $?", artifacts=[{"type": "file", "path": "big", "name": "public/big"}]))
        assert task.state == "completed"
        assert len(task.body("public/big")) > 10_000_000
        task = await host.do(shell("yes | head -c 30000000; sleep 0.1"))
        assert task.state in ("completed", "failed")
        assert len(task.body("public/logs/live_backing.log")) > 10_000_000
        task = await host.do(shell("true", mounts=[{"file": "f", "content": {"url": f"{server.url}/f"}}]))
        assert (task.state, "o space left on device" in task.log) == ("failed", True), (task.state, task.log[-500:])
        task = await host.do(shell("cat /dev/zero > big", features={"chainOfTrust": True, "resourceMonitor": True}))
        assert task.state in ("failed", "exception")
        task = await host.do(shell("echo fine"))
        assert (task.state, "\nfine\n" in task.log) == ("completed", True)
        assert await emptied(small_disk / "runs")
        assert not list((small_disk / "downloads").iterdir())


async def test_a_task_that_comes_while_another_fills_the_disk(small_disk):
    """A task that begins beside one which has filled the disk ends one way or another, and the worker lives."""
    async with running(small_disk, "host", free_disk_mb=0, capacity=2) as host:
        filling = host.add(shell("cat /dev/zero > big; sleep 3"))
        await filling.started.wait()
        await asyncio.sleep(0.7)
        beside = [await host.do(shell("echo x > f")) for _ in range(3)]
        assert {task.state for task in beside} <= {"failed", "exception", "completed"}
        assert (await host.end(filling)).state == "completed"
        assert await emptied(small_disk / "runs")
        assert (await host.do(shell("echo x > f"))).state == "completed"
    assert await emptied(small_disk / "claims")


async def test_no_task_is_claimed_without_room(small_disk):
    """While there is no room no task is claimed; downloads and unused caches make room first, then the worker waits for somebody to."""
    async with serving(bytes(3_000_000)) as server, running(small_disk, "host", free_disk_mb=9) as host:
        mounts = [{"cacheName": "c", "directory": "c"}, {"file": "f", "content": {"url": f"{server.url}/f"}}]
        task = await host.do(shell("head -c 3000000 /dev/zero > c/f", mounts=mounts), scopes=["generic-worker:cache:c"])
        assert task.state == "completed", task.log
        (small_disk / "others").write_bytes(bytes(6_500_000))
        task = await host.do(shell("true"))
        task = await host.do(shell("true"))
        assert task.state == "completed"
        assert not list((small_disk / "downloads").iterdir())
        (small_disk / "others").write_bytes(bytes(12_000_000))
        first = host.add(shell("true"))  # of a claim that was waiting already, perhaps
        await asyncio.sleep(1)
        second = host.add(shell("true"))
        await asyncio.sleep(1)
        assert second.state == "pending"
        (small_disk / "others").unlink()
        for task in (first, second):
            await host.end(task)
            assert task.state == "completed"


async def test_fifty_tasks_at_once(tmp_path):
    """Fifty tasks at once end well, each with its own log and artifact, and nothing of them is left."""
    async with running(tmp_path, "host", capacity=50) as host:
        script = "echo mine $TASK_ID; echo $TASK_ID > f; sleep 1; sha256sum f >/dev/null"
        tasks = [host.add(shell(script, artifacts=[{"type": "file", "path": "f"}])) for _ in range(50)]
        await asyncio.gather(*(host.end(task, 120) for task in tasks))
        assert {task.state for task in tasks} == {"completed"}
        assert all(f"\nmine {task.id}\n" in task.log and task.body("f").decode().strip() == task.id for task in tasks)
        assert await emptied(tmp_path / "runs")


STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
for _ in range(int(sys.argv[1])):
    if os.fork():
        os._exit(0) if os.getppid() == 1 else None
        break
    os.setsid()
while True:
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    time.sleep(0.05)
"""


@pytest.mark.parametrize("how", ["time", "cancel", "end"])
async def test_processes_that_do_not_want_to_end(host, tmp_path, how):
    """Processes that ignore signals, leave their session and fork again and again end with their task, however it ends."""
    mark = marker()
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    start = f"python3 {tmp_path}/stubborn.py 3 {mark}"
    if how == "end":
        task = await host.do(shell(f"setsid {start} & sleep 0.7"))
        assert task.state == "completed"
    elif how == "time":
        task = await host.do(shell(start, maxRunTime=1))
        assert task.state == "failed"
    else:
        task = host.add(shell(start))
        async with asyncio.timeout(20):
            while len(alive(mark)) < 5:
                await asyncio.sleep(0.05)
        host.queue.resolve(task, "exception", "canceled")
    assert await gone(mark)


async def test_a_command_that_closes_its_output_or_floods_it(host):
    """A command without output runs on; one that writes much in little time has all of it in its log."""
    task = await host.do(shell("exec >&- 2>&-; sleep 0.3", "seq 200000"))
    assert task.state == "completed"
    assert "\n1\n2\n" in task.log
    assert "\n199999\n200000\n" in task.log
