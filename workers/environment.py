"""The environment variables that every task is given."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from tcbox.workers.runs import Run
from tcbox.workers.settings import WorkerSettings

_HANDED_ON = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TEMP", "TMP", "DISPLAY", "WAYLAND_DISPLAY",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "LD_LIBRARY_PATH_ORIG", "DYLD_LIBRARY_PATH_ORIG", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DEVELOPER_DIR",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
    "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "OS", "COMPUTERNAME", "HOSTNAME",
})  # fmt: skip
"""What of the worker's environment a program needs to run at all; anything else may be a key or a password."""


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
    """What tasks that run as processes of the same machine get of the worker's own environment: nothing that may be secret.

    The worker may share its process with a whole instance, whose variables hold keys of clouds and passwords of databases.
    """
    given = os.environ if environment is None else environment
    own = {name: value for name, value in given.items() if name.upper() in _HANDED_ON or name.startswith("LC_")}
    if getattr(sys, "frozen", False):  # a bundled program runs with its own library path, and keeps the user's beside it
        for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
            own.pop(name, None)
            if name + "_ORIG" in own:
                own[name] = own.pop(name + "_ORIG")
    return own
