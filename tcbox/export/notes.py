"""What is worth knowing about an export that works all the same."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tcbox.config import checks
from tcbox.export.plan import Plan


def notes(plan: Plan, target: str) -> Iterator[str]:
    """In words, a line each."""
    settings = plan.template.settings
    yield from checks.notes(settings)
    if urlsplit(plan.root_url).scheme == "http":
        yield "root_url is http: access tokens are signed with, but whatever is read and written crosses the network in clear"
    if settings.services.notify.enabled and not settings.services.notify.email.host:
        yield "services.notify.email names no server: e-mails are files in a folder that goes with the process; name a server"
    for kind in ("docker", "host"):
        if getattr(settings.workers, kind).enabled and settings.services.queue.enabled:
            yield f"the {kind} worker is not exported: run `tcbox worker run --kind {kind}` on machines of its own, or have a worker pool start them"
    if target == "compose" and any(service.refers.files for service in plan.services):
        yield "files that the settings refer to must be readable by user 10001, as whom the containers run"
    if target == "k8s" and not settings.export.ingress.class_name and not settings.export.gateway.name:
        yield f"nothing leads requests for {plan.root_url} in: name export.ingress.class_name or export.gateway.name, or route them to the Services yourself"
