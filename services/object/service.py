"""The object service, put together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from tcbox import blobs, db, log
from tcbox import clock as clocks
from tcbox.runtime import LoopSpec
from tcbox.services.object import declarations, store
from tcbox.services.object.api.downloads import Cdn, Downloads
from tcbox.services.object.api.uploads import Uploads
from tcbox.services.object.here import Here

_log = log.get("object")


class Service:
    """Objects whose bytes are among the given blobs.

    Args:
        blobs: started, and closed, by whoever gives them.
        cdns: where `download` sends callers for some names, the first match first.
    """

    name = "object"
    requires: tuple[str, ...] = ("auth",)
    api = declarations.api
    exchanges = None
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        blobs: blobs.Blobs,
        clock: clocks.Clock,
        cdns: Sequence[Cdn] = (),
    ) -> None:
        self.store = store.Store(database)
        self._blobs = blobs
        self._here = Here(store=self.store, blobs=blobs)
        self._elsewhere: set[str] = set()
        self._families: list[object] = [
            Uploads(store=self.store, blobs=blobs, here=self._here, clock=clock),
            Downloads(store=self.store, blobs=blobs, here=self._here, clock=clock, cdns=cdns),
        ]
        self.loops = [LoopSpec("expire-objects", 10 * clocks.MINUTE, self.expire)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Nothing is opened: the database and the blobs are there already."""

    def families(self) -> list[object]:
        """What answers the API."""
        return self._families

    async def expire(self) -> None:
        """Delete what has expired: out of use first, then the bytes, then the record, so that nothing is left over."""
        await self.store.mark_expired()
        after = ""
        while rows := await self.store.removed(after):
            after = rows[-1]["name"]
            try:
                here = [row for row in rows if await self._has(row)]
                await self._blobs.delete([row["location"] for row in here])
            except Exception as error:
                _log.exception("expired objects could not be deleted; the next sweep tries again", exc_info=error)
                continue
            await self.store.forget([row["name"] for row in here])

    async def _has(self, row: db.Row) -> bool:
        """Whether the bytes of something that has expired are here; what is not here is said once, and left where it is."""
        if row["name"] in self._elsewhere:
            return False
        if await self._here.has(row["name"], row["backend"], row["location"]):
            return True
        _log.warning("the expired object %s is left in %s: that is not this instance's place for blobs", row["name"], row["backend"])
        self._elsewhere.add(row["name"])
        return False
