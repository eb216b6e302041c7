"""Has the check run of each task show what the queue says of the task.

A message that something happened to a task only says that there is something to look at: what is shown is what the
queue says when GitHub is asked to show it. So messages may be late, come twice, or be left out.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tcbox import errors, log
from tcbox.client import Caller
from tcbox.services.github import artifacts, checks, links, logs
from tcbox.services.github.artifacts import ArtifactError, Artifacts
from tcbox.services.github.checks import COMPLETED, State
from tcbox.services.github.comments import Comments
from tcbox.services.github.hub import Hub, Refused, Repository
from tcbox.services.github.jobs import Job
from tcbox.services.github.store import Build, Check, Store

_log = log.get("github")
CANNOT_SHOW = "Taskcluster cannot show all of a task's results"


class View(NamedTuple):
    """What there is to show of a task: its definition, its status, what that comes to, and annotations."""

    task: dict[str, Any]
    status: dict[str, Any]
    shown: State
    annotations: list[Any]

    @property
    def task_id(self) -> str:
        """The task."""
        return str(self.status["taskId"])


class Results:
    """Handles changes of tasks.

    Args:
        status_context: what titles begin with.
    """

    def __init__(self, kept: Store, hub: Hub, caller: Caller, *, artifacts: Artifacts, comments: Comments, root_url: str, status_context: str) -> None:
        self._store = kept
        self._hub = hub
        self._caller = caller
        self._artifacts = artifacts
        self._comments = comments
        self._root_url = root_url
        self._context = status_context

    async def handle(self, job: Job) -> None:
        """Show one task as it is."""
        build = await self._store.build(job.payload["taskGroupId"])
        if build is None:
            return
        try:
            status = (await self._caller.call("queue", "status", job.key))["status"]
            task = await self._caller.call("queue", "task", job.key)
        except errors.ResourceNotFound:
            return  # it has expired
        shown = checks.state(status)
        known = await self._store.check(build.task_group_id, job.key)
        view = View(task, status, shown, await self._annotations(build, task, shown, job.key))
        if known is None or shown.status != COMPLETED or (known.told, known.run_id) != (COMPLETED, shown.run_id):
            known = await self._show(build, view, known)
        await self._annotate(build, known, view.annotations)

    async def _show(self, build: Build, view: View, known: Check | None) -> Check:
        """Make the check run, or change it; GitHub does not take back that one is completed, so then another is made."""
        shown, task_id, output = view.shown, view.task_id, await self._output(build, view)
        body: dict[str, Any] = {**shown.payload(), "output": output}
        if known is not None and known.told == COMPLETED:
            known = None
        if known is None:
            body |= {
                "name": str(view.task["metadata"]["name"]), "head_sha": build.sha, "external_id": task_id,
                "details_url": links.task(self._root_url, task_id),
            }  # fmt: skip
        send = self._sender(self._repository(build), None if known is None else known.check_run_id)
        first = view.annotations[: checks.MOST_ANNOTATIONS]
        try:
            made = await send({**body, "output": {**output, "annotations": first}} if first else body)
        except Refused as error:
            if error.status != 422 or not first:
                raise
            await self._tell(build, f"GitHub does not take the annotations of the task {task_id}: {error}")
            first, made = view.annotations, await send(body)  # none of them counts as missing
        check = Check(
            build.task_group_id, task_id, int(made["check_suite"]["id"]), int(made["id"]), shown.status, shown.run_id, annotated=len(first)
        )  # fmt: skip
        await self._store.set_check(check)
        return check

    @staticmethod
    def _sender(repository: Repository, check_run_id: int | None) -> Callable[[dict[str, Any]], Awaitable[Any]]:
        async def send(body: dict[str, Any]) -> Any:
            if check_run_id is None:
                return await repository.ask("POST", "/check-runs", body)
            return await repository.ask("PATCH", f"/check-runs/{check_run_id}", body)

        return send

    async def _annotate(self, build: Build, check: Check, annotations: list[Any]) -> None:
        """Add the annotations that one request has no room for; GitHub adds them to those that are there."""
        repository = self._repository(build)
        while len(annotations) > check.annotated:
            some = annotations[check.annotated : check.annotated + checks.MOST_ANNOTATIONS]
            output = {"title": checks.title(self._context, build.event_type), "summary": f"{len(annotations)} annotations", "annotations": some}
            try:
                await repository.ask("PATCH", f"/check-runs/{check.check_run_id}", {"output": output})
            except Refused as error:
                if error.status != 422:
                    raise
                await self._tell(build, f"GitHub does not take all annotations of the task {check.task_id}: {error}")
                return
            check = check._replace(annotated=check.annotated + len(some))
            await self._store.set_check(check)

    async def _output(self, build: Build, view: View) -> dict[str, Any]:
        task, status, shown, task_id = view.task, view.status, view.shown, view.task_id
        summary, title = str(task["metadata"]["description"]), checks.title(self._context, build.event_type)
        if not shown.known:
            title, summary = "Unknown resolution", f"The task was resolved in a way that is not known here: see [the task]({self._root_url}/tasks/{task_id})."
        listed = await self._artifacts.names(task_id, shown.run_id) if status.get("runs") else []
        text = checks.text(self._root_url, status, shown, _live_log(task), listed)
        if shown.status == COMPLETED:
            text = checks.cut(text, checks.MOST_TEXT // 2)
            custom = await self._custom(build, task_id, shown.run_id, _names(task)[0])
            if custom:
                text += "\n\n" + checks.cut(custom, checks.MOST_TEXT - len(text) - 10)
            text += await self._log(task_id, shown.run_id, checks.MOST_TEXT - len(text))
        return {"title": title, "summary": checks.cut(summary, checks.MOST_SUMMARY), "text": checks.cut(text, checks.MOST_TEXT)}

    async def _log(self, task_id: str, run_id: int, room: int) -> str:
        chunks = await self._artifacts.log(task_id, run_id) if room > 1000 else None
        if chunks is None:
            return ""
        try:
            found = await logs.excerpt(chunks, room - 100)
        except errors.Unavailable as error:
            _log.info("a log cannot be shown: %s", error, extra={"taskId": task_id})
            return ""
        if not found:
            return ""
        ticks = "`" * 4
        return f"\n\n---\n\n{ticks}\n{found.replace(ticks, '` ` ` `')}\n{ticks}"

    async def _custom(self, build: Build, task_id: str, run_id: int, name: str) -> str | None:
        try:
            return await self._artifacts.text(task_id, run_id, name)
        except ArtifactError as error:
            await self._tell(build, f"Of the task {task_id}: {error}")
            return None

    async def _annotations(self, build: Build, task: dict[str, Any], shown: State, task_id: str) -> list[Any]:
        if shown.status != COMPLETED:
            return []
        name = _names(task)[1]
        text = await self._custom(build, task_id, shown.run_id, name)
        if not text:
            return []
        try:
            found = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            await self._tell(build, f"The artifact `{name}` of the task {task_id} is no JSON: {error}")
            return []
        if not isinstance(found, list):
            await self._tell(build, f"The artifact `{name}` of the task {task_id} must hold a list of annotations, in GitHub's form.")
            return []
        return found

    def _repository(self, build: Build) -> Repository:
        return Repository(self._hub.installation(build.installation_id), build.organization, build.repository)

    async def _tell(self, build: Build, details: str) -> None:
        await self._comments.write(self._repository(build), CANNOT_SHOW, details, sha=build.sha)


def _names(task: dict[str, Any]) -> tuple[str, str]:
    """The artifacts that hold text and annotations for the check run."""
    extra: Any = task.get("extra")
    for key in ("github", "customCheckRun"):
        extra = extra.get(key) if isinstance(extra, dict) else None
    custom = extra if isinstance(extra, dict) else {}
    return str(custom.get("textArtifactName") or artifacts.TEXT), str(custom.get("annotationsArtifactName") or artifacts.ANNOTATIONS)


def _live_log(task: dict[str, Any]) -> str:
    """The name of the live log: docker workers have it in `payload.log`, generic workers in `payload.logs.live`."""
    payload = task.get("payload")
    if isinstance(payload, dict):
        named = payload.get("logs")
        for name in (named.get("live") if isinstance(named, dict) else None, payload.get("log")):
            if isinstance(name, str) and name:
                return name
    return "public/logs/live.log"
