"""What the service publishes, declared once for all of its methods."""

from __future__ import annotations

from tcbox.api import monitoring
from tcbox.api.declare import Api

api = Api(
    "hooks",
    title="Hooks Service",
    description="""
    Creates tasks when something happens: at set times, when a method is called, when someone comes with a token, or
    when a message is published.

    A hook belongs to a group and has a template of its task, in JSON-e. Its tasks are created with the scopes of the
    role `hook-id:<hookGroupId>/<hookId>`, whoever makes it fire.
    """,
    params={"hookGroupId": r"^[a-zA-Z0-9-_]{1,1000}$", "hookId": r"^[a-zA-Z0-9-_/]{1,1000}$"},
)

Monitoring = monitoring.declare(api)
