"""Makes the object service from what the instance shares."""

from __future__ import annotations

from tcbox.box.services import Shared
from tcbox.services.object.service import Service


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    return Service(database=shared.database, blobs=shared.blobs, clock=shared.clock)
