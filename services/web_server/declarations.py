"""What the service publishes, declared once for all of its methods."""

from __future__ import annotations

from tcbox.api import monitoring
from tcbox.api.declare import Api

_SLUGID = r"^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$"

api = Api(
    "web-server",
    title="Web Server Service",
    description="""
    Signs people in who come with a browser, gives web tools credentials on their behalf, and shows tasks and task
    groups as profiles for the Firefox Profiler.

    Signing in is no part of this API: it happens below `/login/`.
    """,
    params={"taskGroupId": _SLUGID, "taskId": _SLUGID},
)
Monitoring = monitoring.declare(api)
