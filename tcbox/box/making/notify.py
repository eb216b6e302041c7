"""Makes the notify service from what the instance shares."""

from __future__ import annotations

from tcbox import clock as clocks
from tcbox.box.services import Shared
from tcbox.box.vendors import text
from tcbox.config.services.notify import Email
from tcbox.services.notify import model
from tcbox.services.notify.channels import Channel
from tcbox.services.notify.model import Limits
from tcbox.services.notify.outbox import Missing
from tcbox.services.notify.sandbox import Sandbox
from tcbox.services.notify.service import Service

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_NOBODY = "Taskcluster <tcbox@localhost>"


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    chosen = shared.settings.services.notify
    limits = Limits(
        count=chosen.max_message_count, window=chosen.max_message_time * clocks.SECOND, same=chosen.duplicate_time * clocks.SECOND,
        give_up=chosen.give_up_time * clocks.SECOND, denied=frozenset(chosen.email_denylist),
    )  # fmt: skip
    sandbox = Sandbox()
    return Service(
        database=shared.database, bus=shared.bus, clock=shared.clock, caller=shared.caller("notify"), channels=_channels(shared, sandbox), sandbox=sandbox,
        root_url=shared.root_url, limits=limits, ignored=frozenset(chosen.ignore_reasons),
        registry=shared.registry, health=shared.supervisor.health("notify"),
    )  # fmt: skip


def _channels(shared: Shared, sandbox: Sandbox) -> dict[str, Channel | Missing]:
    chosen = shared.settings.services.notify
    made: dict[str, Channel | Missing] = {
        model.EMAIL: _email(shared, chosen.email, sandbox),
        model.MATRIX: Missing("Matrix", "services.notify.matrix.base_url and access_token"),
        model.SLACK: Missing("Slack", "services.notify.slack.access_token"),
    }
    if chosen.matrix.base_url:
        from tcbox.services.notify.channels import matrix

        made[model.MATRIX] = matrix.Matrix(matrix.Settings(chosen.matrix.base_url, text(chosen.matrix.access_token), chosen.matrix.user_id))
    if chosen.slack.access_token:
        from tcbox.services.notify.channels import slack

        made[model.SLACK] = slack.Slack(slack.Settings(text(chosen.slack.access_token), chosen.slack.api_url or slack.API))
    return made


def _email(shared: Shared, chosen: Email, sandbox: Sandbox) -> Channel | Missing:
    if chosen.host:
        from tcbox.services.notify.channels import smtp

        settings = smtp.Settings(
            host=chosen.host, port=chosen.port or _PORTS[chosen.tls], source=chosen.source, security=chosen.tls,
            user=chosen.user, password=text(chosen.password), certificates=chosen.certificates,
        )  # fmt: skip
        return smtp.Smtp(settings, shared.clock, sandbox)
    if not chosen.keep or shared.apart:  # where processes have no folder in common
        return Missing("E-mail", "services.notify.email.host and source")
    from tcbox.services.notify.channels import folder

    return folder.Folder(shared.folder.mail, chosen.source or _NOBODY, shared.clock, sandbox, keep=chosen.keep)
