"""The worker manager's API as a whole; its methods are declared beside the coroutines that answer them."""

from __future__ import annotations

from tcbox import errors
from tcbox.api import monitoring
from tcbox.api.declare import Api

_NAME = r"^([a-zA-Z0-9-_]{1,38})$"
LAUNCH_CONFIG = r"^[a-zA-Z0-9_-]{1,38}$"
"""The form of a launch configuration's id."""

NEXT = {"continuationToken": ".", "limit": r"^[0-9]{1,15}$"}
"""The query parameters of every list, each with its form."""

api = Api(
    "worker-manager",
    title="Worker Manager Service",
    description="""
    Keeps pools of workers: which machines there are for the tasks of a task queue, who gives them, and how many there
    should be.

    A pool belongs to a provider, such as a cloud. While a provider cannot be reached, methods that need it answer with
    the status 503; try again later, as after any other 5xx.
    """,
    params={
        "workerPoolId": r"^[a-zA-Z0-9-_]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?$",
        "workerGroup": _NAME,
        "workerId": _NAME,
        "provisionerId": _NAME,
        "workerType": _NAME,
    },
)

Monitoring = monitoring.declare(api)


class ProviderSetupFailed(errors.ApiError):
    """The provider does not work just now; try again."""

    code, status = "ProviderSetupFailed", 503
    headers = {"retry-after": "30"}
