"""Makes the auth service from what the instance shares."""

from __future__ import annotations

from tcbox.box import identity
from tcbox.box.services import Shared, enabled
from tcbox.box.vendors import text, vendors
from tcbox.services.auth.service import Service
from tcbox.services.auth.static import StaticClient


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    own = [shared.root_client, identity.worker_client(shared.key), *map(shared.own, enabled(shared.settings))]
    clients = [StaticClient(client.client_id, client.access_token, client.scopes, client.description) for client in own]
    configured = shared.settings.services.auth.static_clients
    clients += [StaticClient(client.client_id, text(client.access_token), tuple(client.scopes), client.description) for client in configured]
    return Service(
        database=shared.database, bus=shared.bus, sealer=shared.sealer, clock=shared.clock,
        static_clients=clients, vendors=vendors(shared.settings.services.auth),
    )  # fmt: skip
