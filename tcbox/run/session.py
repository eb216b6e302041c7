"""A whole `tcbox run`: instance, work tree, tasks; again when files change, if that is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.client.http import Credentials, Http
from tcbox.run import given, instance, reach, rendering, room
from tcbox.run.hands import Hands
from tcbox.run.instance import Target
from tcbox.run.preparing import Preparing
from tcbox.run.screen import Screen
from tcbox.run.turn import Tools, Turn
from tcbox.run.wishes import Wishes
from tcbox.workers.lifecycle import Job
from tcbox.workers.runs import Run

if TYPE_CHECKING:
    import aiohttp

_LOOK = 1.0
"""Seconds between two looks at the work tree."""


class Session:
    """Runs a project as often as it is wanted.

    Args:
        existing: the instance to use; None for a throwaway.
        screen: where it is told.
    """

    def __init__(self, wishes: Wishes, existing: Target | None, screen: Screen) -> None:
        self._wishes, self._existing, self._screen = wishes, existing, screen
        self._nudged = asyncio.Event()
        self._shells = asyncio.Lock()

    async def run(self) -> int:
        """Do it; gives the exit code.

        Raises CannotRun, WrongUsage.
        """
        source = rendering.find(self._wishes.path)
        url = reach.docker_url()
        host, no_docker = await reach.address(url)
        async with AsyncExitStack() as stack:
            place = stack.enter_context(room.take(source.folder))
            _log_to(place.folder / "run.log")
            preparing = Preparing(self._wishes, source, place.folder, host)
            stack.push_async_callback(preparing.close)
            target = self._existing
            if target is None:
                target = await stack.enter_async_context(instance.throwaway(host, keep=self._wishes.keep))
            http, session = await self._connect(target, stack)
            hands = Hands(
                http, place.folder, label=place.label, capacity=self._wishes.jobs, docker_url=url, env=self._wishes.env, keep_caches=place.lasting,
                fresh=self._wishes.fresh, nudge=self._nudged.set, on_failure=self._on_failure if self._wishes.shell else None,
            )  # fmt: skip
            stack.push_async_callback(hands.close)
            tools = Tools(self._wishes, self._screen, target, hands, self._nudged, no_docker)
            turn = Turn(tools, http, session)
            code = await (self._watch(preparing, turn) if self._wishes.watch else self._once(preparing, turn))
        if target.kept:
            self._tell_kept(target)
        return code

    async def _connect(self, target: Target, stack: AsyncExitStack) -> tuple[Http, aiohttp.ClientSession]:
        import aiohttp

        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        http = Http(target.root_url, Credentials(target.client_id, target.access_token), session=session, clock=clocks.SystemClock())
        await given.put(http, self._wishes.secrets, ours=target.ours, now=clocks.SystemClock().now())
        return http, session

    async def _once(self, preparing: Preparing, turn: Turn) -> int:
        return await turn.take(await preparing.prepare(turn.http))

    async def _watch(self, preparing: Preparing, turn: Turn) -> int:
        """Run whenever something has changed, what runs then is dropped; until it is interrupted."""
        while True:
            run = asyncio.ensure_future(self._patiently(preparing, turn))
            try:
                await self._change(preparing, run)
            finally:
                run.cancel()
                await asyncio.wait((run,))
            self._screen.say()
            self._screen.say(self._screen.bold("something has changed: again"))

    async def _patiently(self, preparing: Preparing, turn: Turn) -> None:
        try:
            await self._once(preparing, turn)
        except errors.TcboxError as error:
            self._screen.say(self._screen.paint(str(error), "31"))
        self._screen.say(self._screen.dim("waiting for changes; Ctrl-C ends it"))

    async def _change(self, preparing: Preparing, run: asyncio.Future[None]) -> None:
        """Wait until the work tree is another than the one that is run, and has come to rest."""
        cost = 0.0
        while True:
            await asyncio.sleep(max(_LOOK, 5 * cost))
            began = time.monotonic()
            now = await self._state(preparing)
            cost = time.monotonic() - began
            if None in (now, preparing.current) or now == preparing.current:
                continue
            while (again := await self._state(preparing)) != now:
                now = again
            return

    async def _state(self, preparing: Preparing) -> object:
        with contextlib.suppress(errors.TcboxError):  # git in the midst of something: there is a next look
            return await asyncio.to_thread(preparing.state)
        return None

    async def _on_failure(self, run: Run, job: Job) -> None:
        from tcbox.run import shell

        place = job.place()
        if place is None or run.aborted is not None:
            return
        async with self._shells:
            await asyncio.sleep(0.3)  # for what the log has yet to say
            self._screen.say(f"{run.task['metadata']['name']} failed; this is a shell where it ran, and the task ends when you leave it")
            self._screen.hold()
            try:
                await shell.open_at(place)
            except errors.TcboxError as error:
                self._screen.release()
                self._screen.say(f"there can be no shell: {error}")
            else:
                self._screen.release()

    def _tell_kept(self, target: Target) -> None:
        data = shlex.quote(str(target.data))
        self._screen.say(f'the instance goes on at {target.root_url}; connect: eval "$(tcbox env --data {data})"; stop it: tcbox down --data {data}')


def _log_to(path: Path) -> None:
    """Keep what the workers and servers in this process have to say; the terminal is for the tasks."""
    log.to_file(path, terminal=False)
    for name in ("aiohttp", "asyncio"):
        other = logging.getLogger(name)
        other.handlers[:] = logging.getLogger("tcbox").handlers
        other.propagate = False
