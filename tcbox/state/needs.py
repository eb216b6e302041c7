"""The scopes that a plan's steps need, so that a caller who lacks some is told all of them before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence

from tcbox import errors
from tcbox.client import Caller
from tcbox.scopes import ScopeSet
from tcbox.state.model import CLIENTS, HOOKS, ROLES, SECRETS, WORKER_POOLS
from tcbox.state.planning import Plan, Step, turns


def scopes(step: Step) -> list[str]:
    """What a step needs for certain; with roles that are changed, the server may ask for more."""
    name, verb = step.name, step.action
    if step.kind is ROLES:
        return [f"auth:{verb}-role:{name}", *(step.thing.scopes if verb == "create" else ())]
    if step.kind is CLIENTS:
        turned = [f"auth:{'disable' if turns(step) == 'disableClient' else 'enable'}-client:{name}"] if turns(step) else []
        return [f"auth:{verb}-client:{name}", *turned, *(step.thing.scopes if verb == "create" else ())]
    if step.kind is HOOKS:
        return [f"hooks:modify-hook:{name}", *([] if verb == "delete" else [f"assume:hook-id:{name}"])]
    if step.kind is WORKER_POOLS:
        return [f"worker-manager:manage-worker-pool:{name}", *([] if verb == "delete" else [f"worker-manager:provider:{step.thing.providerId}"])]
    assert step.kind is SECRETS
    return [f"secrets:set:{name}"]


async def lacking(plan: Plan, caller: Caller) -> list[tuple[Step, Sequence[str]]]:
    """The steps for which the caller lacks scopes, each with those; none are found when the caller may not ask what it has."""
    try:
        had = ScopeSet((await caller.call("auth", "currentScopes"))["scopes"])
    except errors.InsufficientScopes:
        return []
    found = [(step, list(had.missing(scopes(step)))) for step in plan.steps]
    return [(step, missing) for step, missing in found if missing]
