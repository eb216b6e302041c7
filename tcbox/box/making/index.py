"""Makes the index from what the instance shares."""

from __future__ import annotations

from tcbox.box.services import Shared
from tcbox.services.index.service import Service


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    own = shared.own("index")
    return Service(
        database=shared.database, bus=shared.bus, clock=shared.clock, caller=shared.caller("index"),
        anonymous=shared.anonymous(),
        client_id=own.client_id, access_token=own.access_token, root_url=shared.root_url,
    )  # fmt: skip
