"""Mail to the owners of pools about errors: kept with the error until it is sent, and tried again while it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.client import Caller
from tcbox.services.worker_manager.store import sql

MOST_TRIES = 12
FIRST_PAUSE = clocks.MINUTE
LONGEST_PAUSE = 2 * clocks.HOUR
_AT_ONCE = 50


class Mails:
    """Sends what is due, through the notify service."""

    def __init__(self, database: db.Database, clock: clocks.Clock, caller: Caller) -> None:
        self._db = database
        self._clock = clock
        self._caller = caller
        self._log = log.get("worker-manager")

    async def send(self) -> None:
        """Send the mails that are due; one that cannot be sent waits, and keeps none of the others back."""
        for row in await self._db.all(sql.due_mails, now=self._clock.now(), limit=_AT_ONCE):
            if await self._claim(row):
                await self._send(row)

    async def _claim(self, row: db.Row) -> bool:
        following = self._clock.now() + min(LONGEST_PAUSE, FIRST_PAUSE << row["mail_tries"])

        async def claim(tx: db.Tx) -> int:
            return await tx.execute(sql.claim_mail, next=following, mail_at=row["mail_at"], **_name(row))

        return await self._db.transaction(claim) > 0

    async def _send(self, row: db.Row) -> None:
        if row["owner"] is None:  # the pool is gone, and its owner with it
            await self._end(row)
            return
        try:
            await self._caller.call("notify", "email", payload=letter(row))
        except errors.ApiError as error:
            final = error.status < 500 or row["mail_tries"] + 1 >= MOST_TRIES
            words = "will not be sent" if final else "cannot be sent now and will be tried again"
            self._log.warning("the mail about error %s of %s %s: %s", row["error_id"], row["worker_pool_id"], words, error)
            if not final:
                return
        await self._end(row)

    async def _end(self, row: db.Row) -> None:
        await self._db.transaction(lambda tx: tx.execute(sql.end_mail, **_name(row)))


def _name(row: Mapping[str, Any] | db.Row) -> dict[str, str]:
    return {"worker_pool_id": row["worker_pool_id"], "error_id": row["error_id"]}


def letter(row: db.Row) -> dict[str, str]:
    """The mail about an error, as the notify service takes it."""
    extra = msgspec.json.format(row["extra"], indent=2)
    details = "" if extra == "{}" else f"\n\nDetails:\n\n```\n{extra}\n```"
    content = f"Something is wrong with the worker pool {row['worker_pool_id']}:\n\n{row['description']}\n\nError: {row['error_id']}{details}"
    return {"address": row["owner"], "subject": f"Taskcluster Worker Manager Error: {row['title']}"[:255], "content": content[:100_000]}
