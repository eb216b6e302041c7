"""Makes the queue from what the instance shares."""

from __future__ import annotations

from tcbox.blobs.artifacts import ArtifactStore
from tcbox.box.services import Shared
from tcbox.services.queue.service import Service


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    own = shared.own("queue")
    chosen = shared.settings.services.queue
    return Service(
        database=shared.database, bus=shared.bus, clock=shared.clock, caller=shared.caller("queue"),
        client_id=own.client_id, access_token=own.access_token, artifact_store=ArtifactStore(shared.blobs),
        claim_timeout=chosen.claim_timeout, deadline_days=chosen.max_task_deadline_days, max_dependencies=chosen.task_max_dependencies,
        watch_workers=shared.settings.services.worker_manager.enabled,
    )  # fmt: skip
