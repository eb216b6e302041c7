"""A lease in the database: of several processes with the same database, one does a thing that only one should do.

No clocks are compared. The holder gives signs of life; who waits takes over when it has seen none for `patience`, by
its own measure of real time, or at once when the holder was a process of this machine that has ended. A holder that
was merely slow learns of it with its next sign of life, or when it would write what only the holder may write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from tcbox import db, ids
from tcbox.config import processes
from tcbox.events.tail import sql

BEAT = 5.0
"""Seconds between two signs of life."""
PATIENCE = 20.0
"""Seconds without a sign of life after which another takes over."""
_LOOK = 2.0  # seconds between two looks at another's lease


class LeaseLost(Exception):
    """Another process has the lease."""


class Lease:
    """A lease of a name, as one process sees it.

    Args:
        holder: this process, by a name that no other ever has.

    Attributes:
        held: whether it is ours, as far as is known.
        other: who else was last seen to hold it.
    """

    def __init__(self, database: db.Database, name: str, *, holder: str | None = None, beat: float = BEAT, patience: float = PATIENCE) -> None:
        self.name = name
        self.holder = holder or this_process()
        self.held = False
        self.other = ""
        self._db = database
        self._beat = beat
        self._patience = patience

    async def acquire(self) -> None:
        """Wait until it is ours."""
        now = asyncio.get_running_loop().time
        self.other = ""
        last, since = ("", 0), now()
        while True:
            row = await self._db.one(sql.get_lease, name=self.name)
            seen = (row["holder"], row["beat"]) if row is not None else ("", 0)
            if seen != last:
                last, since = seen, now()
            if seen[0] in ("", self.holder) or ended(seen[0]) or now() - since >= self._patience:
                if await self._take(*seen):
                    self.held, self.other = True, ""
                    return
                continue
            self.other = seen[0]
            await asyncio.sleep(min(_LOOK, self._patience / 4))

    async def _take(self, seen_holder: str, seen_beat: int) -> bool:
        async def take(tx: db.Tx) -> bool:
            return await tx.execute(sql.take_lease, name=self.name, holder=self.holder, seen_holder=seen_holder, seen_beat=seen_beat) > 0

        return await self._db.transaction(take)

    async def keep(self) -> None:
        """Give signs of life for as long as it is ours; raises LeaseLost when it is not any more."""
        while True:
            await asyncio.sleep(self._beat)
            await self._db.transaction(self.confirm)

    async def confirm(self, tx: db.Tx) -> None:
        """A sign of life in a transaction of the holder's; raises LeaseLost, so that the transaction comes to nothing."""
        if not await tx.execute(sql.beat_lease, name=self.name, holder=self.holder):
            self.held = False
            raise LeaseLost

    async def release(self) -> None:
        """Let others have it at once; does nothing when it is not ours."""
        if not self.held:
            return
        self.held = False

        async def release(tx: db.Tx) -> None:
            await tx.execute(sql.release_lease, name=self.name, holder=self.holder)

        await self._db.transaction(release)


def this_process() -> str:
    """A name for this process: random, with what tells others on this machine whether it still runs."""
    return f"{_machine()}/{os.getpid()}/{processes.mark(os.getpid())}/{ids.slugid()}"


def ended(holder: str) -> bool:
    """Whether a holder is known to have ended, since it ran on this machine and does not any more."""
    machine, _, rest = holder.partition("/")
    pid, _, rest = rest.partition("/")
    mark = rest.partition("/")[0]
    return bool(mark) and machine == _machine() and pid.isdecimal() and not processes.alive(int(pid), mark)


def _machine() -> str:
    """Tells boots of machines, and within them containers with processes of their own, from each other."""
    boot, namespace = "", ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{boot}.{namespace}"
