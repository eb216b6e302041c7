"""The front door before several processes: whose turn it is, what is asked again, and what is handed on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import socket

import aiohttp
import pytest
from aiohttp import web

from tcbox import config
from tcbox.box import leading, replicas
from tcbox.config.serve import Serve
from tests.support.waiting import eventually


@contextlib.contextmanager
def silent():
    """The URL of a host that takes no connection and refuses none, as one that is cut off: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class Answering:
    """A process that answers as it is told to, and remembers what it was asked."""

    def __init__(self, name):
        self.name, self.asked, self.up = name, [], True
        self.breaks = False
        self.more = asyncio.Event()
        self.left = 0

    async def start(self, port=0):
        self.runner = web.ServerRunner(web.Server(self.handle, handler_cancellation=True))
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", port)
        await site.start()
        self.port = self.runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def handle(self, request):
        if request.path == "/__lbheartbeat__":
            return web.json_response({}, status=200 if self.up else 503)
        body = b"".join([chunk async for chunk in request.content.iter_any()])
        self.asked.append((request.method, request.raw_path, body, dict(request.headers)))
        if self.breaks:
            request.transport.abort()
            await asyncio.sleep(1)
        if "/claim-work/" in request.path:
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                self.left += 1
                raise
        if request.path.startswith("/events"):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
            await self.more.wait()
            await response.write(b"data: 2\n\n")
            return response
        status = int(request.headers.get("X-Status", 200))
        return web.Response(status=status, body=b"" if status == 204 else self.name.encode(), headers={"X-Own": self.name, "Content-Type": "text/plain"})

    async def stop(self):
        await self.runner.cleanup()


@pytest.fixture
async def two():
    made = [await Answering(name).start() for name in "ab"]
    yield made
    for each in made:
        await each.stop()


@pytest.fixture
async def front(two):
    urls = tuple(each.url for each in two)
    settings = config.load(None, {"port": 0}, {"HOME": "/"})
    settings = dataclasses.replace(settings, serve=Serve(replicas={"queue": urls, "web-server": urls}, notice_seconds=0.0))
    made = leading.Leading(settings)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def ask(front):
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def ask(verb="GET", path="/api/queue/v1/ping", **given):
            async with session.request(verb, f"http://127.0.0.1:{front.port}{path}", **given) as reply:
                return reply.status, (await reply.read()).decode(), reply.headers

        yield ask


async def test_in_turn(ask, two):
    """Requests go to all processes in turn, with path, query, body and signature as they were sent, and to whom they were for."""
    names = [(await ask("PUT", "/api/queue/v1/task/a%2Fb?x=%20", data=b"{}", headers={"Authorization": "Hawk x", "Host": "tc.example"}))[1] for _ in range(4)]
    assert sorted(names) == ["a", "a", "b", "b"]
    verb, path, body, headers = two[0].asked[0]
    assert (verb, path, body) == ("PUT", "/api/queue/v1/task/a%2Fb?x=%20", b"{}")
    assert (headers["Host"], headers["Authorization"], headers["X-Forwarded-For"]) == ("tc.example", "Hawk x", "127.0.0.1")


async def test_a_bare_post_stays_bare(front, two):
    """A request without body or type gets none on its way, since signatures cover these."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"POST /api/queue/v1/task/x/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()
    (asked,) = [*two[0].asked, *two[1].asked]
    assert "Content-Type" not in asked[3] and asked[2] == b""


async def test_a_process_that_leaves_gets_nothing_more(ask, two, front):
    """One that says that it is not ready is passed over, until it is ready again."""
    two[0].up = False
    await eventually(lambda: not front._services["queue"].all[0].up)
    assert {(await ask())[1] for _ in range(6)} == {"b"}
    two[0].up = True
    await eventually(lambda: front._services["queue"].all[0].up)
    assert {(await ask())[1] for _ in range(6)} == {"a", "b"}


async def test_a_process_that_is_gone_is_passed_over(ask, two):
    """What nobody listens for goes to another process at once, whatever its verb."""
    await two[0].stop()
    for verb in ("GET", "POST", "PUT"):
        assert [(await ask(verb, data=b"{}" if verb != "GET" else None))[:2] for _ in range(2)] == [(200, "b")] * 2


async def test_what_breaks_off_is_asked_again_only_where_that_does_no_harm(ask, two):
    """When a process goes away with a request, a PUT goes to another; for a POST the caller is told to try again."""
    two[0].breaks = True
    assert [(await ask("PUT", data=b"{}"))[:2] for _ in range(2)] == [(200, "b")] * 2
    answers = [await ask("POST", data=b"{}") for _ in range(2)]
    assert sorted(status for status, *_ in answers) == [200, 503]
    refused = next(answer for answer in answers if answer[0] == 503)
    assert json.loads(refused[1])["code"] == "ServiceUnavailable" and refused[2]["Retry-After"]
    assert sum(len(each.asked) for each in two if each is two[1]) == 3, "a POST was sent twice"


async def test_whoever_goes_away_is_not_waited_for(front, two):
    """When a client goes away, the process that has its request sees it go, so that a worker that has ended is given no task."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"POST /api/queue/v1/claim-work/a%2Fb HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    await eventually(lambda: two[0].asked or two[1].asked)
    assert (two[0].left, two[1].left) == (0, 0)
    writer.close()
    await eventually(lambda: two[0].left + two[1].left == 1)
    assert reader.at_eof() or not await reader.read()


async def test_nobody_is_there(ask, two):
    """Without any process the answer is 503 with Retry-After; for a service that is not led to, 404."""
    for each in two:
        await each.stop()
    status, body, headers = await ask()
    assert (status, headers["Retry-After"]) == (503, "5") and "queue" in json.loads(body)["message"]
    status, body, _ = await ask(path="/api/secrets/v1/ping")
    assert status == 404 and "serve.replicas" in json.loads(body)["message"]


async def test_status_and_headers_come_through(ask):
    """An answer keeps its status and headers, also one without a body, and one to HEAD."""
    for status in (204, 303, 404, 500):
        got = await ask(headers={"X-Status": str(status)}, allow_redirects=False)
        assert got[0] == status and got[2]["X-Own"] in "ab"
    status, body, headers = await ask("HEAD")
    assert (status, body, headers["Content-Length"]) == (200, "", "1")


async def test_a_stream_is_handed_on_as_it_comes(front, two):
    """What a process sends piece by piece arrives piece by piece."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{front.port}/events") as reply:
        assert await reply.content.readany() == b"data: 1\n\n"
        for each in two:
            each.more.set()
        assert await reply.content.readany() == b"data: 2\n\n"


async def test_a_large_body_arrives_whole(ask, two):
    """A body just below the limit arrives as it was sent."""
    body = bytes(range(256)) * (39 * 1024)
    assert (await ask("PUT", data=io.BytesIO(body)))[0] == 200
    (asked,) = [*two[0].asked, *two[1].asked]
    assert asked[2] == body


async def test_a_body_that_is_too_large(ask, two):
    """A body of more than 10 MiB is refused here, and reaches no process."""
    status, body, _ = await ask("POST", data=io.BytesIO(b"x" * (10 * 2**20 + 1)))
    assert (status, json.loads(body)["code"]) == (413, "InputTooLarge")
    assert not two[0].asked + two[1].asked


async def test_it_says_that_it_leaves(ask, front):
    """Its own readiness and metrics are its own; when it is asked to end it says so first."""
    assert (await ask(path="/__lbheartbeat__"))[0] == 200
    await ask()
    assert 'tcbox_front_requests_total{service="queue",status="200"} 1' in (await ask(path="/metrics"))[1]
    assert (await ask(path="/metrics", headers={"X-Forwarded-For": "192.0.2.1"}))[0] == 404
    front.leaving = True
    assert (await ask(path="/__lbheartbeat__"))[0] == 503


def test_turns():
    """Those that are up come first, in turn; the others last, for they may be up by now."""
    some = replicas.Replicas(["http://a", "http://b/", "http://c"])
    some.all[1].up = False
    first = [each.url for each in some.turn()]
    second = [each.url for each in some.turn()]
    assert first[-1] == second[-1] == "http://b"
    assert sorted(first) == sorted(second)
    assert first[0] != second[0]


async def test_a_host_that_takes_no_connection_has_got_nothing(two, monkeypatch):
    """A request, a POST too, goes to another process when the one whose turn it was is at a host that is silent."""
    monkeypatch.setattr(leading, "_CONNECT", 1.0)
    settings = config.load(None, {"port": 0}, {"HOME": "/"})
    with silent() as gone:
        made = leading.Leading(dataclasses.replace(settings, serve=Serve(replicas={"queue": (gone, two[0].url)}, notice_seconds=0.0)))
        await made.start()
        try:
            async with aiohttp.ClientSession() as session:
                for _ in range(3):
                    async with session.post(f"http://127.0.0.1:{made.port}/api/queue/v1/task", data=b"{}") as reply:
                        assert (reply.status, reply.headers.get("X-Own")) == (200, "a")
        finally:
            await made.stop()
    assert len(two[0].asked) == 3


async def test_nobody_waits_for_a_body_that_goes_nowhere(two):
    """With blobs in S3 what comes to /blobs/ is refused at once, though its body has not come."""
    settings = config.load(None, {"port": 0, "blobs": "s3://b/p"}, {"HOME": "/"})
    made = leading.Leading(dataclasses.replace(settings, serve=Serve(replicas={"queue": (two[0].url,)}, notice_seconds=0.0)))
    await made.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        writer.write(b"PUT /blobs/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n")
        assert b" 404 " in await asyncio.wait_for(reader.readline(), 10)
        writer.write(b"12345")
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
    finally:
        await made.stop()
