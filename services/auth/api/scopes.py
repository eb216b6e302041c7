"""Methods that tell what scopes stand for."""

from __future__ import annotations

from typing import Any

from tcbox.api.call import Call
from tcbox.services.auth.declarations import api
from tcbox.services.auth.directory import Directory

CATEGORY = "Scopes and Auth"


class ScopeMethods:
    """Expands scopes."""

    def __init__(self, known: Directory) -> None:
        self._known = known

    @api.post("/scopes/expand", name="expandScopes", category=CATEGORY, scopes="auth:expand-scopes", input="scopeset", output="scopeset", eager=True)
    async def expand_scopes(self, call: Call) -> dict[str, Any]:
        """Expand Scopes

        The given scopes, and all that follow from the roles which they assume.
        """
        return {"scopes": self._known.expand(call.payload["scopes"]).scopes}

    @api.get("/scopes/current", name="currentScopes", category=CATEGORY, scopes="auth:current-scopes", output="scopeset", eager=True)
    async def current_scopes(self, call: Call) -> dict[str, Any]:
        """Get Current Scopes

        All scopes of this request: those of its client, with roles expanded, less what temporary credentials or
        authorized scopes leave out.
        """
        return {"scopes": (await call.scopes()).scopes}
