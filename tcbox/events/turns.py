"""A turn at what is done now and then: of several processes with the same database, one has it each time.

It is kept among the leases, its last sign of life being when it was taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tcbox import db
from tcbox.events.lease import this_process
from tcbox.events.tail import sql

_EARLY = 10
"""A turn may come so much earlier than its interval: a tenth. Else whoever had the last one, and rests just so long, would miss the next."""


class Turn:
    """One thing that is done now and then, as one process sees it.

    Args:
        every_ms: after which it is to be done again.
    """

    def __init__(self, database: db.Database, name: str, every_ms: int) -> None:
        self._db = database
        self._name = f"turn {name}"
        self._pause = every_ms - every_ms // _EARLY
        self._holder = this_process()

    async def take(self, work: Callable[[], Awaitable[None]], *, anyway: bool = False) -> bool:
        """Do it, unless a process has since the last interval began; gives whether it was done here.

        When it fails the turn is given back, for whichever process asks next. One that dies in the middle has had its turn.

        Args:
            anyway: do it even so, and count it.
        """

        async def take(tx: db.Tx) -> bool:
            pause = 0 if anyway else self._pause
            lately, ahead = tx.now - pause, tx.now + pause  # what lies ahead was taken by a clock that was wrong
            return await tx.execute(sql.take_turn, name=self._name, holder=self._holder, now=tx.now, lately=lately, ahead=ahead) > 0

        if not await self._db.transaction(take):
            return False
        try:
            await work()
        except Exception:
            await self._db.transaction(lambda tx: tx.execute(sql.give_back_turn, name=self._name, holder=self._holder))
            raise
        return True
