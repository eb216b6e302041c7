"""The four methods that every service answers: is it up, can it work, which version is it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import tcbox
from tcbox import errors
from tcbox.api.call import Call
from tcbox.api.declare import Api

_CATEGORY = "Monitoring"


def declare(api: Api) -> type:
    """Declare the monitoring methods on a service's API; gives the class whose instance answers them."""

    class Monitoring:
        def __init__(self, uptime: Callable[[], float], faults: Callable[[], list[str]]) -> None:
            self._uptime = uptime
            self._faults = faults

        @api.get("/ping", name="ping", category=_CATEGORY, eager=True)
        async def ping(self, call: Call) -> dict[str, Any]:
            """Ping Server

            Answers at once, and does nothing else: shows that the service can be reached.
            """
            return {"alive": True, "uptime": self._uptime()}

        @api.get("/__lbheartbeat__", name="lbheartbeat", category=_CATEGORY, eager=True)
        async def lbheartbeat(self, call: Call) -> dict[str, Any]:
            """Load Balancer Heartbeat

            Answers as long as the service takes requests; looks at nothing that it depends on.
            """
            return {}

        @api.get("/__version__", name="version", category=_CATEGORY, eager=True)
        async def version(self, call: Call) -> dict[str, Any]:
            """Taskcluster Version

            Which program answers, and of which version, as a Dockerflow version object.
            """
            return {
                "version": tcbox.__version__,
                "commit": "",
                "source": "",
                "build": f"tcbox {tcbox.__version__}, Python {platform.python_version()}",
            }

        @api.get("/__heartbeat__", name="heartbeat", category=_CATEGORY)
        async def heartbeat(self, call: Call) -> dict[str, Any]:
            """Heartbeat

            Answers with an error when the service, or something that it depends on, does not work.
            """
            faults = self._faults()
            if faults:
                raise errors.Unavailable("{service} is not healthy: {faults}", service=api.service, faults="; ".join(faults))
            return {}

    return Monitoring
