"""Who is signed in: what the browser's cookie stands for."""

from __future__ import annotations

from dataclasses import dataclass

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.web_server import pages
from tcbox.services.web_server.store import digest, sql, token

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in.

    Attributes:
        key: by which it stands in the database: the digest of what the browser has.
        stamp: of what it stands on, such as the root client's token.
        created, expires: ms since the epoch.
    """

    key: str
    identity: str
    stamp: str
    created: int
    expires: int


class Sessions:
    """The sign-ins of an instance.

    Args:
        lifetime_ms: after which one has to sign in again.
    """

    def __init__(self, database: db.Database, clock: clocks.Clock, *, lifetime_ms: int) -> None:
        self._db = database
        self._clock = clock
        self._lifetime = lifetime_ms

    async def begin(self, identity: str, *, stamp: str = "", before: str = "", page: str = "") -> tuple[str, Session]:
        """Sign someone in; gives what their browser is to show, which is new each time, so that none can be planted.

        Args:
            before: what their browser showed until now; that session ends.
            page: the digest of what pages must show beside it; empty for nothing.
        """
        shown = pages.bound(token(), page)
        now = self._clock.now()
        session = Session(digest(shown), identity, stamp, now, now + self._lifetime)

        async def begin(tx: db.Tx) -> None:
            if before:
                await _end(tx, digest(before))
            await tx.execute(sql.add_session, session=session.key, identity=identity, stamp=stamp, now=session.created, expires=session.expires)

        await self._db.transaction(begin)
        return shown, session

    async def find(self, shown: str) -> Session | None:
        """The session of what a browser shows; None when there is none, or when it is over."""
        if not shown:
            return None
        key = digest(shown)
        row = await self._db.point(sql.get_session, session=key, now=self._clock.now())
        return None if row is None else Session(key, row["identity"], row["stamp"], row["created"], row["expires"])

    async def end(self, shown: str) -> None:
        """Sign out, whatever the browser shows."""
        if shown:
            await self._db.transaction(lambda tx: _end(tx, digest(shown)))

    async def expire(self) -> None:
        """Forget the sessions that are over."""

        async def expire(tx: db.Tx) -> int:
            rows = await tx.all(sql.expired_sessions, now=tx.now, limit=_BATCH)
            for row in rows:
                await _end(tx, row["session"])
            return len(rows)

        while await self._db.transaction(expire) == _BATCH:
            pass


async def _end(tx: db.Tx, key: str) -> None:
    await tx.execute(sql.remove_requests_of, session=key)
    await tx.execute(sql.remove_session, session=key)
