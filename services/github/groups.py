"""Keeps the state of builds, and shows it by a commit status where tasks have no check runs.

As with check runs, a message says that there is something to look at, and the queue is asked how things are.
"""

from __future__ import annotations

from typing import Any

from tcbox import errors
from tcbox.client import Caller
from tcbox.services.github import checks, compiling, links, store
from tcbox.services.github.hub import Hub, Repository
from tcbox.services.github.jobs import Job
from tcbox.services.github.store import Build, Store

_FAILED = ("failed", "exception")
_UNRESOLVED = ("unscheduled", "pending", "running")


class Groups:
    """Handles changes of task groups."""

    def __init__(self, kept: Store, hub: Hub, caller: Caller, *, root_url: str, status_context: str) -> None:
        self._store = kept
        self._hub = hub
        self._caller = caller
        self._root_url = root_url
        self._context = status_context

    async def handle(self, job: Job) -> None:
        """Note how far a task group has come, and show it."""
        build = await self._store.build(job.key)
        if build is None or (state := await self._state(job.key)) is None:
            return
        await self._store.set_state(build.task_group_id, state)
        if build.state == store.ERROR:
            state = store.ERROR  # some of its tasks are missing
        if state != build.told and await self._by_status(build):
            await self._show(build, state)
            await self._store.set_told(build.task_group_id, state)

    async def _by_status(self, build: Build) -> bool:
        if build.reporting is not None:
            return build.reporting == compiling.STATUSES
        return not await self._store.has_checks(build.task_group_id)

    async def _show(self, build: Build, state: str) -> None:
        repository = Repository(self._hub.installation(build.installation_id), build.organization, build.repository)
        await repository.ask(
            "POST", f"/statuses/{build.sha}", {
                "state": state,
                "target_url": links.group(self._root_url, build.task_group_id),
                "description": f"Task group: {state}" + (f" (for {build.event_type})" if build.told is None else ""),
                "context": checks.title(self._context, build.event_type),
            },
        )  # fmt: skip

    async def _state(self, task_group_id: str) -> str | None:
        """The state of a task group: of its tasks, the worst; None when there is no such group."""
        query: dict[str, str] = {}
        unresolved = False
        while True:
            try:
                page: dict[str, Any] = await self._caller.call("queue", "listTaskGroup", task_group_id, query=query)
            except errors.ResourceNotFound:
                return None
            states = {entry["status"]["state"] for entry in page["tasks"]}
            if states.intersection(_FAILED):
                return store.FAILURE
            unresolved |= not states.isdisjoint(_UNRESOLVED)
            if "continuationToken" not in page:
                return store.PENDING if unresolved else store.SUCCESS
            query = {"continuationToken": page["continuationToken"]}
