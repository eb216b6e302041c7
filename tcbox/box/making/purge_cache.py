"""Makes the purge-cache service from what the instance shares."""

from __future__ import annotations

from tcbox.box.services import Shared
from tcbox.services.purge_cache.service import Service


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    return Service(database=shared.database, clock=shared.clock)
