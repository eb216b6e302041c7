"""Links that sign the owner in, once: `tcbox up` and `tcbox ui` print them.

They stand in the database, as digests, so that whichever process has the request knows them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.web_server.store import digest, sql, token

LIFETIME = 10 * clocks.MINUTE
MOST = 20
"""Links that are good at the same time; with one more the oldest ends."""

Reach = Literal["loopback", "anywhere"]
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which a proxy says that a request is not its own."""


class Links:
    """The links that are good now."""

    def __init__(self, database: db.Database, clock: clocks.Clock) -> None:
        self._db = database
        self._clock = clock

    async def make(self) -> str:
        """The secret of a new link."""
        made = token()

        async def add(tx: db.Tx) -> None:
            await tx.execute(sql.remove_expired_links, now=tx.now)
            await tx.execute(sql.add_link, link=digest(made), made=tx.now, expires=tx.now + LIFETIME)
            await tx.execute(sql.remove_old_links, most=MOST)

        await self._db.transaction(add)
        return made

    async def use(self, shown: str) -> bool:
        """Whether the link is good; it is no longer afterwards."""
        return await self._db.transaction(lambda tx: tx.execute(sql.use_link, link=digest(shown), now=tx.now)) > 0


def is_local(remote: str | None, headers: Iterable[str]) -> bool:
    """Whether a request comes from this machine itself, and not through a proxy on it.

    Args:
        remote: the address that the connection comes from.
        headers: the names of the request's headers.
    """
    if any(name.lower() in FORWARDED for name in headers):
        return False
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
