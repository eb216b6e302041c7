"""The worker's side of the keeper: one keeper for the worker, one group of processes for each task."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import log
from tcbox.workers.helpers import KEEPER, Helper

_LOG = log.get("workers")


class KeeperGone(Exception):
    """The process that keeps a task's processes has ended: out of memory, or killed."""


class CannotStart(Exception):
    """A command could not be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended: its exit code, or minus the signal that killed it; CPU times in seconds."""

    code: int
    user: float
    system: float


class Keeper:
    """Starts the keeper when the first task comes, and again when it has gone."""

    def __init__(self) -> None:
        self._helper: Helper | None = None
        self._spare: Group | None = None
        self._making: asyncio.Task[None] | None = None

    async def group(self) -> Group:
        """A new group of processes; one is kept in store, so that the next task need not wait for it."""
        spare, self._spare = self._spare, None
        if spare is None or spare.gone or self._helper is None or not self._helper.alive:
            spare = await self._make()
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._store(), name="spare process group")
        return spare

    async def _store(self) -> None:
        self._spare = await self._make()

    async def _make(self) -> Group:
        mine, theirs = socket.socketpair()
        with theirs:
            try:
                self._send(theirs)
            except OSError:  # it has gone since it was last seen
                self._helper = None
                self._send(theirs)
        reader, writer = await asyncio.open_unix_connection(sock=mine)
        return Group(reader, writer)

    def close(self) -> None:
        """End the keeper, and with it every group; may be called twice."""
        if self._making is not None:
            self._making.cancel()
        if self._spare is not None:
            self._spare.abandon()
            self._spare = None
        helper, self._helper = self._helper, None
        if helper is not None:
            helper.close()

    def _send(self, descriptor: socket.socket) -> None:
        if self._helper is None or not self._helper.alive:
            self._helper = Helper(KEEPER)
        socket.send_fds(self._helper.channel, [b"+"], [descriptor.fileno()])


class Group:
    """All processes of one task; they end when it is closed, or when the worker itself ends, however it does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def run(self, argv: list[str], *, folder: Path, env: dict[str, str], output: Path | None = None, terminal: str = "") -> Exit:
        """Run a command to its end, its output appended to a file, or on a terminal of that name; processes that it leaves behind go on.

        Raises CannotStart, or KeeperGone.
        """
        where = {"terminal": terminal} if terminal else {"output": str(output)}
        reply = await self._ask({"argv": argv, "folder": str(folder), "env": env, **where})
        if "fault" in reply:
            raise CannotStart(reply["fault"])
        return Exit(reply["code"], reply["user"], reply["system"])

    async def root(self) -> int:
        """The process that all processes of the group are below; to be asked while no command runs.

        Raises KeeperGone.
        """
        reply = await self._ask({"who": True})
        return int(reply["pid"])

    async def close(self) -> None:
        """End all processes of the group; returns when they are gone."""
        if self._writer.is_closing():
            return
        try:
            left = 0
            reply: dict[str, Any] = {}
            with contextlib.suppress(KeeperGone):
                self._writer.write(b"{}\n")
                while "left" not in reply:
                    reply = await self._next()
                left = reply["left"]
            if left:
                _LOG.warning("processes of a task could not be ended", extra={"processes": left})
        finally:
            self._writer.close()

    @property
    def gone(self) -> bool:
        """Whether the process that keeps the group has ended."""
        return self._reader.at_eof()

    def abandon(self) -> None:
        """Close without waiting for the end of what runs."""
        self._writer.close()

    async def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            self._writer.write(json.dumps(order).encode() + b"\n")
            await self._writer.drain()
        except OSError as error:
            raise KeeperGone from error
        return await self._next()

    async def _next(self) -> dict[str, Any]:
        try:
            line = await self._reader.readline()
        except OSError as error:
            raise KeeperGone from error
        if not line:
            raise KeeperGone
        reply: dict[str, Any] = json.loads(line)
        return reply
