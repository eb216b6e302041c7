"""What the service publishes, declared once for all of its methods."""

from __future__ import annotations

from tcbox.api import monitoring
from tcbox.api.declare import Api

api = Api(
    "secrets",
    title="Secrets Service",
    description="""
    Keeps small JSON documents under names, for those whose scopes let them read or write the name.

    A document is sealed before it is stored, with a key that lies apart from the database, and is deleted once the
    time given with it has passed.
    """,
    params={"name": r"^[^\x00]+$"},
)
Monitoring = monitoring.declare(api)
