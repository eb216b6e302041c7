"""Callers: over HTTP against a real front, and within the process."""

import asyncio
import time

import aiohttp
import pytest

from tcbox import clock as clocks
from tcbox import errors
from tcbox.client.http import Credentials, Http
from tcbox.client.local import Local
from tcbox.credentials import Failure, LazyScopes, Success, create
from tcbox.scopes import ScopeSet
from tests.support import demo

CLOCK = clocks.SystemClock()
TESTER = Credentials("tester", demo.TOKEN)


def success(*scopes):
    return Success("hawk", "tester", demo.DISTANT, LazyScopes(ScopeSet(scopes)))


@pytest.fixture(params=["http", "local"])
async def caller(request):
    """Either kind of caller, with the service it calls."""
    async with demo.running() as d, aiohttp.ClientSession() as session:
        if request.param == "http":
            made = Http(d.url, TESTER, session=session, clock=CLOCK, retries=0)
        else:
            made = Local(d.front.services.get, lambda: success("demo:*"))
        made.demo = d
        yield made


async def test_both_kinds_give_the_same(caller):
    """A method gives the same values called over HTTP and within the process: defaults, exact numbers, paging, redirects."""
    extra = {"z": 1.0, "n": 10**30, "ä/b": None}
    assert await caller.call("demo", "putThing", "a/b €", payload={"size": 1, "extra": extra}) is None
    got = await caller.call("demo", "getThing", "a/b €")
    assert str(got) == str({"size": 1, "extra": extra, "colour": "red"})
    assert await caller.call("demo", "listThings", query={"limit": "1"}) == {"things": ["a/b €"]}
    assert await caller.call("demo", "goes", query={"to": "https://x/?a=b&c"}) == {"url": "https://x/?a=b&c"}
    assert (await caller.call("demo", "encoded"))["n"] == 123456789012345678901234567890


@pytest.mark.parametrize(
    ("method", "args", "payload", "query", "kind", "text"),
    [
        ("getThing", ["none"], None, None, errors.ResourceNotFound, "There is no thing none."),
        ("putThing", ["a"], {"size": -1}, None, errors.InputValidationError, "/size"),
        ("putThing", ["A"], {"size": 1}, None, errors.InvalidRequestArguments, "must match"),
        ("listThings", [], None, {"x": "1"}, errors.InvalidRequestArguments, "not supported"),
        ("nothing", [], None, None, errors.ResourceNotFound, "no method nothing"),
        ("fails", [], None, None, errors.InternalServerError, ""),
        ("forgets", [], None, None, errors.InternalServerError, ""),
    ],
)
async def test_both_kinds_raise_the_same(caller, method, args, payload, query, kind, text):
    """A refusal arrives as the same exception, with the message in it, either way."""
    with pytest.raises(errors.ApiError) as caught:
        await caller.call("demo", method, *args, payload=payload, query=query)
    assert type(caught.value) is kind
    assert text in str(caught.value)


async def test_payloads_are_not_shared(caller):
    """What a service keeps, and what a caller gets, are copies: nobody changes the other's values."""
    sent = {"size": 1, "extra": {"list": [1]}}
    await caller.call("demo", "putThing", "a", payload=sent)
    assert sent == {"size": 1, "extra": {"list": [1]}}
    sent["extra"]["list"].append(2)
    got = await caller.call("demo", "getThing", "a")
    got["extra"]["list"].append(3)
    assert caller.demo.things.kept["a"]["extra"] == {"list": [1]}


async def test_a_wrong_number_of_parameters(caller):
    """A call with too few parameters is a mistake of the program, and said so."""
    with pytest.raises(TypeError, match="takes 1 parameters"):
        await caller.call("demo", "getThing")


async def test_local_identity():
    """A caller within the process is checked at each call, with the scopes that it has then."""
    who = success("demo:put:*")
    async with demo.running() as d:
        local = Local(d.front.services.get, lambda: who)
        await local.call("demo", "putThing", "a", payload={"size": 1})
        with pytest.raises(errors.InsufficientScopes):
            await local.call("demo", "getThing", "a")
        who = Failure("gone")
        with pytest.raises(errors.AuthenticationFailed):
            await local.call("demo", "putThing", "a", payload={"size": 1})
        with pytest.raises(errors.Unavailable, match="does not run"):
            await local.call("none", "x")


async def test_temporary_credentials():
    """Temporary credentials sign calls, with no more scopes than they were made with."""
    now = CLOCK.now()
    made = create("tester", demo.TOKEN, scopes=["demo:put:*"], start_ms=now - 1000, expiry_ms=now + 60_000)
    async with demo.running() as d, aiohttp.ClientSession() as session:
        http = Http(d.url, TESTER, session=session, clock=CLOCK, retries=0).using(made)
        await http.call("demo", "putThing", "a", payload={"size": 1})
        with pytest.raises(errors.InsufficientScopes):
            await http.call("demo", "getThing", "a")


class Flaky:
    """A server that fails so many requests, each in its way, before it passes bytes on to the front."""

    def __init__(self, port, failures):
        self.port, self.failures, self.seen = port, list(failures), 0

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.seen += 1
        how = self.failures.pop(0) if self.failures else None
        if how is None:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
            up_writer.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            writer.write(await up_reader.read())
            up_writer.close()
        elif how != "cut":
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % how)
        await writer.drain()
        writer.close()


async def test_retries():
    """A call is sent again after 5xx and broken connections, signed anew each time, and not after a 4xx."""
    async with demo.running() as d, aiohttp.ClientSession() as session:
        flaky = Flaky(d.port, [503, "cut", 500, None, 502, "cut"])
        server = await asyncio.start_server(flaky.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        http = Http(url, TESTER, session=session, clock=CLOCK, retries=5)
        assert (await http.call("demo", "public", "x"))["clientId"] == "tester"
        assert flaky.seen == 7
        with pytest.raises(errors.ResourceNotFound):
            await http.call("demo", "getThing", "x")
        assert flaky.seen == 8
        flaky.failures = [503] * 9
        with pytest.raises(errors.ApiError, match="HTTP status 503") as caught:
            await Http(url, TESTER, session=session, clock=CLOCK, retries=1).call("demo", "ping")
        assert caught.value.status == 503
        server.close()
        await server.wait_closed()
        with pytest.raises(errors.Unavailable):
            await Http(url, TESTER, session=session, clock=CLOCK, retries=1).call("demo", "ping")


async def test_a_caller_can_be_limited(caller):
    """A caller handed on with a part of its scopes can do no more than those say, while it itself still can; and never more than it has."""
    part = caller.limited(["demo:put:*"])
    await part.call("demo", "putThing", "a", payload={"size": 1})
    with pytest.raises(errors.InsufficientScopes, match="demo:get"):
        await part.call("demo", "getThing", "a")
    await caller.call("demo", "getThing", "a")
    with pytest.raises(errors.AuthenticationFailed, match="do not satisfy authorizedScopes"):
        await caller.limited(["other:*"]).call("demo", "getThing", "a")
