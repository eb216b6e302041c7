"""Makes the worker manager from what the instance shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcbox import clock as clocks
from tcbox.box.services import Shared
from tcbox.services.worker_manager.providers.inert import Inert
from tcbox.services.worker_manager.providers.static import Static
from tcbox.services.worker_manager.service import Service

if TYPE_CHECKING:
    from tcbox.config.services.worker_manager import Provider as Settings
    from tcbox.services.worker_manager.providers.interface import Provider


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    own = shared.own("worker-manager")
    chosen = shared.settings.services.worker_manager
    return Service(
        database=shared.database, bus=shared.bus, clock=shared.clock, caller=shared.caller("worker-manager"), sealer=shared.sealer,
        schemas=shared.schemas, client_id=own.client_id, access_token=own.access_token, providers=_providers(shared),
        audit=shared.audit, health=shared.supervisor.health("worker-manager"),
        error_retention=chosen.error_retention_days * clocks.DAY,
    )  # fmt: skip


def _providers(shared: Shared) -> dict[str, Provider]:
    """Those of the configuration, and the one that is there in any case."""
    configured = {name: _provider(shared, name, settings) for name, settings in shared.settings.providers.items() if settings.type != "null"}
    return {"static": Static("static", shared.sealer), **configured}


def _provider(shared: Shared, name: str, settings: Settings) -> Provider:
    if settings.type == "static":
        return Static(name, shared.sealer)
    if not settings.credentials:
        why = f"providers.{name} has no credentials in tcbox.yml."
    else:
        why = f"this version of tcbox launches no machines of the type {settings.type}; its credentials are not used."
    return Inert(name, settings.type, idle=why)
