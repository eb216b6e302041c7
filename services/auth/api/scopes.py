"""Methods that tell what scopes stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tcbox import errors
from tcbox.api.call import Call
from tcbox.services.auth.declarations import api
from tcbox.services.auth.directory import Directory

CATEGORY = "Scopes and Auth"
MOST_SCOPES = 10_000
"""In one call: it may be anybody's, and no other call is answered while they are looked through."""


class ScopeMethods:
    """Expands scopes."""

    def __init__(self, known: Directory) -> None:
        self._known = known

    @api.post("/scopes/expand", name="expandScopes", category=CATEGORY, scopes="auth:expand-scopes", input="scopeset", output="scopeset", eager=True)
    async def expand_scopes(self, call: Call) -> dict[str, Any]:
        """Expand Scopes

        The given scopes, at most 10,000, and all that follow from the roles which they assume.
        """
        given = call.payload["scopes"]
        refuse_many("scopes", given)
        return {"scopes": self._known.expand(given).scopes}

    @api.get("/scopes/current", name="currentScopes", category=CATEGORY, scopes="auth:current-scopes", output="scopeset", eager=True)
    async def current_scopes(self, call: Call) -> dict[str, Any]:
        """Get Current Scopes

        All scopes of this request: those of its client, with roles expanded, less what temporary credentials or
        authorized scopes leave out.
        """
        return {"scopes": (await call.scopes()).scopes}


def refuse_many(name: str, scopes: Sequence[str]) -> None:
    """Raise InputError for more scopes than one call may give, in the field of this name."""
    if len(scopes) > MOST_SCOPES:
        raise errors.InputError(
            "`{name}` has {count} scopes, and one call takes at most {most}: make several calls.", name=name, count=len(scopes), most=MOST_SCOPES
        )
