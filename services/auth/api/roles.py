"""Methods on roles."""

from __future__ import annotations

from typing import Any

from tcbox import scopes
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.auth import model, store
from tcbox.services.auth.declarations import api
from tcbox.services.auth.directory import Directory
from tcbox.services.auth.model import Role
from tcbox.services.auth.roles import Roles


class RoleMethods:
    """Answers what is asked of and done to roles."""

    def __init__(self, roles: Roles, known: Directory) -> None:
        self._roles = roles
        self._known = known

    @api.get("/roles/", name="listRoles", category="Roles", scopes="auth:list-roles", output="list-roles-response")
    async def list_roles(self, call: Call) -> list[dict[str, Any]]:
        """List Roles (no pagination)

        All roles in one reply, each with the scopes that it expands to. `listRoles2` gives them in pages.
        """
        return [self._shown(role) for role in await self._roles.page("", store.ALL)]

    @api.get("/roles2/", name="listRoles2", category="Roles", scopes="auth:list-roles", output="list-roles2-response", query=("continuationToken", "limit"))
    async def list_roles2(self, call: Call) -> dict[str, Any]:
        """List Roles

        All roles in the order of their ids, each with the scopes that it expands to; with `limit`, at most so many,
        and a `continuationToken` for the rest.
        """
        after, size = _page(call)
        return paging.page("roles", await self._roles.page(after, size + 1), size, lambda role: (role.role_id,), self._shown)

    @api.get("/roleids/", name="listRoleIds", category="Roles", scopes="auth:list-roles", output="list-role-ids-response", query=("continuationToken", "limit"))
    async def list_role_ids(self, call: Call) -> dict[str, Any]:
        """List Role IDs

        The ids of all roles, in order; with `limit`, at most so many, and a `continuationToken` for the rest.
        """
        after, size = _page(call)
        return paging.page("roleIds", await self._roles.ids(after, size + 1), size, lambda role_id: (role_id,), lambda role_id: role_id)

    @api.get("/roles/<roleId>", name="role", category="Roles", scopes="auth:get-role:<roleId>", output="get-role-response", eager=True)
    async def role(self, call: Call, roleId: str) -> dict[str, Any]:
        """Get Role

        One role, with the scopes that it expands to.
        """
        return self._shown(await self._roles.get(roleId))

    @api.put(
        "/roles/<roleId>", name="createRole", category="Roles", input="create-role-request", output="get-role-response",
        scopes={"AllOf": ["auth:create-role:<roleId>", {"for": "scope", "in": "scopes", "each": "<scope>"}]},
    )  # fmt: skip
    async def create_role(self, call: Call, roleId: str) -> dict[str, Any]:
        """Create Role

        Make a role: whoever has the scope `assume:<roleId>` has its scopes too. A role whose id ends in `*` is assumed
        by all that begins so, and `<..>` in its scopes stands for the rest.

        The caller must have all `scopes` of the role. If there is another role of this id, or roles would assume
        each other in a circle or multiply by way of `<..>`, the request is refused.
        """
        granted = call.payload["scopes"]
        model.refuse_double_star(granted)
        model.refuse_nul(call.payload["description"])
        await call.authorize(roleId=roleId, scopes=granted)
        ordered = tuple(sorted(granted, key=scopes.sort_key))
        return self._shown(await self._roles.create(roleId, call.payload["description"], ordered, await call.client_id()))

    @api.post(
        "/roles/<roleId>", name="updateRole", category="Roles", input="create-role-request", output="get-role-response",
        scopes={"AllOf": ["auth:update-role:<roleId>", {"for": "scope", "in": "scopesAdded", "each": "<scope>"}]},
    )  # fmt: skip
    async def update_role(self, call: Call, roleId: str) -> dict[str, Any]:
        """Update Role

        Replace a role's description and scopes. The caller must have each scope that the role did not give before,
        directly or by way of other roles. A change that makes roles assume each other in a circle, or multiply
        by way of `<..>`, is refused.
        """
        granted = tuple(call.payload["scopes"])
        model.refuse_double_star(granted)
        model.refuse_nul(call.payload["description"])

        async def authorize(before: Role) -> None:
            await call.authorize(roleId=roleId, scopesAdded=self._known.as_far(before.scopes).missing(granted))

        return self._shown(await self._roles.update(roleId, call.payload["description"], granted, await call.client_id(), authorize))

    @api.delete("/roles/<roleId>", name="deleteRole", category="Roles", scopes="auth:delete-role:<roleId>")
    async def delete_role(self, call: Call, roleId: str) -> None:
        """Delete Role

        Remove a role. Removing one that is not there succeeds.
        """
        await self._roles.delete(roleId, await call.client_id())

    def _shown(self, role: Role) -> dict[str, Any]:
        return role.shown(self._known.as_far)


def _page(call: Call) -> tuple[str, int]:
    """What the page comes after, and its size: as large as is asked for, or all."""
    after = paging.after(call.query, str)
    return after[0] if after else "", int(call.query.get("limit") or 0) or store.ALL - 1
