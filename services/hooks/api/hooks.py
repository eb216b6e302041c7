"""Hooks themselves: made, changed, removed, read and listed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import Call, Encoded
from tcbox.runtime.alarm import Alarm
from tcbox.sandbox import Fault
from tcbox.services.hooks import cron, model
from tcbox.services.hooks.declarations import api
from tcbox.services.hooks.model import Definition, Name
from tcbox.services.hooks.sandbox import Sandbox
from tcbox.services.hooks.store import Store

_MODIFY = {"AllOf": ["hooks:modify-hook:<hookGroupId>/<hookId>", "assume:hook-id:<hookGroupId>/<hookId>"]}


class Hooks:
    """Keeps hooks.

    Args:
        times: is set to when a hook fires by its schedule.
        denied: what the exchanges begin with that no hook may be bound to.
    """

    def __init__(self, *, store: Store, sandbox: Sandbox, clock: clocks.Clock, times: Alarm, denied: Sequence[str]) -> None:
        self._store = store
        self._sandbox = sandbox
        self._clock = clock
        self._times = times
        self._denied = denied

    @api.get("/hooks", name="listHookGroups", scopes="hooks:list-hooks:", output="list-hook-groups-response", category="Hooks")
    async def list_hook_groups(self, call: Call) -> dict[str, Any]:
        """List hook groups

        The names of all groups that have a hook, in order.
        """
        return {"groups": await self._store.groups()}

    @api.get("/hooks/<hookGroupId>", name="listHooks", scopes="hooks:list-hooks:<hookGroupId>", output="list-hooks-response", category="Hooks")
    async def list_hooks(self, call: Call, hookGroupId: str) -> Encoded:
        """List hooks in a given group

        The definitions of all hooks of a group, in the order of their names. A group without hooks is not there.
        """
        hooks = await self._store.of_group(hookGroupId)
        if not hooks:
            raise errors.ResourceNotFound("No such group: there is no hook in {hookGroupId}.", hookGroupId=hookGroupId)
        return Encoded(b'{"hooks":[%b]}' % b",".join(hook.document() for hook in hooks))

    @api.get("/hooks/<hookGroupId>/<hookId>", name="hook", scopes="hooks:get:<hookGroupId>:<hookId>", output="hook-definition", category="Hooks")
    async def hook(self, call: Call, hookGroupId: str, hookId: str) -> Encoded:
        """Get hook definition

        A hook's definition, as it was given.
        """
        return Encoded((await existing(self._store, Name(hookGroupId, hookId))).document())

    @api.put(
        "/hooks/<hookGroupId>/<hookId>", name="createHook", scopes=_MODIFY, input="create-hook-request", output="hook-definition", category="Hooks",
    )  # fmt: skip
    async def create_hook(self, call: Call, hookGroupId: str, hookId: str) -> Encoded:
        """Create a hook

        Make a hook. The call can be repeated with the same definition without harm.

        The caller needs the role `hook-id:<hookGroupId>/<hookId>` itself, with whose scopes the hook's tasks are
        created: it must have `task.scopes` and what creating the task takes.
        """
        name, (definition, next_fire) = Name(hookGroupId, hookId), await self._checked(call, hookGroupId, hookId)
        made = await self._store.create(name, definition, next_fire, await call.client_id())
        if made is None:
            raise errors.RequestConflict("hook `{name}` already exists, with another definition: use updateHook to change it.", name=str(name))
        self._due(made.next_fire)
        return Encoded(made.document())

    @api.post(
        "/hooks/<hookGroupId>/<hookId>", name="updateHook", scopes=_MODIFY, input="create-hook-request", output="hook-definition", category="Hooks",
    )  # fmt: skip
    async def update_hook(self, call: Call, hookGroupId: str, hookId: str) -> Encoded:
        """Update a hook

        Give a hook another definition. Its names stay; so do its bindings when the call has none, and its token.
        """
        name, (definition, next_fire) = Name(hookGroupId, hookId), await self._checked(call, hookGroupId, hookId)
        changed = await self._store.update(name, definition, next_fire, await call.client_id(), keep_bindings="bindings" not in call.payload)
        if changed is None:
            raise no_such(name)
        self._due(changed.next_fire)
        return Encoded(changed.document())

    @api.delete("/hooks/<hookGroupId>/<hookId>", name="removeHook", scopes="hooks:modify-hook:<hookGroupId>/<hookId>", category="Hooks")
    async def remove_hook(self, call: Call, hookGroupId: str, hookId: str) -> dict[str, Any]:
        """Delete a hook

        Remove a hook, and what is known of its firings. Succeeds too when there is no such hook. Its tasks stay.
        """
        await self._store.remove(Name(hookGroupId, hookId), await call.client_id())
        return {}

    async def _checked(self, call: Call, group: str, hook_id: str) -> tuple[Definition, int | None]:
        """The definition in a call, and when it fires first by its schedule. Raises InputError with what is wrong with it."""
        request = call.payload
        for word, given, expected in (("Group Ids", request.get("hookGroupId"), group), ("Ids", request.get("hookId"), hook_id)):
            if given and given != expected:
                raise errors.InputError("Hook {word} do not match: the body says {given}, the URL {expected}.", word=word, given=given, expected=expected)
        definition = model.definition(request)
        now, salt = self._clock.now(), f"{group}/{hook_id}"
        try:
            cron.check(definition.schedule, now, salt)
        except cron.CronError as error:
            raise errors.InputError("{reason}", reason=str(error)) from None
        self._check_bindings(definition)
        try:
            await self._sandbox.check(definition.trigger_schema)
        except Fault as fault:
            raise errors.InputError("triggerSchema is not a valid JSON schema:\n{faults}", faults=str(fault)) from None
        return definition, cron.next_after(definition.schedule, now, salt)

    def _check_bindings(self, definition: Definition) -> None:
        refused = model.denied(definition.bindings, self._denied)
        if refused:
            raise errors.InputError(
                "One or more of the exchanges below have been denied access to hooks: take them out of the bindings.\n{exchanges}",
                exchanges=json.dumps(refused),
            )  # fmt: skip

    def _due(self, time: int | None) -> None:
        if time is not None:
            self._times.no_later_than(time)


def no_such(name: Name) -> errors.ResourceNotFound:
    """The refusal of a name that is no hook's."""
    return errors.ResourceNotFound("No such hook: there is no {name}.", name=str(name))


async def existing(store: Store, name: Name) -> model.Hook:
    """A hook that is to be there. Raises ResourceNotFound."""
    hook = await store.get(name)
    if hook is None:
        raise no_such(name)
    return hook
