"""What a new instance begins with: the `anonymous` role, by which everybody may read what is public.

It is made once, on the first start; from then on it is the owner's to change.
"""

from __future__ import annotations

from tcbox import errors
from tcbox.client import Caller

ANONYMOUS = (
    "auth:current-scopes",
    "auth:expand-scopes",
    "auth:get-client:*",
    "auth:get-role:*",
    "auth:list-clients",
    "auth:list-roles",
    "queue:claimed-count:*",
    "queue:claimed-list:*",
    "queue:get-artifact:public/*",
    "queue:get-provisioner:*",
    "queue:get-task-queue:*",
    "queue:get-task:*",
    "queue:get-worker-type:*",
    "queue:get-worker:*",
    "queue:list-artifacts:*",
    "queue:list-dependent-tasks:*",
    "queue:list-provisioners",
    "queue:list-task-group:*",
    "queue:list-task-queues",
    "queue:list-worker-types:*",
    "queue:list-workers:*",
    "queue:pending-count:*",
    "queue:pending-list:*",
    "queue:status:*",
)
"""Reading what is no secret: tasks, their states, and artifacts whose names begin with `public/`."""


async def plant(caller: Caller) -> None:
    """Make the anonymous role, unless there is one already."""
    role = {"description": "What everybody may do without credentials. Made on the first start; change it as you like.", "scopes": list(ANONYMOUS)}
    try:
        await caller.call("auth", "createRole", "anonymous", payload=role)
    except errors.RequestConflict:
        return
