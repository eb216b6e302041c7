"""Makes the index from what the instance shares."""

from __future__ import annotations

from tcbox.box import identity
from tcbox.box.services import Shared
from tcbox.client.local import Local
from tcbox.credentials import SignedRequest
from tcbox.services.index.service import Service


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    own = identity.service_client(shared.key, "index")
    unsigned = SignedRequest("get", "/", "localhost", 80)
    return Service(
        database=shared.database, bus=shared.bus, clock=shared.clock, caller=shared.caller("index"),
        anonymous=Local(shared.front.services.get, lambda: shared.authenticate(unsigned)),
        client_id=own.client_id, access_token=own.access_token, root_url=shared.root_url,
    )  # fmt: skip
