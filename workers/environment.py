"""The environment variables that every task is given."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from tcbox.workers.runs import Run
from tcbox.workers.settings import WorkerSettings

_WITHHELD = ("TASKCLUSTER_ACCESS_TOKEN", "TASKCLUSTER_CERTIFICATE", "TASKCLUSTER_CLIENT_ID")


def standard(run: Run, settings: WorkerSettings) -> dict[str, str]:
    """What says which task this is and where it runs (see the platform's list of standard variables)."""
    given = {
        "TASK_ID": run.task_id,
        "RUN_ID": str(run.run_id),
        "TASK_GROUP_ID": run.task_group_id,
        "TASKCLUSTER_ROOT_URL": settings.root_url or run.http.root_url,
        "TASKCLUSTER_WORKER_LOCATION": settings.location,
        "TASKCLUSTER_INSTANCE_TYPE": settings.instance_type,
    }
    return {name: value for name, value in given.items() if value is not None}


def inherited(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The worker's own environment without its credentials, for tasks that run as processes of the same machine."""
    own = dict(os.environ if environment is None else environment)
    for name in list(own):
        if name in _WITHHELD or name.startswith("TCBOX_"):
            del own[name]
    if getattr(sys, "frozen", False):  # a bundled program runs with its own library path, and keeps the user's beside it
        for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
            own.pop(name, None)
            if name + "_ORIG" in own:
                own[name] = own.pop(name + "_ORIG")
    return own
