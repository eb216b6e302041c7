"""A run can be cut short, limited in time, and its log is whole lines."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tcbox import clock as clocks
from tcbox.client.http import Credentials, Http
from tcbox.workers import environment, outcomes
from tcbox.workers.claims import Claims
from tcbox.workers.livelog import LiveLogs
from tcbox.workers.outcomes import COMPLETED, RunEnded
from tcbox.workers.proxy import Proxy, target_url
from tcbox.workers.run import scopes
from tcbox.workers.runs import Run
from tcbox.workers.settings import WorkerSettings
from tcbox.workers.tasklog import TaskLog
from tests.support.fake_queue import FakeQueue


def claim(**more):
    return {
        "task": {"taskQueueId": "a/b", "expires": "2027-01-01T00:00:00.000Z", "payload": {}, "scopes": []},
        "status": {"taskId": "fN1SbArXTPSVFNUvaOlinQ", "taskGroupId": "fN1SbArXTPSVFNUvaOlinQ"}, "runId": 0,
        "takenUntil": "2027-01-01T00:00:00.000Z", "credentials": {"clientId": "c", "accessToken": "t"}, **more,
    }  # fmt: skip


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def run(session):
    clock = clocks.VirtualClock()
    return Run(claim(), Http("http://localhost:1", None, session=session, clock=clock, retries=0), clock)


async def test_work_is_cancelled_when_the_run_is_cut_short(run):
    """Work that is cut short has cleaned up before the end is told; the first reason stands."""
    cleaned = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    asyncio.get_running_loop().call_later(0.01, run.abort, outcomes.shutdown())
    asyncio.get_running_loop().call_later(0.02, run.abort, outcomes.lost("x"))
    with pytest.raises(RunEnded) as caught:
        await run.unless_aborted(work())
    assert caught.value.outcome.reason == "worker-shutdown"
    assert cleaned == [True]


async def test_work_that_ends_is_its_own_result(run):
    """Work that is done gives its result, its own end included."""

    async def fine():
        return 5

    async def bad():
        raise outcomes.failed("so")

    assert await run.unless_aborted(fine()) == 5
    with pytest.raises(RunEnded, match="so"):
        await run.unless_aborted(bad())


async def test_max_run_time_is_the_clocks(run):
    """The time limit runs on the clock that was handed in."""
    async with run.limited(3600):
        await asyncio.sleep(0.01)
        assert run.aborted is None
        run.clock.advance(3600 * clocks.SECOND)
        await asyncio.sleep(0.01)
        assert run.aborted is not None
        assert run.aborted.state == "failed"


def test_log_lines(tmp_path):
    """The worker's lines begin at a line's start and carry a mark; nothing is written after the end."""
    log = TaskLog(tmp_path / "log", clocks.SystemClock())
    log.say("a\nb")
    log.write(b"no newline")
    log.caution("c")
    log.fault("d")
    log.finish()
    log.finish()
    log.say("never")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split("] ")[-1] for line in lines] == ["a", "b", "no newline", "c", "d"]
    assert lines[0].startswith("[taskcluster 20")
    assert lines[3].startswith("[taskcluster:warn 20")
    assert lines[4] == "[taskcluster:error] d"


async def test_live_logs(tmp_path, session):
    """A log is shown under a secret path only while it is added; a reader that has begun gets all to the end."""
    logs, log = LiveLogs(), TaskLog(tmp_path / "log", clocks.SystemClock())
    url = await logs.add(log)
    log.write(b"one\n")
    try:
        async with session.get(url) as reply:
            assert await reply.content.readline() == b"one\n"
            logs.remove(log)
            log.write(b"two\n")
            log.finish()
            assert await reply.content.read() == b"two\n"
        for wrong in (url, url.replace("live.log", "x"), url.rsplit("/", 2)[0] + "/guess/live.log"):
            async with session.get(wrong) as reply:
                assert reply.status == 404
    finally:
        await logs.close()


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/api/queue/v1/task/x?y=1", "http://r/api/queue/v1/task/x?y=1"), ("/queue/v1/task/a%2Fb", "http://r/api/queue/v1/task/a%2Fb"),
        ("/api/auth/v1/ping", "http://r/api/auth/v1/ping"), ("/example.com/v1/x", "https://example.com/v1/x"),
    ],
)  # fmt: skip
def test_proxy_paths(target, url):
    """Paths go where tasks expect, percent-encoding untouched."""
    assert target_url("http://r", target) == url


@pytest.mark.parametrize("target", ["/", "/api", "/api/queue", "/%00/x"])
def test_proxy_refuses(target):
    """Paths that lead nowhere are refused."""
    with pytest.raises(ValueError, match="call /api/"):
        target_url("http://r", target)


async def test_proxy_signs_and_changes_credentials(session):
    """The proxy signs with the run's credentials, or with those it is given; it signs URLs too."""
    from aiohttp import web

    seen = []

    async def answer(request):
        seen.append(
            (request.raw_path, request.headers["Authorization"].partition('"')[2].partition('"')[0], await request.read(), request.headers.get("X-Mine"))
        )
        return web.json_response({"a": 1}, status=418 if "teapot" in request.path else 200)

    server = web.ServerRunner(web.Server(answer))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    root = "http://127.0.0.1:%d" % server.addresses[0][1]
    clock = clocks.SystemClock()
    proxy = Proxy(Run(claim(), Http(root, None, session=session, clock=clock), clock), session)
    base = f"http://127.0.0.1:{await proxy.listen('127.0.0.1')}"
    try:
        async with session.post(base + "/queue/v1/x%2Fy?q=1", json={"b": 2}, headers={"X-Mine": "yes"}) as reply:
            assert (reply.status, await reply.json()) == (200, {"a": 1})
        async with session.put(base + "/credentials", json={"clientId": "other", "accessToken": "t"}) as reply:
            assert reply.status == 200
        async with session.get(base + "/api/queue/v1/teapot") as reply:
            assert reply.status == 418
        async with session.post(base + "/bewit", data=root + "/api/queue/v1/x", allow_redirects=False) as reply:
            assert reply.status == 303
            assert reply.headers["Location"].startswith(root + "/api/queue/v1/x?bewit=")
        async with session.get(base + "/credentials") as reply:
            assert reply.status == 405
    finally:
        await proxy.close()
        await server.cleanup()
    assert seen == [("/api/queue/v1/x%2Fy?q=1", "c", b'{"b": 2}', "yes"), ("/api/queue/v1/teapot", "other", b"", None)]


def test_environment_withholds_credentials():
    """A task as a process does not inherit the worker's credentials."""
    own = environment.inherited({"PATH": "p", "TASKCLUSTER_ACCESS_TOKEN": "x", "TASKCLUSTER_CLIENT_ID": "x", "TCBOX_KEY": "x"})
    assert own == {"PATH": "p"}


def test_scopes(tmp_path):
    """A worker's scopes cover its own queue and its patterns, and no more."""
    settings = WorkerSettings(kind="host", task_queue_id="local/host", worker_id="w", folder=tmp_path, serve=("proj-*/x",))
    assert {"queue:worker-id:local/w", "queue:claim-work:local/host", "queue:claim-work:proj-*", "queue:list-task-queues"} <= set(scopes(settings))
    assert "queue:claim-work:*" not in scopes(settings)


class Slow:
    """Runs nothing, slowly."""

    def __init__(self):
        self.most = self.now = 0

    async def ready(self):
        pass

    async def perform(self, run):
        self.now += 1
        self.most = max(self.most, self.now)
        await run.unless_aborted(asyncio.sleep(0.1))
        self.now -= 1
        return COMPLETED


async def test_a_claim_loop_outlives_a_queue_that_is_away(tmp_path, session):
    """While the instance does not answer the worker tries again, and works on when it is back."""
    queue = FakeQueue()
    server = await queue.start()
    clock = clocks.SystemClock()
    settings = WorkerSettings(kind="host", task_queue_id="a/b", folder=tmp_path, capacity=2)
    stop, slow = asyncio.Event(), Slow()
    port = int(queue.root_url.rsplit(":", 1)[1])
    http = Http(queue.root_url, Credentials("c", "t"), session=session, clock=clock, retries=0)
    serving = asyncio.create_task(Claims(settings, http, clock, slow).serve(stop))
    first = [queue.add({}, "a/b") for _ in range(5)]
    for task in first:
        await asyncio.wait_for(task.ended.wait(), 15)
    assert slow.most == 2
    await server.cleanup()
    await asyncio.sleep(0.2)
    again = FakeQueue()
    task = again.add({}, "a/b")
    server = await again.start(port)
    await asyncio.wait_for(task.ended.wait(), 10)
    stop.set()
    await asyncio.wait_for(serving, 15)
    await server.cleanup()
