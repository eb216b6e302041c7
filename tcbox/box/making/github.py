"""Makes the github service from what the instance shares."""

from __future__ import annotations

from tcbox.box.services import Shared
from tcbox.box.vendors import text
from tcbox.services.github.service import Options, Service
from tcbox.vendors import github


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    chosen = shared.settings.services.github
    app = github.App(chosen.app_id, text(chosen.private_key)) if chosen.app_id and chosen.private_key else None
    options = Options(
        app=app, webhook_secrets=tuple(map(text, chosen.webhook_secrets)), url=chosen.endpoint or github.API, bot_name=chosen.bot_name,
        status_context=chosen.status_context, comment_prefix=chosen.comment_prefix, docker_task_queue=chosen.docker_task_queue,
        cancel_pushes=chosen.cancel_pushes,
    )  # fmt: skip
    service = Service(
        database=shared.database, bus=shared.bus, clock=shared.clock, caller=shared.caller("github"),
        validator=lambda name: shared.schemas.validator("github", name), root_url=shared.root_url, options=options, reach=lambda url: reach(shared, url),
    )  # fmt: skip
    shared.supervisor.health("github").watch("github.com", service.fault)
    return service


def reach(shared: Shared, url: str) -> str:
    """A URL of the instance as this machine reaches it; others as they are."""
    return shared.local_url + url.removeprefix(shared.root_url) if url.startswith(f"{shared.root_url}/") else url
