"""Tries a `.taskcluster.yml` out."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api.call import Call
from tcbox.services.github import samples, webhooks
from tcbox.services.github.compiling import Trigger
from tcbox.services.github.configs import Checker, ConfigInvalid, Configs
from tcbox.services.github.declarations import api
from tcbox.services.github.renderer import Renderer


class Rendering:
    """Renders files for events that are made up.

    Args:
        validator: finds a schema of the service by its name.
    """

    def __init__(self, renderer: Renderer, configs: Configs, clock: clocks.Clock, validator: Callable[[str], Checker]) -> None:
        self._renderer = renderer
        self._configs = configs
        self._clock = clock
        self._validator = validator

    @api.post(
        "/taskcluster-yml", name="renderTaskclusterYml", input="render-taskcluster-yml-input", output="render-taskcluster-yml-output",
        category="Github Service", stability="experimental",
    )  # fmt: skip
    async def render(self, call: Call) -> dict[str, Any]:
        """Render .taskcluster.yml file

        Which tasks a `.taskcluster.yml` makes for an event, and with which scopes, without creating any. The event is
        made up; `overrides` replaces parts of it, and its `branch` is the name of the branch.
        """
        payload = call.payload
        organization, repository = payload.get("organization", "taskcluster"), payload.get("repository", "testing")
        fake = payload["fakeEvent"]
        overrides = fake.get("overrides") or {}
        body = samples.event(fake["type"], fake.get("action"), organization, repository, overrides)
        details = self._details(fake["type"], body)
        if fake["type"] == webhooks.COMMENT:
            body["taskcluster_comment"] = details["taskcluster_comment"]
        branch = overrides.get("branch")
        trigger = Trigger(
            organization=organization, repository=repository, tasks_for=fake["type"], branch=branch if isinstance(branch, str) and branch else "main",
            details=details, body=body, seed=str(uuid.uuid4()), now=clocks.to_wire(self._clock.now()),
        )  # fmt: skip
        try:
            config = await self._configs.load(self._renderer, payload["body"])
            graph = await self._configs.compile(self._renderer, config, trigger)
        except ConfigInvalid as error:
            raise errors.InputError("{reason}", reason=str(error)) from None
        return {"tasks": graph.tasks, "scopes": graph.scopes}

    def _details(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """What files of version 0 know of the event; raises InputError when `overrides` has made it none."""
        faults = self._validator(samples.schema(kind)).check(body)
        if faults:
            listed = "\n".join(f"  * {fault.path or '/'}: {fault.message}" for fault in faults)
            raise errors.InputError("With these overrides the event is none of {kind}:\n{faults}", kind=kind, faults=listed)
        details = samples.details(kind, body)
        if kind == webhooks.COMMENT and "taskcluster_comment" not in details:
            raise errors.InputError("The comment has no command: write `/taskcluster <command>` on a line of `overrides.comment.body`.")
        return details
