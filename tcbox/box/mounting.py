"""What a whole instance and one process of several serve alike beside the APIs."""

from __future__ import annotations

from tcbox.api.front import Front, Mounted
from tcbox.api.references import References
from tcbox.box import metrics, services
from tcbox.box.services import Shared
from tcbox.runtime import Registry


def monitoring(front: Front, registry: Registry, *, heartbeat: Mounted, lbheartbeat: Mounted) -> None:
    """What those ask for who watch over it."""
    front.mount("/metrics", metrics.handler(registry), direct=True)
    front.mount("/__heartbeat__", heartbeat)
    front.mount("/__lbheartbeat__", lbheartbeat)
    front.mount("/__version__", metrics.version)


def descriptions(shared: Shared) -> None:
    """The references and schemas of the APIs."""
    references = References(shared.apis, shared.exchanges, shared.schemas)
    shared.front.mount("/references/", references.handle)
    shared.front.mount("/schemas/", references.handle)


def blobs(shared: Shared) -> None:
    """The bytes of artifacts and objects, where they are in a folder."""
    files = services.blob_files(shared)
    if files is not None:
        shared.front.mount("/blobs/", files)
