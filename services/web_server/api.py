"""The methods of the service: profiles."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api.call import Call, Reply
from tcbox.services.web_server.declarations import api
from tcbox.services.web_server.issuing import Callers
from tcbox.services.web_server.logs import Logs
from tcbox.services.web_server.profiles import groups
from tcbox.services.web_server.profiles import logs as log_profiles

MOST_TASKS = 20_000
"""Tasks of a group that is made a profile of."""
AT_ONCE = 2
"""Profiles that are made at the same time: anybody may ask for one, and they cost seconds and memory."""

_DAY = "public, max-age=86400"
_OPEN = ("running", "pending", "unscheduled")


class Profiles:
    """Makes profiles, of what the caller may read."""

    def __init__(self, *, callers: Callers, logs: Logs, root_url: str, clock: clocks.Clock, most_tasks: int = MOST_TASKS) -> None:
        self._callers = callers
        self._logs = logs
        self._root_url = root_url
        self._clock = clock
        self._most_tasks = most_tasks
        self._turn = asyncio.Semaphore(AT_ONCE)

    @api.get("/task-group/<taskGroupId>/profile", name="taskGroupProfile", category="Profiler", stability="experimental")
    async def task_group_profile(self, call: Call, taskGroupId: str) -> Reply:
        """Task Group Profile

        A task group as a profile for the Firefox Profiler: when each run of its tasks began and ended. It shows what
        the caller may read; without a signature, what everybody may.
        """
        caller = self._callers.restricted((await call.caller()).scopes.expanded.scopes)
        tasks: list[dict[str, Any]] = []
        query: dict[str, str] = {}
        async with self._turn:
            while True:
                page = await caller.call("queue", "listTaskGroup", taskGroupId, query=query)
                tasks += page["tasks"]
                if len(tasks) > self._most_tasks:
                    raise errors.InputTooLarge("Task group has more than {most} tasks, and no profile is made of a larger one.", most=self._most_tasks)
                if "continuationToken" not in page:
                    break
                query = {"continuationToken": page["continuationToken"]}
            body = await asyncio.to_thread(self._group, taskGroupId, tasks, self._clock.now())
        return Reply(body, headers={"Cache-Control": await self._caching(call, settled=groups.resolved(tasks))})

    def _group(self, group_id: str, tasks: list[dict[str, Any]], now: int) -> bytes:
        return msgspec.json.encode(groups.build(group_id, tasks, self._root_url, now))

    @api.get("/task/<taskId>/profile", name="taskProfile", category="Profiler", stability="experimental")
    async def task_profile(self, call: Call, taskId: str) -> Reply:
        """Task Log Profile

        The log of a resolved task as a profile for the Firefox Profiler: each line at the time that it was written.
        The log is the artifact `public/logs/live.log` or `public/logs/live_backing.log` of the latest run. It shows
        what the caller may read; without a signature, what everybody may.
        """
        caller = self._callers.restricted((await call.caller()).scopes.expanded.scopes)
        task = await caller.call("queue", "task", taskId)
        status = (await caller.call("queue", "status", taskId))["status"]
        if status["state"] in _OPEN:
            raise errors.ResourceNotFound(
                "Profiling is only supported on resolved tasks, and {taskId} is {state}: ask again when it is done.", taskId=taskId, state=status["state"]
            )
        async with self._turn:
            log = await self._logs.fetch(caller, taskId)
            with log:
                body = await asyncio.to_thread(log_profiles.packed, taskId, task, self._root_url, log)
        return Reply(body, headers={"Cache-Control": await self._caching(call, settled=True), "Content-Encoding": "gzip"})

    async def _caching(self, call: Call, *, settled: bool) -> str:
        """How long a profile may be kept: by everybody's caches only what everybody may read."""
        if not settled:
            return "no-cache"
        return _DAY if (await call.caller()).scheme == "none" else _DAY.replace("public", "private")
