"""Hints between the processes on one PostgreSQL database, by NOTIFY and LISTEN.

A NOTIFY within a transaction would have all commits take turns, so hints are sent after it, those of some milliseconds
together; one may be lost with the process that was about to send it, or with a connection. Source: PostgreSQL's
documentation of NOTIFY (payloads below 8000 bytes).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from tcbox import errors, log
from tcbox.db.postgres.failures import LOST
from tcbox.runtime.ending import watched

if TYPE_CHECKING:
    from tcbox.db.interface import Listener

TOGETHER = 0.002
"""Seconds for which hints are gathered."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_MOST = 7000  # bytes of one payload


class Signals:
    """Sends and receives.

    Attributes:
        heard: set while what others say is heard.

    Args:
        channel: what the processes of one instance have in common.
        send: runs `SELECT pg_notify($1, $2)` with these arguments.
        connect: a connection of its own, to listen on.
    """

    def __init__(self, channel: str, send: Callable[[str, str], Awaitable[None]], connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._channel = channel
        self._send = send
        self._connect = connect
        self._me = secrets.token_hex(6)
        self._listeners: defaultdict[str, list[Listener]] = defaultdict(list)
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.heard = asyncio.Event()
        self._log = log.get("db")

    def signal(self, topic: str, text: str) -> None:
        """Send a hint to the other processes, soon."""
        self._waiting[topic].add(text)
        if "send" not in self._tasks:
            self._tasks["send"] = asyncio.get_running_loop().create_task(self._send_soon(), name="db:signals")

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Hear the other processes' hints; gives what ends that."""
        self._listeners[topic].append(listener)
        if "listen" not in self._tasks:
            self._tasks["listen"] = watched(asyncio.get_running_loop().create_task(self._listen(), name="db:listen"), self._log)

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._listeners[topic].remove(listener)

        return end

    async def close(self) -> None:
        """Send and hear nothing more."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_soon(self) -> None:
        await asyncio.sleep(TOGETHER)
        self._tasks.pop("send", None)
        waiting, self._waiting = self._waiting, defaultdict(set)
        for topic, texts in waiting.items():
            for some in _portions(sorted(texts)):
                try:
                    await self._send(self._channel, msgspec.json.encode([self._me, topic, some]).decode())
                except (errors.Unavailable, *LOST) as error:  # they look for themselves, only later
                    self._log.debug("a hint to other processes was not sent: %s", error)
                except Exception:
                    self._log.exception("a hint to other processes was not sent")

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._hear_until_lost()
                pause = _FIRST_PAUSE
            except LOST as error:
                self._log.debug("no hints from other processes for now: %s", error)
            except Exception:
                self._log.exception("no hints from other processes for now")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _hear_until_lost(self) -> None:
        lost = asyncio.Event()
        connection = await self._connect()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(self._channel, self._heard)
            for topic in list(self._listeners):
                self._tell(topic, None)  # what was said while nobody listened
            self.heard.set()
            await lost.wait()
        finally:
            self.heard.clear()
            with contextlib.suppress(*LOST):
                connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        sender, topic, texts = msgspec.json.decode(payload, type=tuple[str, str, list[str]])
        if sender != self._me:
            for text in texts:
                self._tell(topic, text)

    def _tell(self, topic: str, text: str | None) -> None:
        for listener in list(self._listeners[topic]):
            try:
                listener(text)
            except Exception:
                self._log.exception("what listens to %s failed", topic)


def _portions(texts: list[str]) -> list[list[str]]:
    """Texts in lists that each fit into one payload."""
    portions: list[list[str]] = [[]]
    size = 0
    for text in texts:
        length = len(msgspec.json.encode(text)) + 1
        if portions[-1] and size + length > _MOST:
            portions.append([])
            size = 0
        portions[-1].append(text)
        size += length
    return portions
