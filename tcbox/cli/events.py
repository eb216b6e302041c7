"""`tcbox events`: what the services announce, as it happens."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from tcbox import clock as clocks
from tcbox import errors
from tcbox.cli import connect, style
from tcbox.client import sse
from tcbox.client.http import Credentials, sign
from tcbox.config.guesses import nearest

if TYPE_CHECKING:
    import aiohttp

_SILENT = 60.0  # seconds without a heartbeat, after which the connection counts as lost
_LONGEST_PAUSE = 15.0
_OWN, _VERSION = "exchange/taskcluster-", "/v1/"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox events`."""
    parser.add_argument(
        "--binding", action="append", default=[], metavar="EXCHANGE[:PATTERN]",
        help="only these, such as queue/task-failed or exchange/taskcluster-queue/v1/*:primary.*.#; may be given several times",
    )  # fmt: skip
    parser.add_argument("--since", metavar="ID", help="begin after the event with this id; 0 for all that are kept (default: with what comes now)")
    parser.add_argument("--json", action="store_true", help="print each event as a JSON object on a line")
    connect.options(parser)


def run(args: argparse.Namespace) -> int:
    """Print them until interrupted."""
    root_url, credentials = connect.target(args)
    bindings = [full(binding) for binding in args.binding]
    asyncio.run(_refuse_unknown(root_url, bindings))
    query = [("binding", binding) for binding in bindings]
    asyncio.run(_print(Follower(root_url, credentials, query, args.since), as_json=args.json))
    return 0


async def _print(follower: Follower, *, as_json: bool) -> None:
    async with contextlib.aclosing(follower.events()) as events:
        async for event in events:
            _show(event, as_json=as_json)


async def _refuse_unknown(root_url: str, bindings: Sequence[str]) -> None:
    """Raise TcboxError for a binding to an exchange that the instance's own references do not have; nothing would ever come by it."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        for exchange in dict.fromkeys(binding.partition(":")[0] for binding in bindings):
            service, mark, name = exchange.removeprefix(_OWN).partition(_VERSION)
            if not exchange.startswith(_OWN) or not mark or set(exchange) & {"*", "#"}:
                continue
            known = await _exchanges(session, root_url, service)
            if known is not None and name not in known:
                near = nearest(name, known)
                listed = ", ".join(f"{service}/{each}" for each in known) or "none"
                advice = f"did you mean {service}/{near}?" if near else f"{service} has {listed}"
                raise errors.TcboxError(f"{root_url} has no exchange {exchange}: {advice}")


async def _exchanges(session: aiohttp.ClientSession, root_url: str, service: str) -> list[str] | None:
    """The names of a service's exchanges; None when they cannot be told."""
    import aiohttp

    try:
        async with session.get(f"{root_url.rstrip('/')}/references/{service}/v1/exchanges.json", timeout=aiohttp.ClientTimeout(total=10)) as reply:
            if reply.status in (404, 403):
                return []
            return [entry["exchange"] for entry in msgspec.json.decode(await reply.read())["entries"]] if reply.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, KeyError, TypeError):
        return None


def full(binding: str) -> str:
    """A binding with its exchange's full name: `queue/task-failed` is short for `exchange/taskcluster-queue/v1/task-failed`."""
    exchange, colon, pattern = binding.partition(":")
    service, slash, name = exchange.partition("/")
    if slash and service != "exchange" and "/" not in name:
        exchange = f"{_OWN}{service}{_VERSION}{name}"
    return exchange + colon + pattern


class Follower:
    """Follows one stream over lost connections.

    Args:
        query: the bindings.
        since: the id to begin after; None for what comes now.
    """

    def __init__(self, root_url: str, credentials: Credentials | None, query: list[tuple[str, str]], since: str | None) -> None:
        self._root_url = root_url.rstrip("/")
        self._credentials = credentials
        self._query = query
        self._since = since
        self._last_id = ""

    async def events(self) -> AsyncGenerator[sse.Sent, None]:
        """All events, without an end.

        Raises TcboxError when the instance refuses them.
        """
        import aiohttp

        pause = 0.5
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENT)
        async with aiohttp.ClientSession(timeout=limits) as session:
            while True:
                why = "the instance ended the stream"
                try:
                    async with contextlib.aclosing(self._connection(session)) as events:
                        async for event in events:
                            pause = 0.5
                            yield event
                except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                    why = str(error) or "it says nothing"
                if pause > 1:
                    print(style.warn(f"{self._root_url}: {why}; trying again", sys.stderr), file=sys.stderr, flush=True)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _connection(self, session: Any) -> AsyncGenerator[sse.Sent, None]:
        """The events of one connection."""
        from yarl import URL

        since = [("since", self._since)] if self._since is not None and not self._last_id else []
        asked = urlencode([*self._query, *since])
        url = f"{self._root_url}/events" + (f"?{asked}" if asked else "")
        headers = {"Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        if self._credentials is not None:
            headers["Authorization"] = sign(self._credentials, "GET", url, None, clocks.SystemClock().now())
        async with session.get(URL(url, encoded=True), headers=headers) as reply:
            if reply.status >= 500:
                raise ConnectionError(f"it answers with the status {reply.status}")
            if reply.status != 200 or reply.content_type != "text/event-stream":
                raise errors.TcboxError(_refusal(reply.status, await reply.read()))
            reader = sse.Reader(self._last_id)
            async for chunk in reply.content.iter_any():
                for event in reader.feed(chunk):
                    self._last_id = reader.last_id
                    yield event
                self._last_id = reader.last_id


def _refusal(status: int, raw: bytes) -> str:
    try:
        return str(msgspec.json.decode(raw)["message"]).partition("\n\n---\n")[0]
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"there are no events at that root URL: the answer has the status {status}; is it an instance of tcbox?"


def _show(sent: sse.Sent, *, as_json: bool) -> None:
    if sent.kind == "gap":
        told = msgspec.json.decode(sent.data)
        text = f"events after {told['asked']} are missing: the oldest that is kept is {told['oldest']}"
        print(style.warn(text, sys.stderr), file=sys.stderr, flush=True)
    elif sent.kind == "message":
        print(sent.data if as_json else line(msgspec.json.decode(sent.data)), flush=True)


def line(event: dict[str, Any]) -> str:
    """One event for a person: when, what, and the words of its routing key that say something."""
    what = event["exchange"].removeprefix(_OWN).replace(_VERSION, "/", 1)
    words = [word for word in event["routingKey"].split(".") if word not in ("_", "-", "primary")]
    routes = "".join(f" {key}" for key in event["cc"])
    shown = " ".join(dict.fromkeys(words))
    return f"{style.dim(event['time'][11:23])} {style.bold(f'{what:<26}')} {_clean(shown)}{style.dim(_clean(routes))}"


def _clean(text: str) -> str:
    """Without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
