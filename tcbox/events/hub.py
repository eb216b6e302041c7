"""The newest messages for many who watch: read once, encoded once, matched once for all with the same bindings.

Who keeps up is handed what is in memory. Who does not, or begins at an older message, reads the outbox by itself, a
few at a time, until it has caught up; so nobody's slowness costs memory here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.events import topics
from tcbox.events.outbox import Outbox
from tcbox.events.tail import BATCH
from tcbox.events.topics import Binding
from tcbox.runtime.ending import watched

KEPT = 4096
"""Messages in memory at most."""
KEPT_BYTES = 8 * 1024 * 1024
"""Bytes of messages in memory at most."""
PART = 256 * 1024
"""Bytes, about, that are handed over at once."""
_CATCHING_UP = 4  # who read the outbox at once

Encode = Callable[[db.Row], bytes]


@dataclass(eq=False)
class Group:
    """All feeds with the same bindings.

    Attributes:
        born: the hub's position when the group began; what is newer and taken stands in `items`, unless trimmed.
    """

    bindings: frozenset[Binding]
    born: int
    exchanges: dict[str, list[str]] = field(default_factory=dict)
    items: deque[tuple[int, bytes]] = field(default_factory=deque)
    feeds: set[Feed] = field(default_factory=set)

    def __post_init__(self) -> None:
        for binding in self.bindings:
            self.exchanges.setdefault(binding.exchange, []).append(binding.pattern)

    def takes(self, exchange: str, keys: Sequence[str]) -> bool:
        """Whether one of the bindings takes a message."""
        patterns = self.exchanges.get(exchange, ())
        return "#" in patterns or any(topics.matches(pattern, key) for pattern in patterns for key in keys)


class Hub:
    """Hands the outbox's messages to feeds.

    Args:
        encode: what of a message is handed over.
    """

    def __init__(self, outbox: Outbox, encode: Encode) -> None:
        self.position = 0
        self.closing = False
        self._outbox = outbox
        self._encode = encode
        self._groups: dict[frozenset[Binding], Group] = {}
        self._by_exchange: dict[str, list[Group]] = {}
        self._ring: deque[tuple[int, int, list[Group]]] = deque()
        self._bytes = 0
        self._trimmed = 0
        self._task: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._catching_up = asyncio.Semaphore(_CATCHING_UP)
        self._log = log.get("events")

    async def open(self, bindings: Iterable[Binding], after: int | None = None) -> Feed:
        """A feed of what follows an id, or of what is published from now on; to be closed at the end."""
        async with self._opening:
            if self._task is None:
                self.position = self._trimmed = await self._outbox.last_id()
                self._task = watched(asyncio.create_task(self._go_on(), name="events:hub"), self._log)
        key = frozenset(bindings)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, self.position)
            for exchange in group.exchanges:
                self._by_exchange.setdefault(exchange, []).append(group)
        feed = Feed(self, group, self.position if after is None else after)
        group.feeds.add(feed)
        return feed

    def close(self, feed: Feed) -> None:
        """A feed is not read any more; with the last one the hub comes to rest."""
        group = feed.group
        group.feeds.discard(feed)
        if group.feeds or self._groups.get(group.bindings) is not group:
            return
        del self._groups[group.bindings]
        for exchange in group.exchanges:
            listed = self._by_exchange[exchange]
            listed.remove(group)
            if not listed:
                del self._by_exchange[exchange]
        if not self._groups and self._task is not None:
            self._task.cancel()
            self._task = None
            self._ring.clear()
            self._bytes = 0

    def end(self) -> None:
        """Have all feeds end."""
        self.closing = True
        for group in self._groups.values():
            for feed in group.feeds:
                feed.woken.set()

    async def _go_on(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._outbox.rows(self.position)) as batches:
                    async for rows in batches:
                        self._take(rows)
            except Exception:
                self._log.exception("events cannot be read for those who watch; trying again in 1 s")
                await asyncio.sleep(1)

    def _take(self, rows: Sequence[db.Row]) -> None:
        changed: set[Group] = set()
        for row in rows:
            groups = self._by_exchange.get(row["exchange"])
            if groups:
                keys = routing_keys(row)
                takers = [group for group in groups if group.takes(row["exchange"], keys)]
                if takers:
                    self._keep(row["id"], self._encode(row), takers)
                    changed.update(takers)
        self.position = rows[-1]["id"]
        for group in changed:
            for feed in group.feeds:
                feed.woken.set()

    def _keep(self, id_: int, chunk: bytes, takers: list[Group]) -> None:
        for group in takers:
            group.items.append((id_, chunk))
        self._ring.append((id_, len(chunk), takers))
        self._bytes += len(chunk)
        while len(self._ring) > KEPT or self._bytes > KEPT_BYTES:
            self._trimmed, size, had = self._ring.popleft()
            self._bytes -= size
            for group in had:
                group.items.popleft()

    def floor(self, group: Group) -> int:
        """Up to where a group's messages are not in memory."""
        return max(group.born, self._trimmed)

    async def older(self, feed: Feed) -> list[bytes]:
        """What of the outbox's next messages a feed takes; moves it on."""
        async with self._catching_up:
            rows = await self._outbox.read_rows(feed.position, BATCH)
        taken = [self._encode(row) for row in rows if feed.group.takes(row["exchange"], routing_keys(row))]
        feed.position = rows[-1]["id"] if rows else max(feed.position, self.floor(feed.group))
        return taken


class Feed:
    """Messages for one who watches.

    Attributes:
        position: the id of the newest message that it has got, or passed over as none of its own.
        woken: set when there is something to read.
    """

    __slots__ = ("group", "hub", "position", "woken")

    def __init__(self, hub: Hub, group: Group, position: int) -> None:
        self.hub = hub
        self.group = group
        self.position = position
        self.woken = asyncio.Event()

    async def read(self, seconds: float) -> bytes | None:
        """The next messages, encoded, or nothing when none comes in so many seconds; None when the hub ends."""
        until = asyncio.get_running_loop().time() + seconds
        while not self.hub.closing:
            self.woken.clear()
            if self.position < self.hub.floor(self.group):
                taken = await self.hub.older(self)
            else:
                taken = self._recent()
            if taken:
                return b"".join(taken)
            if self.position < self.hub.floor(self.group):
                if asyncio.get_running_loop().time() >= until:
                    return b""
                continue
            try:
                async with asyncio.timeout_at(until):
                    await self.woken.wait()
            except TimeoutError:
                if not self.woken.is_set():  # nothing of its own has come, so all that has come is passed over
                    self.position = max(self.position, self.hub.position)
                return b""
        return None

    def _recent(self) -> list[bytes]:
        items = self.group.items
        if not items or items[-1][0] <= self.position:
            self.position = max(self.position, self.hub.position)
            return []
        fresh = deque[tuple[int, bytes]]()
        for item in reversed(items):
            if item[0] <= self.position:
                break
            fresh.appendleft(item)
        taken, size = [], 0
        for id_, chunk in fresh:
            taken.append(chunk)
            size += len(chunk)
            self.position = id_
            if size >= PART:
                return taken
        self.position = max(self.position, self.hub.position)
        return taken

    def close(self) -> None:
        """Get nothing more."""
        self.hub.close(self)


def routing_keys(row: db.Row) -> list[str]:
    """All keys by which a message may be bound."""
    routes = row["cc"]
    return [row["routing_key"]] if routes == "[]" else [row["routing_key"], *(f"route.{route}" for route in msgspec.json.decode(routes))]


def encoded(row: db.Row) -> bytes:
    """A message as a server-sent event: JSON whose payload is to the letter what was published."""
    keys = [f"route.{route}" for route in msgspec.json.decode(row["cc"])] if row["cc"] != "[]" else []
    head = msgspec.json.encode(
        {"id": str(row["id"]), "exchange": row["exchange"], "routingKey": row["routing_key"], "cc": keys, "time": clocks.to_wire(row["created"])}
    )
    payload: str = row["payload"]
    data = b'%b,"payload":%b}' % (head[:-1], payload.encode())
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return b"id: %d\ndata: %b\n\n" % (row["id"], data)
