"""What the service publishes, declared once for all of its methods."""

from __future__ import annotations

from tcbox import errors
from tcbox.api import monitoring
from tcbox.api.declare import Api

api = Api(
    "notify",
    title="Notification Service",
    description="""
    Tells people and programs what becomes of tasks: by e-mail, by pulse messages, in Matrix rooms and in Slack
    channels. A task asks for it by routes that begin with `notify.`; whoever has the scopes may send by these methods.

    What equals a notification that was sent already is passed over, and so is mail above an address's rate limit.
    """,
)
Monitoring = monitoring.declare(api)


class DenylistedAddress(errors.ApiError):
    """The address is on the denylist: nothing is sent to it."""

    code, status = "DenylistedAddress", 400
