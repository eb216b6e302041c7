"""Settings of the hooks service."""

from __future__ import annotations

from tcbox.config.section import section
from tcbox.config.values import Count, Version


@section
class Hooks:
    """Tasks that are created by schedule, by trigger and by event. Needs the queue."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    denied_exchanges: tuple[str, ...] = ()
    """What the names of exchanges begin with that no hook may be bound to, such as
    `exchange/taskcluster-queue/v1/task-defined`, by which a hook could fire for its own tasks without end. Default:
    none. The exchanges of the hooks service itself are denied in any case."""

    keep_fires_days: Count = 365
    """Days for which it is kept how a hook fired, and why it could not. Default: 365."""
