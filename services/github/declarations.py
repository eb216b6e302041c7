"""What the service publishes, declared once for all of its methods."""

from __future__ import annotations

from tcbox import errors
from tcbox.api import monitoring
from tcbox.api.declare import Api

api = Api(
    "github",
    title="GitHub Service",
    description="""
    Creates tasks when something happens in a repository on GitHub, and shows there what becomes of them.

    GitHub tells of events by its webhook. The methods here are for looking at builds and at what GitHub shows of them,
    for canceling builds, for writing a status or a comment, and for trying out a `.taskcluster.yml`.

    What GitHub does not allow is answered with the status 403 and the code `ForbiddenByGithub`.
    """,
)
Monitoring = monitoring.declare(api)


class ForbiddenByGithub(errors.ApiError):
    """GitHub does not allow it."""

    code, status = "ForbiddenByGithub", 403
