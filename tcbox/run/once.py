"""Creates the tasks of a plan and sees the graph through, with its logs and its states."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.client.http import Http
from tcbox.run import kinds, plan, tree
from tcbox.run.faults import CannotRun
from tcbox.run.follow import Followers
from tcbox.run.graph import BLOCKED, LEFT_OUT, SKIPPED, Graph, Node
from tcbox.run.hands import Hands
from tcbox.run.kinds import Unserved
from tcbox.run.plan import Plan
from tcbox.run.screen import Screen

if TYPE_CHECKING:
    import aiohttp

_LEAST, _MOST = 0.25, 2.0
_END_OF_LOG = 20
_LOGS = 10.0
"""Seconds to read logs to their ends, once all tasks have ended."""


class Once:
    """One run of a plan.

    Args:
        served: whether the instance's own workers serve a task queue.
        only: names of tasks that are wanted, empty for all.
        nudged: is set when something has happened that the queue should be asked about.
    """

    def __init__(
        self, http: Http, session: aiohttp.ClientSession, screen: Screen, hands: Hands, *, made: Plan, nudged: asyncio.Event,
        unserved: Callable[[Mapping[str, Any]], Unserved | None], served: Callable[[str], bool], only: tuple[str, ...], tidy: bool,
    ) -> None:  # fmt: skip
        self._http, self._screen, self._hands, self._nudged, self._plan = http, screen, hands, nudged, made
        self._served, self._tidy = served, tidy
        groups = [str(entry.task.get("taskGroupId") or entry.task_id) for entry in made.entries]
        self.graph = Graph(groups, [entry.task_id for entry in made.entries], lambda task: self._lacking(task) or unserved(task), only)
        self._followers = Followers(http, session, self._show)
        self._began = time.monotonic()
        self._created: list[str] = []

    async def run(self) -> bool:
        """Create the tasks, and wait for the last; gives whether every one that counts is green."""
        try:
            await self._create()
            await self._see_through()
            await self._followers.finish(_LOGS)
            await self._cancel()
        except BaseException:
            await self._give_up()
            raise
        finally:
            self._screen.footer([], at_once=True)
        self._sum_up()
        return all(node.state in ("completed", LEFT_OUT) for node in self.graph.nodes.values())

    @property
    def skipped_alone(self) -> bool:
        """Whether nothing is amiss but tasks that nothing here can run, and those that need them."""
        return all(node.state not in ("failed", "exception") for node in self.graph.nodes.values())

    # -- creating

    async def _create(self) -> None:
        caller = self._http if self._plan.scopes is None else self._http.limited(self._plan.scopes)
        for index, entry in enumerate(self._plan.entries):
            task = entry.task
            if self._served(entry.queue) and kinds.serving(task) in (kinds.DOCKER, kinds.HOST):
                task, _ = self._hands.prepared(task)  # a worker of the instance knows the definition alone
            try:
                await caller.call("queue", "createTask", entry.task_id, payload=task)
            except errors.ApiError as error:
                if error.status >= 500:
                    raise
                name = entry.label if entry.label != entry.task_id else f"tasks[{index}], which has no name"
                raise CannotRun(f"the queue does not take the task {name}: {error}") from error
            self._created.append(entry.task_id)

    # -- running

    async def _see_through(self) -> None:
        while True:
            started = time.monotonic()
            self._nudged.clear()
            for node in await self.graph.refresh(self._http):
                self._changed(node)
            self._begin()
            if self.graph.done and self._hands.idle:
                return
            self._draw()
            pause = min(_MOST, max(_LEAST, 3 * (time.monotonic() - started)))
            await self._wait(pause)

    async def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._nudged.is_set() and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), min(left, 0.2))
            self._draw()

    def _begin(self) -> None:
        for node in self.graph.ready():
            if not self._hands.free:
                return
            kind = kinds.serving(node.task)
            if not self._hands.busy(node.task_id) and not self._served(plan.queue(node.task)) and not isinstance(kind, Unserved):
                self._hands.begin(node, kind)

    def _lacking(self, task: Mapping[str, Any]) -> Unserved | None:
        kind = kinds.serving(task)
        why = self._hands.lacking.get(kind) if isinstance(kind, str) else None
        return Unserved(why) if why else None

    def _changed(self, node: Node) -> None:
        told = f"{tree.mark(node.state, self._screen.paint)} {node.label}  {tree.told(node, _now())}"
        if node.run >= 0 and node.state in ("running", "completed", "failed", "exception"):
            self._followers.follow(node, partial(self._tell, told) if node.final else None)
        elif node.state in (SKIPPED, BLOCKED):
            self._tell(told)

    def _tell(self, text: str) -> None:
        """A change of state; where the tree is always seen, it shows that by itself."""
        if not self._screen.live:
            self._screen.say(text)

    def _show(self, node: Node, text: str) -> None:
        node.ends.append(text)
        self._screen.line(node.label, text)

    def _draw(self) -> None:
        if self._screen.live:
            columns, rows = self._screen.size
            self._screen.footer(tree.moving(self.graph.nodes, _now(), self._screen.paint, columns=columns, rows=rows))

    # -- ending

    async def _give_up(self) -> None:
        """End what runs, when nobody waits for it any more."""
        await self._followers.close()
        with contextlib.suppress(errors.TcboxError):
            await self._cancel()
        await self._hands.drop()

    async def _cancel(self) -> None:
        """On an instance that lasts, leave no task behind that would wait for ever."""
        if not self._tidy:
            return
        resolved = {node.task_id for node in self.graph.nodes.values() if node.state in ("completed", "failed", "exception")}
        for task_id in dict.fromkeys([*self._created, *self.graph.nodes]):
            if task_id not in resolved:
                with contextlib.suppress(errors.ApiError):
                    await self._http.call("queue", "cancelTask", task_id)

    def _sum_up(self) -> None:
        screen, nodes = self._screen, self.graph.nodes
        several = sum(node.run >= 0 for node in nodes.values()) > 1
        for node in nodes.values():
            if node.state in ("failed", "exception") and (several or not node.ends):  # the log of one alone stands right above
                self._show_end(node)
        screen.say()
        for line in tree.lines({key: node for key, node in nodes.items() if node.state != LEFT_OUT}, _now(), screen.paint):
            screen.say(line)
        screen.say(f"{tree.counts(nodes.values(), screen.paint)}  {screen.dim(f'after {time.monotonic() - self._began:.1f} s')}")

    def _show_end(self, node: Node) -> None:
        screen = self._screen
        screen.say()
        screen.say(screen.bold(f"{tree.mark(node.state, screen.paint)} {node.label} is {tree.told(node, _now())}; its log ends:"))
        for text in list(node.ends)[-_END_OF_LOG:] or ["(it has no log)"]:
            screen.say(f"  {screen.clean(text)}")


def _now() -> int:
    return clocks.SystemClock().now()
