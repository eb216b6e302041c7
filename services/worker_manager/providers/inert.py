"""Providers that give no machines: the one of pools that are to go, and those of clouds that cannot be asked for any."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tcbox.services.worker_manager.model import NULL_PROVIDER, Pool, Worker
from tcbox.services.worker_manager.providers.interface import Launched, Order, Refused, Sighting


class Inert:
    """A provider whose pools are kept as they are, and for which nothing is done.

    Args:
        idle: why, for people; empty when nothing is meant to be done.
    """

    by_hand = False

    def __init__(self, provider_id: str, provider_type: str, *, idle: str = "") -> None:
        self.provider_id = provider_id
        self.provider_type = provider_type
        self.schema = f"config-{provider_type}"
        self.idle = idle

    async def prepare(self) -> None:
        """There is nothing to be reached."""

    async def launch(self, order: Order) -> list[Launched]:
        """Nothing is coming."""
        return []

    async def look(self, worker: Worker) -> Sighting:
        """Its machine, if it has one, is left alone."""
        return Sighting("there")

    async def remove(self, worker: Worker) -> None:
        """There is no machine that could be removed from here."""

    async def sweep(self, known: Callable[[str, str], Awaitable[bool]]) -> None:
        """There are no machines."""

    async def deprovision(self, pool: Pool) -> None:
        """Nothing was made for it."""

    async def verify(self, worker: Worker, proof: Mapping[str, Any]) -> None:
        """Nobody can prove to be a worker of it."""
        raise Refused(f"workers cannot register with the provider {self.provider_id}" + (f": {self.idle}" if self.idle else ""))


def null() -> Inert:
    """The provider of pools that are to go."""
    return Inert(NULL_PROVIDER, "null")
