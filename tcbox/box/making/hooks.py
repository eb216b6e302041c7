"""Makes the hooks service from what the instance shares."""

from __future__ import annotations

from tcbox import clock as clocks
from tcbox.box.services import Shared
from tcbox.services.hooks.service import Service


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    chosen = shared.settings.services.hooks
    return Service(
        database=shared.database, bus=shared.bus, sealer=shared.sealer, clock=shared.clock, caller=shared.caller("hooks"),
        root_url=shared.root_url, audit=shared.audit, denied=chosen.denied_exchanges, keep_fires=chosen.keep_fires_days * clocks.DAY,
    )  # fmt: skip
