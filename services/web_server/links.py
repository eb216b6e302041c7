"""Links that sign the owner in, once: `tcbox up` and `tcbox ui` print them.

They are kept in this process alone, as digests, and end with it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Literal

from tcbox import clock as clocks
from tcbox.services.web_server.store import digest, token

LIFETIME = 10 * clocks.MINUTE
MOST = 20
"""Links that are good at the same time; with one more the oldest ends."""

Reach = Literal["loopback", "anywhere"]
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which a proxy says that a request is not its own."""


class Links:
    """The links that are good now."""

    def __init__(self, clock: clocks.Clock) -> None:
        self._clock = clock
        self._good: dict[str, int] = {}

    def make(self) -> str:
        """The secret of a new link."""
        made = token()
        while len(self._good) >= MOST:
            del self._good[next(iter(self._good))]
        self._good[digest(made)] = self._clock.now() + LIFETIME
        return made

    def use(self, shown: str) -> bool:
        """Whether the link is good; it is no longer afterwards."""
        until = self._good.pop(digest(shown), 0)
        return until > self._clock.now()


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
