"""From messages to work: what is announced of events and of tasks becomes jobs, and nothing else is done here."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from tcbox.events import Binding, Bus, Event
from tcbox.services.github import building, compiling, events, store
from tcbox.services.github.jobs import Job, Jobs
from tcbox.services.github.store import Build, Store

EVENT, RERUN, CHECK, GROUP = "event", "rerun", "check", "group"
"""Kinds of jobs: an event to make tasks for, a check to run again, a task or a task group to show."""

_QUEUE = "exchange/taskcluster-queue/v1/"
_TASK = ("task-defined", "task-pending", "task-running", "task-completed", "task-failed", "task-exception")
_BEGUN = ("pending", "running")
_FAILED = ("failed", "exception")

EVENTS = tuple(Binding(exchange.address) for exchange in (events.pull_request, events.push, events.release, events.rerun))
TASKS = tuple(Binding(f"{_QUEUE}{kind}", f"route.{compiling.CHECKS}") for kind in _TASK)
GROUPS = (
    Binding(events.task_group_creation_requested.address, f"route.{compiling.STATUSES}"),
    *(Binding(f"{_QUEUE}{kind}", f"route.{compiling.STATUSES}") for kind in ("task-pending", "task-running", "task-failed", "task-exception")),
    Binding(f"{_QUEUE}task-group-resolved"),
)
NAMES = ("github/events", "github/tasks", "github/groups")


class Inbox:
    """Listens, and asks for work."""

    def __init__(self, bus: Bus, kept: Store, jobs: Jobs) -> None:
        self._bus = bus
        self._store = kept
        self._jobs = jobs

    async def start(self, stack: AsyncExitStack) -> None:
        """Listen until the stack is closed; what comes in between is told at the next start."""
        for name, bindings, handler in zip(NAMES, (EVENTS, TASKS, GROUPS), (self.event, self.task, self.group), strict=True):
            subscription = await self._bus.subscribe(name, bindings, handler)
            stack.push_async_callback(self._bus.unsubscribe, subscription)

    async def forget(self) -> None:
        """Have no messages kept: there is nobody to do the work."""
        for name in NAMES:
            await self._bus.forget(name)

    async def event(self, event: Event) -> None:
        """Something happened on GitHub."""
        message: dict[str, Any] = event.payload
        if event.exchange == events.rerun.address:
            job = Job(RERUN, message["eventId"], f"rerun {message['checkRunId']}", message["installationId"], message)
        else:
            job = Job(EVENT, message["eventId"], building.lane(message), message["installationId"], message)
        await self._jobs.add(job, event.id)

    async def task(self, event: Event) -> None:
        """Something happened to a task that is shown by a check run."""
        status = event.payload["status"]
        build = await self._store.build(status["taskGroupId"])
        if build is None:  # of a task of another making
            return
        task_id = status["taskId"]
        await self._jobs.add(Job(CHECK, task_id, f"check {task_id}", build.installation_id, {"taskGroupId": build.task_group_id}), event.id)
        if build.state != store.PENDING and status.get("state") in _BEGUN:  # it is run again
            await self._look(build, event)

    async def group(self, event: Event) -> None:
        """Something happened to a task group that may change its state."""
        status = event.payload.get("status")
        build = await self._store.build(event.payload["taskGroupId"] if status is None else status["taskGroupId"])
        if build is None:
            return
        state = None if status is None else status.get("state")
        if state is None or (state in _FAILED and build.state != store.FAILURE) or (state in _BEGUN and build.state != store.PENDING):
            await self._look(build, event)

    async def _look(self, build: Build, event: Event) -> None:
        group = build.task_group_id
        await self._jobs.add(Job(GROUP, group, f"group {group}", build.installation_id, {}), event.id)
