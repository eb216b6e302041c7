"""What the service publishes, declared once for all of its methods.

Source: the published reference of the purge-cache service.
"""

from __future__ import annotations

from tcbox.api import monitoring
from tcbox.api.declare import Api

api = Api(
    "purge-cache",
    title="Purge Cache Service",
    description="""
    Keeps requests to throw caches away, each with the time when it was made.

    A worker asks for those of its worker pool before it uses a cache, and throws away what it made before that time.
    """,
    params={"workerPoolId": r"^[A-Za-z0-9_-]{1,38}\/[A-Za-z0-9_-]{1,38}$"},
)
Monitoring = monitoring.declare(api)
