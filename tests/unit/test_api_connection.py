"""The front over real sockets: how requests arrive, and what goes back."""

import asyncio
import contextlib
import gzip
import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import demo

HOST = "Host: tc.example.com\r\n"
BODY = b'{"size": 3, "extra": {"a": [1.0, 12345678901234567890123]}}'
JSON = "Content-Type: application/json\r\n"


def request(verb, path, body=b"", extra="", version="1.1"):
    length = f"Content-Length: {len(body)}\r\n" if body or verb in ("POST", "PUT") else ""
    return f"{verb} /api/demo/v1{path} HTTP/{version}\r\n{HOST}{extra}{length}\r\n".encode() + body


def echo(**kwargs):
    return request("POST", "/echo", BODY, JSON, **kwargs)


# a request that only aiohttp's parser reads, so that the same connection goes on there
ELSEWHERE = f"GET /nowhere HTTP/1.1\r\n{HOST}\r\n".encode()
CHUNKED = f"POST /api/demo/v1/echo HTTP/1.1\r\n{HOST}{JSON}Transfer-Encoding: chunked\r\n\r\n".encode() + b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
    10,
    BODY[:10],
    len(BODY) - 10,
    BODY[10:],
)
REQUESTS = {
    "echo": echo(),
    "ping": request("GET", "/ping"),
    "missing": request("GET", "/nothing"),
    "chunked": CHUNKED,
    "elsewhere": ELSEWHERE,
    "public": request("GET", "/public/a%2Fb"),
}
STATUS = {"echo": 200, "ping": 200, "missing": 404, "chunked": 200, "elsewhere": 404, "public": 200}


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_way_to_split_it(name):
    """A request gives the same answer at whatever byte it is split."""
    async with demo.running() as d:
        whole = REQUESTS[name]
        ((status, _, expected),) = await d.raw(whole)
        assert status == STATUS[name]

        async def one(at):
            ((got, _, body),) = await d.raw(whole, split=(at,))
            assert (got, _plain(body)) == (status, _plain(expected)), at

        for start in range(1, len(whole), 24):
            await asyncio.gather(*(one(at) for at in range(start, min(start + 24, len(whole)))))


def _plain(body):
    """The body without its time."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    if isinstance(value, dict) and "requestInfo" in value:
        value["requestInfo"].pop("time")
        value["message"] = value["message"].partition("* time")[0]
    return value


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.lists(st.sampled_from(sorted(REQUESTS)), min_size=1, max_size=6), cuts=st.lists(st.integers(1, 2000), max_size=5))
def test_pipelines_split_anywhere(names, cuts):
    """Pipelined requests, API calls and others mixed and split anywhere, are each answered, in their order."""

    async def main():
        async with demo.running() as d:
            data = b"".join(REQUESTS[name] for name in names)
            got = await d.raw(data, split=tuple(cut % len(data) or 1 for cut in cuts))
            assert [status for status, _, _ in got] == [STATUS[name] for name in names]
            for name, (_, _, body) in zip(names, got, strict=True):
                if name in ("echo", "chunked"):
                    assert b"12345678901234567890123" in body

    asyncio.run(main())


async def test_byte_by_byte():
    """A client that sends single bytes is answered like any other."""
    async with demo.running() as d:
        data = echo()
        ((status, _, body),) = await d.raw(data, split=tuple(range(1, len(data))))
        assert status == 200
        assert json.loads(body)["colour"] == "red"


async def test_many_pipelined_requests_and_a_slow_reader():
    """Hundreds of requests in one piece are all answered, though the client reads only after it has sent all."""
    async with demo.running() as d:
        got = await d.raw(request("GET", "/ping") * 700)
        assert [status for status, _, _ in got] == [200] * 700


async def test_requests_behind_one_that_waits():
    """Requests that come while one is being answered are answered after it."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(request("GET", "/works/x") + echo() + request("GET", "/ping"))
        await d.things.began.wait()
        writer.write(ELSEWHERE + request("GET", "/ping"))
        await asyncio.sleep(0.02)
        d.things.go.set()
        assert [s for s, _, _ in await demo.replies(reader, 5)] == [200, 200, 200, 404, 200]
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(10 * 1024 * 1024, 400), (10 * 1024 * 1024 + 1, 413), (14_000_000, 413)])
async def test_body_sizes(chunked, size, status):
    """A body of 10 MiB is read; a larger one is refused with 413, which a client sees that sends all of it first."""
    async with demo.running() as d:
        filler = b'{"size": 1, "wrong": "' + b"x" * (size - 24) + b'"}'
        assert len(filler) == size
        if chunked:
            parts = [b"%x\r\n%b\r\n" % (len(p), p) for p in (filler[i : i + 1_000_000] for i in range(0, size, 1_000_000))] + [b"0\r\n\r\n"]
            data = f"POST /api/demo/v1/secretly HTTP/1.1\r\n{HOST}{JSON}Transfer-Encoding: chunked\r\n\r\n".encode() + b"".join(parts)
        else:
            data = request("POST", "/secretly", filler, JSON)
        ((got, headers, body),) = await d.raw(data)
        assert got == status
        assert json.loads(body)["code"] == {400: "InputValidationError", 413: "InputTooLarge"}[status]
        if status == 413:
            assert headers["connection"] == "close"


@pytest.mark.parametrize("declared", [11_000_000, 10**17])
async def test_too_large_is_said_at_once(declared):
    """A client that waits for a verdict before it sends a large body gets it, and the connection ends."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(f"PUT /api/demo/v1/things/a HTTP/1.1\r\n{HOST}{JSON}Content-Length: {declared}\r\nExpect: 100-continue\r\n\r\n".encode())
        ((status, headers, _),) = await demo.replies(reader, 1)
        assert (status, headers["connection"]) == (413, "close")
        writer.close()


@pytest.mark.parametrize("lead", [b"", ELSEWHERE])
async def test_expect_100_continue(lead):
    """A client that asks before it sends its body is told to go on, once."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(lead + f"POST /api/demo/v1/echo HTTP/1.1\r\n{HOST}{JSON}Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n".encode())
        await demo.replies(reader, 1 if lead else 0)
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for part in (BODY[:20], BODY[20:]):
            writer.write(part)
            await asyncio.sleep(0.01)
        ((status, _, body),) = await demo.replies(reader, 1)
        assert status == 200
        assert json.loads(body)["size"] == 3
        writer.close()


async def test_head():
    """HEAD gives the headers of GET, its length included, and no body."""
    async with demo.running() as d:
        ((_, got, body),) = await d.raw(request("GET", "/ping"))
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(request("HEAD", "/ping") + request("HEAD", "/nothing"))
        first, second = await demo.replies(reader, 2, bodies=False)
        assert first[0] == 200
        assert first[1]["content-length"] == got["content-length"] == str(len(body))
        assert second[0] == 404
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("lead", [b"", ELSEWHERE])
async def test_cors(lead):
    """Pages of any origin may call: a preflight is answered, and every answer says so."""
    async with demo.running() as d:
        got = await d.raw(lead + request("OPTIONS", "/things/a", extra="Origin: https://x\r\nAccess-Control-Request-Method: PUT\r\n") + request("GET", "/ping"))
        options, ping = got[-2:]
        assert options[0] == 204
        assert "content-length" not in options[1] or lead
        for _, headers, _ in (options, ping):
            assert headers["access-control-allow-origin"] == "*"
            assert "PUT" in headers["access-control-allow-methods"]
            assert "Authorization" in headers["access-control-allow-headers"]
            assert headers["cache-control"] == "no-store no-cache must-revalidate"


@pytest.mark.parametrize(
    "data",
    [
        request("GET", "/ping", extra="Connection: close\r\n"),
        request("GET", "/ping", version="1.0"),
        request("GET", "/ping", extra="connection: Keep-Alive, CLOSE\r\n"),
    ],
)
async def test_the_connection_is_closed_when_asked(data):
    """`Connection: close` and HTTP/1.0 end the connection after the answer."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(data)
        ((status, _, body),) = await demo.replies(reader, 1)
        assert (status, json.loads(body)["alive"]) == (200, True)
        assert await asyncio.wait_for(reader.read(), 15) == b""
        writer.close()


MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bare newlines": b"GET /api/demo/v1/ping HTTP/1.1\nHost: x\n\n",
    "two lengths": f"POST /api/demo/v1/echo HTTP/1.1\r\n{HOST}{JSON}Content-Length: 1\r\nContent-Length: 59\r\n\r\n".encode() + BODY,
    "length and chunked": f"POST /api/demo/v1/echo HTTP/1.1\r\n{HOST}{JSON}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "negative length": f"POST /api/demo/v1/echo HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n".encode(),
    "signed length": f"POST /api/demo/v1/echo HTTP/1.1\r\n{HOST}Content-Length: +5\r\n\r\nabcde".encode(),
    "space before colon": b"GET /api/demo/v1/ping HTTP/1.1\r\nHost : x\r\n\r\n",
    "control in header": f"GET /api/demo/v1/ping HTTP/1.1\r\n{HOST}X-A: a\x00b\r\n\r\n".encode(),
    "lone return": f"GET /api/demo/v1/ping HTTP/1.1\r\n{HOST}X-A: a\rX-B: b\r\n\r\n".encode(),
    "space in target": f"GET /api/demo/v1/ping x HTTP/1.1\r\n{HOST}\r\n".encode(),
    "unknown verb": f"BREW /api/demo/v1/ping HTTP/1.1\r\n{HOST}\r\n".encode(),
    "bad chunk": f"POST /api/demo/v1/echo HTTP/1.1\r\n{HOST}{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n".encode(),
    "no host, no version": b"GET /api/demo/v1/ping\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed(name, caplog):
    """A malformed request is refused with a 4xx, ends its connection, and smuggles nothing behind it."""
    async with demo.running() as d:
        with caplog.at_level(logging.CRITICAL):
            got = await d.raw(MALFORMED[name] + request("GET", "/ping"))
        assert got
        assert 400 <= got[0][0] < 500
        assert all(400 <= status < 500 for status, _, _ in got)
        assert not d.calls


async def test_large_heads():
    """A head of 60 KiB is read, one beyond 64 KiB is refused with 431."""
    async with demo.running() as d:
        ((status, _, _),) = await d.raw(request("GET", "/ping", extra=f"X-Large: {'x' * 60_000}\r\n"))
        assert status == 200
        ((status, headers, body),) = await d.raw(request("GET", "/ping", extra=f"X-Large: {'x' * 200_000}\r\n"))
        assert (status, headers["connection"]) == (431, "close")
        assert "64 KiB" in json.loads(body)["message"]


async def test_compressed_bodies():
    """A body may come compressed with gzip."""
    async with demo.running() as d:
        ((status, _, body),) = await d.raw(request("POST", "/echo", gzip.compress(BODY), JSON + "Content-Encoding: gzip\r\n"))
        assert status == 200
        assert b"12345678901234567890123" in body


async def test_folded_and_repeated_headers_are_the_same_on_both_paths():
    """A caller's address, request id and identity come out alike, whichever parser read the request."""
    async with demo.running() as d:
        plain = request("GET", "/public/x", extra="X-Request-Id: mine-1\r\nAccept: a\r\nAccept: b\r\n")
        short, _, other = await d.raw(plain + ELSEWHERE + plain)
        assert short[2] == other[2]
        assert json.loads(short[2])["ip"] == "127.0.0.1"
        assert short[1]["x-request-id"] == other[1]["x-request-id"] == "mine-1"


@pytest.mark.parametrize("lead", [b"", ELSEWHERE])
@pytest.mark.parametrize("given_id", ["a\tb", "x" * 65, "é", "a b", "<script>", ""])
async def test_request_ids(given_id, lead):
    """A request id that may not stand in a header or log is replaced by one of the server's own."""
    async with demo.running() as d:
        data = f"GET /api/demo/v1/ping HTTP/1.1\r\n{HOST}X-Request-Id: {given_id}\r\n\r\n".encode("latin-1")
        got = await d.raw(lead + data + data)
        first, second = (headers["x-request-id"] for _, headers, _ in got[-2:])
        assert first != second
        assert first.isalnum()


@pytest.mark.parametrize("lead", [b"", ELSEWHERE])
@pytest.mark.parametrize(("path", "ended"), [("/waits/x", "x cancelled"), ("/works/x", "x done"), ("/eagerly/x", "x done")])
async def test_a_client_that_goes_away(path, ended, lead):
    """What a client only waits for is given up when it goes away; other work goes on to its end."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(lead + request("GET", path))
        await asyncio.wait_for(d.things.began.wait(), 15)
        writer.close()
        if "done" in ended:
            await asyncio.sleep(0.05)
            d.things.go.set()
        for _ in range(20 if "cancelled" in ended else 1000):  # it is noticed at once, not when somebody looks
            await d.raw(request("GET", "/ping"))
            if d.things.ended:
                break
        assert d.things.ended == [ended]


async def test_half_closed():
    """A client that closes its side after the request still gets the answer."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(request("GET", "/works/x"))
        writer.write_eof()
        await d.things.began.wait()
        await asyncio.sleep(0.02)
        d.things.go.set()
        assert [s for s, _, _ in await demo.replies(reader, 1)] == [200]
        writer.close()


async def test_an_eager_method_that_waits_goes_on_in_a_task():
    """A coroutine that was started without a task, and waits, goes on in one: time-outs work, others are served meanwhile."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(request("GET", "/eagerly/x"))
        await d.things.began.wait()
        assert (await d.raw(request("GET", "/ping")))[0][0] == 200
        d.things.go.set()
        ((status, _, body),) = await demo.replies(reader, 1)
        assert (status, body) == (200, b'{"name":"x"}')
        writer.close()


async def test_an_authenticator_that_waits():
    """Identity may come from elsewhere: an eager method waits for it as any other does."""
    async with demo.running(waits=True) as d:
        ((status, _, body),) = await d.raw(request("GET", "/public/x"))
        assert (status, json.loads(body)["clientId"]) == (200, "auth-failed:no-auth")


async def test_closing_lets_requests_finish():
    """On closing, idle connections end at once, and what is being answered is answered first."""
    async with demo.running() as d:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", d.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(request("GET", "/works/x"))
        await d.things.began.wait()
        closing = asyncio.create_task(d.front.close(5))
        assert await asyncio.wait_for(idle.read(), 15) == b""
        d.things.go.set()
        ((status, headers, _),) = await demo.replies(reader, 1)
        assert (status, headers["connection"]) == (200, "close")
        await closing
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", d.port)
        for each in (idle_writer, writer):
            each.close()


@pytest.mark.parametrize("name", ["ping", "elsewhere"])
async def test_closing_does_not_wait_for_idle_connections(name):
    """A connection that a client keeps open, on either path, does not hold up the end."""
    async with demo.running() as d:
        reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
        writer.write(REQUESTS[name])
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(d.front.close(30), 15)
        await asyncio.wait_for(reader.read(), 15)
        writer.close()


async def test_slow_and_silent_clients_are_dropped():
    """A client that is silent, sends its head or body too slowly, or does not end a refused body, loses its connection."""
    async with demo.running() as d:
        started = [b"", b"GET /api/demo", echo()[:-5], f"PUT /api/demo/v1/things/a HTTP/1.1\r\n{HOST}Content-Length: 99999999\r\n\r\n".encode()]
        writers = []
        for data in started:
            reader, writer = await asyncio.open_connection("127.0.0.1", d.port)
            writer.write(data)
            writers.append(writer)
        await asyncio.sleep(0.05)
        now = asyncio.get_running_loop().time()
        found = []
        for seconds in (29, 31, 61, 76, 301):
            for connection in list(d.front.connections):
                connection.sweep(now + seconds)
            await asyncio.sleep(0.02)
            found.append(len(d.front.connections))
        assert found == [4, 3, 2, 1, 0]
        for writer in writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
