"""When clients were last used: noted in memory as requests come, written now and then in one go."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.auth.model import Client
from tcbox.services.auth.store import sql

DELAY = 6 * clocks.HOUR


class Usage:
    """The dates of last use.

    Attributes:
        due: ids of clients whose date is older than the delay, so that their next use is to be noted.

    Args:
        delay: ms by which a date may be behind.
    """

    def __init__(self, clock: clocks.Clock, *, delay: int = DELAY) -> None:
        self.due: set[str] = set()
        self._clock = clock
        self._delay = delay
        self._dates: dict[str, int] = {}
        self._noted: dict[str, int] = {}

    def known(self, client_id: str, date: int) -> None:
        """A client's date as the database has it."""
        self._dates[client_id] = max(date, self._dates.get(client_id, 0))
        if self._dates[client_id] < self._clock.now() - self._delay:
            self.due.add(client_id)

    def forget(self, client_id: str) -> None:
        """The client is gone."""
        for held in (self._dates, self._noted):
            held.pop(client_id, None)
        self.due.discard(client_id)

    def note(self, client_id: str) -> None:
        """The client is used just now."""
        self.due.discard(client_id)
        self._dates[client_id] = self._noted[client_id] = self._clock.now()

    def dated(self, client: Client) -> Client:
        """The client with its date, also when that has not been written yet."""
        noted = self._noted.get(client.client_id, 0)
        return client if noted <= client.last_date_used else dataclasses.replace(client, last_date_used=noted)

    async def write(self, database: db.Database) -> None:
        """Write what was noted, and see whose date has become old meanwhile."""
        noted, self._noted = self._noted, {}
        if noted:
            rows = [{"client_id": client_id, "used": used} for client_id, used in sorted(noted.items())]
            try:
                await database.transaction(lambda tx: tx.many(sql.client_used, rows))
            except BaseException:
                self._noted = {**noted, **self._noted}
                raise
        before = self._clock.now() - self._delay
        self.due.update(_older(self._dates.items(), before))


def _older(dates: Iterable[tuple[str, int]], before: int) -> list[str]:
    return [client_id for client_id, date in dates if date < before]
