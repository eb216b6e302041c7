"""Reads a task's log while it grows, from the instance like anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from tcbox import errors
from tcbox.client.http import Http
from tcbox.run import kinds
from tcbox.run.graph import Node

if TYPE_CHECKING:
    import aiohttp

_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_LATE = 3.0
"""Seconds after a run's end in which its log may yet come."""


@dataclass(slots=True)
class _Place:
    """How many bytes of a log have been shown."""

    shown: int = 0


class Followers:
    """Follows one log for each run.

    Args:
        show: is given a task and a whole line, without its end.
    """

    def __init__(self, http: Http, session: aiohttp.ClientSession, show: Callable[[Node, str], None]) -> None:
        self._http, self._session, self._show = http, session, show
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def follow(self, node: Node, then: Callable[[], None] | None = None) -> None:
        """Follow a task's newest run, unless it is followed already.

        Args:
            then: is called when its log has been read to the end.
        """
        key = (node.task_id, node.run)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._follow(node, node.run), name=f"log {node.task_id}")
        if then is not None:
            self._tasks[key].add_done_callback(lambda done: None if done.cancelled() else then())

    async def finish(self, seconds: float) -> None:
        """Read on to the ends of all logs, for so long at most."""
        tasks = set(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        await self.close()

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _follow(self, node: Node, run: int) -> None:
        import aiohttp

        name, pause, late = kinds.log_name(node.task), _PAUSE, 0.0
        place = _Place()
        while True:
            ended = node.run != run or node.final
            try:
                if await self._read(node, run, name, place):
                    return
            except (aiohttp.ClientError, OSError, errors.ApiError, TimeoutError):
                pass  # the worker lets a live log go a moment before the whole one is there
            if ended:
                late += pause
                if late > _LATE:
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)

    async def _read(self, node: Node, run: int, name: str, place: _Place) -> bool:
        """Show the log to its end, from where it was left; False when there is none yet."""
        import aiohttp

        status, raw = await self._http.request("GET", f"/api/queue/v1/task/{node.task_id}/runs/{run}/artifacts/{quote(name, safe='')}", None)
        if status >= 400:
            return False
        url = msgspec.json.decode(raw)["url"]
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=None, connect=10)) as reply:
            if reply.status >= 400:
                return False
            skip, rest = place.shown, b""
            async for chunk in reply.content.iter_any():
                new = chunk[skip:]
                skip = max(0, skip - len(chunk))
                *lines, rest = (rest + new).split(b"\n")
                for line in lines:
                    place.shown += len(line) + 1
                    self._show(node, line.decode(errors="replace"))
            if rest:
                self._show(node, rest.decode(errors="replace"))
        return True
