"""Hooks made to fire by a call, and the tokens with which those can who have no credentials."""

from __future__ import annotations

import hmac
from typing import Any

from tcbox import errors, ids
from tcbox.api import Call
from tcbox.sandbox import Fault
from tcbox.services.hooks import model
from tcbox.services.hooks.api.hooks import existing, no_such
from tcbox.services.hooks.declarations import api
from tcbox.services.hooks.firing import Firings
from tcbox.services.hooks.model import Hook, Name
from tcbox.services.hooks.sandbox import Sandbox
from tcbox.services.hooks.store import Store


class Triggers:
    """Fires hooks for callers."""

    def __init__(self, *, store: Store, firings: Firings, sandbox: Sandbox) -> None:
        self._store = store
        self._firings = firings
        self._sandbox = sandbox

    @api.post(
        "/hooks/<hookGroupId>/<hookId>/trigger", name="triggerHook", scopes="hooks:trigger-hook:<hookGroupId>/<hookId>",
        input="trigger-hook", output="trigger-hook-response", category="Hooks",
    )  # fmt: skip
    async def trigger_hook(self, call: Call, hookGroupId: str, hookId: str) -> dict[str, Any]:
        """Trigger a hook

        Create the hook's task. The body must satisfy the hook's `triggerSchema`; the template has it as `payload`,
        and the caller as `clientId`.

        With `taskId`, a slugid that no task has, the body says what the task's id is to be.
        """
        hook = await existing(self._store, Name(hookGroupId, hookId))
        return await self._fire(hook, model.TRIGGER, {"payload": call.payload, "clientId": await call.client_id()})

    @api.post(
        "/hooks/<hookGroupId>/<hookId>/trigger/<token>", name="triggerHookWithToken",
        input="trigger-hook", output="trigger-hook-response", category="Hooks",
    )  # fmt: skip
    async def trigger_hook_with_token(self, call: Call, hookGroupId: str, hookId: str, token: str) -> dict[str, Any]:
        """Trigger a hook with a token

        Create the hook's task, for those who have the hook's token instead of credentials, such as another service
        that calls a URL. The body must satisfy the hook's `triggerSchema`; the template has it as `payload`.

        With `taskId`, a slugid that no task has, the body says what the task's id is to be.
        """
        hook = await existing(self._store, Name(hookGroupId, hookId))
        if not hmac.compare_digest(token.encode(), self._store.token(hook).encode()):
            raise errors.AuthenticationFailed("invalid hook token: it may have been reset; getTriggerToken tells the one that holds.")
        return await self._fire(hook, model.TOKEN, {"payload": call.payload})

    @api.get(
        "/hooks/<hookGroupId>/<hookId>/token", name="getTriggerToken", scopes="hooks:get-trigger-token:<hookGroupId>/<hookId>",
        output="trigger-token-response", category="Hooks", conceal=True,
    )  # fmt: skip
    async def get_trigger_token(self, call: Call, hookGroupId: str, hookId: str) -> dict[str, Any]:
        """Get a trigger token

        The token for `triggerHookWithToken`. It holds until it is replaced by `resetTriggerToken`.
        """
        return {"token": self._store.token(await existing(self._store, Name(hookGroupId, hookId)))}

    @api.post(
        "/hooks/<hookGroupId>/<hookId>/token", name="resetTriggerToken", scopes="hooks:reset-trigger-token:<hookGroupId>/<hookId>",
        output="trigger-token-response", category="Hooks", conceal=True,
    )  # fmt: skip
    async def reset_trigger_token(self, call: Call, hookGroupId: str, hookId: str) -> dict[str, Any]:
        """Reset a trigger token

        Give the hook a new token for `triggerHookWithToken`. The one before holds no longer.
        """
        name = Name(hookGroupId, hookId)
        token = await self._store.reset_token(name)
        if token is None:
            raise no_such(name)
        return {"token": token}

    async def _fire(self, hook: Hook, fired_by: str, context: dict[str, Any]) -> dict[str, Any]:
        try:
            context["payload"] = await self._sandbox.accept(hook.definition.trigger_schema, context["payload"])
        except Fault as fault:
            raise errors.InputError("{fault}", fault=str(fault)) from None
        task_id = _task_id(context["payload"])
        outcome = await self._firings.at_once(hook, fired_by, context, task_id)
        if outcome.error is not None:
            raise _refusal(hook.name, outcome.error)
        return {"taskId": task_id, "status": {"taskId": task_id}} if outcome.created else {}


def _task_id(payload: dict[str, Any]) -> str:
    given = payload.get("taskId")
    if not given:
        return ids.slugid()
    if not isinstance(given, str) or not ids.is_slugid(given):
        raise errors.InputError("Invalid taskId format: {taskId} is no slugid.", taskId=given)
    return given


def _refusal(name: Name, error: errors.TcboxError) -> errors.ApiError:
    """What the caller is told of an error of firing."""
    if not isinstance(error, errors.ApiError):
        return errors.InputError("While firing hook:\n\n{error}", error=str(error))
    if isinstance(error, errors.InsufficientScopes):
        return errors.InsufficientScopes("The role `{role}` does not have sufficient scopes to create the task:\n\n{reason}", role=name.role, reason=str(error))
    kind = errors.Unavailable if error.status >= 500 else errors.InputError
    return kind("While calling createTask: {code}\n\n{reason}", code=error.code, reason=str(error))
