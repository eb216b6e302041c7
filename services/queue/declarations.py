"""The queue's API as a whole: its title, the form of its route parameters, and the list that methods are declared in.

Source: the published reference of the queue.
"""

from __future__ import annotations

from tcbox.api import Api, monitoring

_SLUGID = r"^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$"
_NAME = r"^[a-zA-Z0-9-_]{1,38}$"

PAGED = ("continuationToken", "limit")

api = Api(
    "queue",
    title="Queue Service",
    description="""
    Takes tasks, hands them to workers, and sees each of them to its resolution.

    An artifact is of one of these storage types:

    * `object`: bytes of any kind, kept by the object service;
    * `s3`: bytes of any kind, sent to a signed URL that `createArtifact` gives; prefer `object`;
    * `reference`: a URL elsewhere, to which whoever asks for the artifact is sent;
    * `link`: another artifact of the same task; the caller needs the scopes for both;
    * `error`: no bytes, but the reason why there are none; whoever asks for it gets the status 424.

    An artifact cannot be replaced, but the same call can be repeated, for instance to get a fresh URL. A `reference`
    can be replaced by another `reference` or by a `link`, and any artifact can be made to expire later.
    """,
    params={
        "taskId": _SLUGID,
        "taskGroupId": _SLUGID,
        "taskQueueId": r"^[a-zA-Z0-9-_]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?$",
        "provisionerId": _NAME,
        "workerType": _NAME,
        "workerGroup": _NAME,
        "workerId": _NAME,
        "runId": r"^[0-9]+$",
        "name": r"^[\x20-\x7e]+$",
    },
)

Monitoring = monitoring.declare(api)
