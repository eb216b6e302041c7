"""What a new instance begins with: the `anonymous` role, by which everybody may read what is public, and the role of all
who sign in, by which they may make clients for themselves.

They are made once, on the first start; from then on they are the owner's to change.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tcbox import errors

if TYPE_CHECKING:
    from tcbox.services.auth.roles import Roles

ANONYMOUS = (
    "auth:current-scopes",
    "auth:expand-scopes",
    "auth:get-client:*",
    "auth:get-role:*",
    "auth:list-clients",
    "auth:list-roles",
    "github:get-badge:*",
    "github:get-repository:*",
    "github:latest-status:*",
    "github:list-builds",
    "hooks:get:*",
    "hooks:list-hooks:*",
    "hooks:list-last-fires:*",
    "hooks:status:*",
    "index:find-task:*",
    "index:list-namespaces:*",
    "index:list-tasks:*",
    "purge-cache:all-purge-requests",
    "purge-cache:purge-requests:*",
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
    "web:read-pulse",
    "worker-manager:get-worker-pool:*",
    "worker-manager:get-worker:*",
    "worker-manager:list-providers",
    "worker-manager:list-worker-pool-errors:*",
    "worker-manager:list-worker-pools",
    "worker-manager:list-workers:*",
    "worker-manager:should-worker-terminate:*",
)
"""Reading what is no secret: tasks, their states, and artifacts whose names begin with `public/`."""


SIGNED_IN = "login-identity:*"
OWN_CLIENTS = (
    "auth:create-client:<..>/*",
    "auth:delete-client:<..>/*",
    "auth:disable-client:<..>/*",
    "auth:enable-client:<..>/*",
    "auth:reset-access-token:<..>/*",
    "auth:update-client:<..>/*",
)
"""Managing the clients whose ids begin with one's own identity; `<..>` stands for it."""
SIGNED_IN_DESCRIPTION = "What everybody may do who signs in with a browser: manage clients of their own. Made on the first start; change it as you like."

DESCRIPTION = "What everybody may do without credentials. Made on the first start; change it as you like."


DONE = "seeded"
"""What the database notes when it is done, since the roles are the owner's to remove."""


async def plant(roles: Roles, by: str) -> None:
    """Make these roles, unless that was done once, or there are such already; may be done by several processes at once.

    Straight in the service's own rules, not through its API: at a first start nothing else needs schemas yet.
    """
    if await roles.marked(DONE):
        return
    for role, description, scopes in (("anonymous", DESCRIPTION, ANONYMOUS), (SIGNED_IN, SIGNED_IN_DESCRIPTION, OWN_CLIENTS)):
        with contextlib.suppress(errors.RequestConflict):
            await roles.create(role, description, scopes, by)
    await roles.mark(DONE)
