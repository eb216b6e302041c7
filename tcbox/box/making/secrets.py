"""Makes the secrets service from what the instance shares."""

from __future__ import annotations

from tcbox.box.services import Shared
from tcbox.services.secrets.service import Service


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    return Service(database=shared.database, sealer=shared.sealer, clock=shared.clock, audit=shared.audit)
