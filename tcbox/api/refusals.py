"""Why a call is refused, in words and in the published error body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tcbox import clock, errors
from tcbox import scopes as scope_sets

if TYPE_CHECKING:
    from tcbox.credentials import Success


def insufficient_scopes(caller: Success, required: Any) -> errors.InsufficientScopes:
    """The refusal that names what the caller lacks and what would satisfy."""
    expression = _pretty(required)
    if caller.scheme == "none":
        return errors.InsufficientScopes(
            "This request carries no credentials, and the `anonymous` role does not have the scopes that it needs. "
            "Sign it with Taskcluster credentials that satisfy:\n\n```\n{required}\n```",
            required=expression,
        )
    missing = _pretty(scope_sets.unsatisfied(caller.scopes.expanded, required))
    return errors.InsufficientScopes(
        "Client ID {clientId} does not have sufficient scopes and is missing the following scopes:\n\n"
        "```\n{unsatisfied}\n```\n\nThis request requires the client to satisfy the following scope expression:\n\n"
        "```\n{required}\n```\n\nGrant the missing scopes to the client, or to a role that it assumes.",
        clientId=caller.client_id,
        unsatisfied=missing,
        required=expression,
    )


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2)


def body(error: errors.ApiError, method: str, params: Mapping[str, str], payload: Any, now: int) -> dict[str, Any]:
    """The published error body: `code`, `message` (with a footer that says where), `requestInfo`."""
    time = clock.to_wire(now)
    footer = f"\n\n---\n\n* method:     {method}\n* errorCode:  {error.code}\n* statusCode: {error.status}\n* time:       {time}"
    return {
        "code": error.code,
        "message": str(error) + footer,
        "requestInfo": {"method": method, "params": dict(params), "payload": payload, "time": time},
    }
