"""A small service that uses all of the API framework, behind a real front on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import Api, Call, Encoded, Redirect, Reply, monitoring, paging
from tcbox.api.dispatch import Dispatcher
from tcbox.api.front import Front
from tcbox.api.references import References
from tcbox.api.schemas import SchemaSet
from tcbox.credentials import ClientRecord, Failure, SignatureValidator, SignedRequest, Success
from tcbox.scopes import ScopeSet

SCHEMAS = Path(__file__).parent / "demo_schemas"
TOKEN = "an-access-token-for-tests-of-44-characters--"
DISTANT = 4_102_444_800_000

api = Api("demo", title="Demo", description="For tests.", params={"name": r"^[a-z0-9/ €-]+$"})
Monitoring = monitoring.declare(api)


class Things:
    """Answers the methods; what a test wants to see stands in its attributes."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.ended: list[str] = []

    @api.put("/things/<name>", name="putThing", input="thing", scopes="demo:put:<name>")
    async def put(self, call: Call, name: str) -> None:
        """Put a Thing"""
        self.kept[name] = call.payload

    @api.get("/things/<name>", name="getThing", output="thing", scopes="demo:get:<name>", eager=True)
    async def get(self, call: Call, name: str) -> Any:
        """Get a Thing"""
        if name not in self.kept:
            raise errors.ResourceNotFound("There is no thing {name}.", name=name)
        return self.kept[name]

    @api.get("/things/", name="listThings", output="thing-list", query=("continuationToken", "limit"))
    async def list(self, call: Call) -> Any:
        """List Things"""
        size, after = paging.limit(call.query), paging.after(call.query, str)
        names = [n for n in sorted(self.kept) if after is None or n > after[0]][: size + 1]
        return paging.page("things", names, size, key=lambda n: (n,), shape=str)

    @api.post("/echo", name="echo", input="thing", output="thing", query={"colour": "^[a-z]+$"})
    async def echo(self, call: Call) -> Any:
        """Echo"""
        return call.payload

    @api.post("/secretly", name="secretly", input="thing", conceal=True)
    async def secretly(self, call: Call) -> Any:
        """Secretly"""
        raise errors.InputError("It is no good.")

    @api.get("/public/<name>", name="public", eager=True)
    async def public(self, call: Call, name: str) -> Any:
        """Public"""
        return {"name": name, "clientId": await call.client_id(), "scopes": (await call.scopes()).scopes, "ip": call.source_ip}

    @api.get("/waits/<name>", name="waits", patient=True)
    async def waits(self, call: Call, name: str) -> Any:
        """Wait Patiently"""
        return await self._wait(name)

    @api.get("/works/<name>", name="works")
    async def works(self, call: Call, name: str) -> Any:
        """Work to the End"""
        return await self._wait(name)

    @api.get("/eagerly/<name>", name="eagerly", eager=True)
    async def eagerly(self, call: Call, name: str) -> Any:
        """Wait Though Eager"""
        return await self._wait(name)

    async def _wait(self, name: str) -> Any:
        self.began.set()
        try:
            await self.go.wait()
            async with asyncio.timeout(15):
                await asyncio.sleep(0)
            self.ended.append(f"{name} done")
            return {"name": name}
        except asyncio.CancelledError:
            self.ended.append(f"{name} cancelled")
            raise

    @api.get("/fails", name="fails", eager=True)
    async def fails(self, call: Call) -> Any:
        """Fail"""
        raise ZeroDivisionError("of all things")

    @api.get("/forgets", name="forgets", scopes="demo:forget:<other>")
    async def forgets(self, call: Call) -> Any:
        """Forget to Check"""
        return {"secret": 1}

    @api.get("/goes", name="goes", query={"to": "."})
    async def goes(self, call: Call) -> Any:
        """Go Elsewhere"""
        return Redirect(call.query["to"], {"url": call.query["to"]})

    @api.get("/headers", name="headers", query={"value": "."})
    async def headers(self, call: Call) -> Any:
        """Answer with a Header"""
        return Reply({}, 200, {"x-value": call.query["value"]})

    @api.get("/encoded", name="encoded")
    async def encoded(self, call: Call) -> Any:
        """Answer with JSON as It Is"""
        return Encoded(b'{"n":123456789012345678901234567890,"f":1.0}')

    @api.delete("/things/<name>", name="removeThing", scopes="demo:put:<name>")
    async def remove(self, call: Call, name: str) -> None:
        """Remove a Thing"""
        self.kept.pop(name, None)


class Authenticator:
    """Knows the client `tester`, with the scopes of the tests, and waits first when told to."""

    def __init__(self, scopes: list[str], *, waits: bool = False) -> None:
        record = ClientRecord("tester", TOKEN, ScopeSet(scopes), DISTANT)
        self.validator = SignatureValidator(lambda name: record if name == "tester" else None, ScopeSet)
        self.waits = waits

    def authenticate(self, request: SignedRequest) -> Any:
        found = self.validator.validate(request, clocks.SystemClock().now())
        return self._later(found) if self.waits else found

    async def _later(self, found: Success | Failure) -> Success | Failure:
        async with asyncio.timeout(15):
            await asyncio.sleep(0)
        return found


@dataclass
class Demo:
    """A running front with the demo service."""

    front: Front
    things: Things
    dispatcher: Dispatcher
    schemas: SchemaSet
    references: References
    port: int = 0
    calls: list[tuple[str, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def raw(self, data: bytes, *, split: tuple[int, ...] = ()) -> list[tuple[int, dict[str, str], bytes]]:
        """Send bytes over a connection of their own, in pieces; all replies, up to the server's closing or a pause."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            at = 0
            for end in (*sorted(split), len(data)):
                if end > at:
                    writer.write(data[at:end])
                    await writer.drain()
                    at = end
                    if split:
                        await asyncio.sleep(0.002)
            return await replies(reader, data.count(b"HTTP/1.1\r\n") or 1)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def replies(reader: asyncio.StreamReader, most: int, *, bodies: bool = True) -> list[tuple[int, dict[str, str], bytes]]:
    """Read so many replies, fewer when the connection ends."""
    found = []
    for _ in range(most):
        try:
            async with asyncio.timeout(15):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
                length = int(headers.get("content-length", "0")) if bodies else 0
                body = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        found.append((int(lines[0].split()[1]), headers, body))
    return found


@contextlib.asynccontextmanager
async def running(scopes: list[str] | None = None, *, waits: bool = False, check_replies: bool = True) -> AsyncIterator[Demo]:
    """The demo service behind a front on a free port."""
    clock = clocks.SystemClock()
    front, things, schemas = Front(clock), Things(), SchemaSet({"demo": SCHEMAS})
    calls: list[tuple[str, int]] = []

    class Meter:
        def called(self, method: Any, status: int, seconds: float) -> None:
            calls.append((method.name, status))

    handlers = api.bind(things, Monitoring(lambda: 1.5, list))
    dispatcher = Dispatcher(
        api, handlers, schemas, Authenticator(["demo:*"] if scopes is None else scopes, waits=waits), clock=clock, meter=Meter(), check_replies=check_replies
    )
    references = References({"demo": api}, {}, schemas)
    front.services["demo"] = dispatcher
    front.known |= {"demo", "asleep"}
    front.mount("/references/", references.handle)
    front.mount("/schemas/", references.handle)
    port = await front.listen("127.0.0.1", 0)
    try:
        yield Demo(front, things, dispatcher, schemas, references, port, calls)
    finally:
        await front.close(0.1)
