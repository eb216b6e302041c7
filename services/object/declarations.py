"""What the service publishes, declared once for all of its methods."""

from __future__ import annotations

from tcbox import errors
from tcbox.api import monitoring
from tcbox.api.declare import Api

api = Api(
    "object",
    title="Object Service",
    description="""
    Keeps objects of any size under names. Their bytes do not pass through the API: an upload or a download begins
    with a call that tells where the bytes go, or come from.

    Once its upload is finished an object does not change any more, until it expires and is deleted.
    """,
    params={"name": r"^[\x20-\x7e]+\Z", "projectId": r"^([a-zA-Z0-9._/-]*)\Z"},
)
Monitoring = monitoring.declare(api)


class NoMatchingMethod(errors.ApiError):
    """None of the methods that the caller accepts is available for this object."""

    code, status = "NoMatchingMethod", 406


class NoMatchingBackend(errors.ApiError):
    """The place where this object's bytes are kept is not part of this instance's configuration."""

    code, status = "NoMatchingBackend", 400
