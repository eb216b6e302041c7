"""Settings of the queue."""

from __future__ import annotations

from tcbox.config.section import section
from tcbox.config.values import Count, Version


@section
class Queue:
    """Tasks, their states, and who works on them. Needs object, with which artifacts of that storage type are kept."""

    enabled: bool = True
    """Whether the service runs. Default: true. Without it no worker inside runs either."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    claim_timeout: Count = 1200
    """Seconds for which a claim holds without being renewed. Default: 1200. A shorter time has the tasks of a lost
    worker run again sooner, and has workers renew more often."""

    max_task_deadline_days: Count = 5
    """Days that a task's deadline may lie ahead. Default: 5. A task with a later one is refused."""

    task_max_dependencies: Count = 10_000
    """How many tasks one may depend on. Default: 10000. A task with more is refused."""
