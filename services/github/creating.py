"""Creates the tasks of a build and fires its hooks, with the scopes of the repository's role, and tells of what fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tcbox import db, errors, log
from tcbox.client import LimitableCaller
from tcbox.events import Bus
from tcbox.scopes import ScopeSet
from tcbox.services.github import canceling, events, names, refusals, store
from tcbox.services.github.canceling import Canceling
from tcbox.services.github.comments import APPROVAL, CONFUSED, Comments
from tcbox.services.github.compiling import Graph, Trigger
from tcbox.services.github.hub import Repository
from tcbox.services.github.store import Build, Store

FAILED = "Taskcluster could not create the tasks"
_log = log.get("github")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a build comes from.

    Attributes:
        branch: that was pushed to, None for other events.
        comment: GitHub's id of the comment that asked for it, if one did.
    """

    repository: Repository
    sha: str
    pull_number: int | None
    branch: str | None
    installation_id: int
    event_type: str
    event_id: str
    comment: int | None = None


class NotCreated(errors.TcboxError):
    """Something was not created, for a reason that its author can mend; the message is written for them."""


class Creating:
    """Creates what a file asks for.

    Args:
        cancel_pushes: whether a push cancels the builds of earlier ones to its branch, unless that is the default one.
    """

    def __init__(
        self, database: db.Database, bus: Bus, kept: Store, caller: LimitableCaller, *,
        canceling: Canceling, comments: Comments, root_url: str, cancel_pushes: bool = False,
    ) -> None:  # fmt: skip
        self._db = database
        self._bus = bus
        self._store = kept
        self._caller = caller
        self._canceling = canceling
        self._comments = comments
        self._root_url = root_url
        self._cancel_pushes = cancel_pushes

    async def create(self, graph: Graph, trigger: Trigger, origin: Origin, *, default_branch: str) -> None:
        """Fire all hooks and create all tasks of a graph."""
        well = True
        for index in range(len(graph.hooks)):
            well &= await self._hook(index, graph, trigger, origin, default_branch=default_branch)
        if graph.tasks:
            well &= await self._tasks(graph, origin, default_branch)
        if origin.comment is not None:
            await self._comments.react(origin.repository, origin.comment, APPROVAL if well else CONFUSED)

    async def _tasks(self, graph: Graph, origin: Origin, default_branch: str) -> bool:
        first = graph.tasks[0]["task"]
        group = first["taskGroupId"]
        try:
            build = await self._own(graph, origin)
        except NotCreated as error:
            await self._tell(origin, FAILED, error)
            return False
        again = await self._store.begun(origin.event_id)
        await self._store.begin(origin.event_id)
        try:
            await self._create_all(graph, again=again)
        except NotCreated as error:
            await self._store.set_state(group, store.ERROR)
            await self._tell(origin, FAILED, error)
            return False
        if build.state == store.ERROR:  # of an earlier try
            await self._store.set_state(group, store.PENDING, force=True)
        await self._cancel_previous(graph, build, origin, default_branch)
        await self._announce(group, first["routes"], origin)
        return True

    async def _own(self, graph: Graph, origin: Origin) -> Build:
        """The build of a graph's tasks, noted unless it is there from an earlier try.

        Results of all tasks in a group are shown at the commit of the group's build, which is canceled as a whole. So nobody's
        file may name the group of another build: raises NotCreated, and leaves that build as it is.
        """
        groups = list(dict.fromkeys(str(entry["task"]["taskGroupId"]) for entry in graph.tasks))
        for group in groups:
            _refuse_other(await self._store.build(group), origin)
        build = await self._store.add(_build(origin, groups[0], graph.reporting))
        _refuse_other(build, origin)
        return build

    async def _tell(self, origin: Origin, summary: str, error: NotCreated) -> None:
        await self._comments.write(origin.repository, summary, str(error), sha=origin.sha, pull_number=origin.pull_number)

    async def _create_all(self, graph: Graph, *, again: bool) -> None:
        """Create all tasks; at a second try, those that are missing."""
        limited = self._caller.limited(graph.scopes)
        for entry in graph.tasks:
            if again and await self._exists(entry["taskId"]):
                continue
            name = _name(entry)
            try:
                await limited.call("queue", "createTask", entry["taskId"], payload=entry["task"])
            except errors.ApiError as error:
                if error.status >= 500:
                    raise
                if error.status == 403:
                    raise NotCreated(refusals.scopes_of_role(error, graph.scopes, f"creating the task {name}")) from None
                raise NotCreated(f"The queue does not take the task {name}:\n\n{refusals.fenced(str(error))}") from None

    async def _announce(self, group: str, routes: list[str], origin: Origin) -> None:
        organization, repository = names.encoded(origin.repository.owner), names.encoded(origin.repository.name)
        message = {"version": 1, "taskGroupId": group, "organization": organization, "repository": repository}

        async def announce(tx: db.Tx) -> None:
            await self._bus.publish(
                tx, events.task_group_creation_requested, message, routes=routes, organization=organization, repository=repository
            )  # fmt: skip

        await self._db.transaction(announce)

    async def _cancel_previous(self, graph: Graph, build: Build, origin: Origin, default_branch: str) -> None:
        """Cancel the builds that this one makes superfluous, unless the file says not to."""
        if not graph.cancel_previous:
            return
        pushes = self._cancel_pushes and origin.branch != default_branch
        pending = await self._store.pending(build.organization, build.repository)
        old = canceling.superseded(build, pending, pushes=pushes)
        if not old:
            return
        try:
            await self._canceling.cancel(build.organization, build.repository, old)
        except errors.ApiError as error:
            if error.status >= 500:
                raise
            told = refusals.scopes_of_role(error, canceling.scopes(build.organization, build.repository), "canceling the tasks of earlier commits")
            await self._comments.write(
                origin.repository, "Taskcluster could not cancel the tasks of earlier commits", told, sha=origin.sha, pull_number=origin.pull_number
            )

    async def _hook(self, index: int, graph: Graph, trigger: Trigger, origin: Origin, *, default_branch: str) -> bool:
        hook = graph.hooks[index]
        group = trigger.slugid(f"hook {index}")
        summary = f"Taskcluster could not fire the hook {hook['name']}"
        build = await self._store.add(_build(origin, group, None))
        try:
            _refuse_other(build, origin)
        except NotCreated as error:
            await self._tell(origin, summary, error)
            return False
        if await self._exists(group):
            return True
        payload = {
            "context": hook.get("context") or {}, "event": trigger.body, "now": trigger.now,
            "taskcluster_root_url": self._root_url, "tasks_for": trigger.tasks_for, "taskId": group,
        }  # fmt: skip
        try:
            made = await self._trigger(hook["name"], payload, graph.scopes)
        except NotCreated as error:
            await self._store.remove(group)
            await self._tell(origin, summary, error)
            return False
        if made is None:  # the hook makes no task for this
            await self._store.remove(group)
            return True
        await self._cancel_previous(graph, build, origin, default_branch)
        return True

    async def _exists(self, task_id: str) -> bool:
        """Whether a task was made already, at an earlier try."""
        try:
            await self._caller.call("queue", "status", task_id)
        except errors.ResourceNotFound:
            return False
        return True

    async def _trigger(self, name: str, payload: dict[str, Any], scopes: list[str]) -> str | None:
        group, slash, hook_id = name.partition("/")
        if not slash or not hook_id:
            raise NotCreated(f"`{name}` names no hook: write `<hookGroupId>/<hookId>`.")
        needed = f"github:trigger-hook:{name}"
        try:
            held = ScopeSet((await self._caller.call("auth", "expandScopes", payload={"scopes": scopes}))["scopes"])
            if not held.satisfies(needed):
                lacking = errors.InsufficientScopes("missing", unsatisfied=needed)
                raise NotCreated(refusals.scopes_of_role(lacking, scopes, f"firing the hook `{name}`"))
            limited = self._caller.limited([f"hooks:trigger-hook:{name}"])
            reply = await limited.call("hooks", "triggerHook", group, hook_id, payload=payload)
        except errors.Unavailable as error:
            if "does not run" in str(error):
                raise NotCreated("This instance runs no hooks service.") from None
            raise
        except errors.ApiError as error:
            if error.status >= 500 or error.status == 409:  # at an earlier try it was fired, and is not done yet
                raise
            raise NotCreated(f"The hook `{name}` could not be fired:\n\n{refusals.fenced(str(error))}") from None
        return (reply or {}).get("taskId")


def _refuse_other(build: Build | None, origin: Origin) -> None:
    """Raise NotCreated for a build that is of another event, commit or repository."""
    repository = origin.repository
    wanted = (repository.owner.lower(), repository.name.lower(), origin.sha, origin.event_id)
    if build is not None and (build.organization.lower(), build.repository.lower(), build.sha, build.event_id) != wanted:
        raise NotCreated(
            f"The task group `{build.task_group_id}` is that of another build, so nothing was created: take the `taskGroupId` out of `.taskcluster.yml`, "
            "or make one that is new for each event, by `as_slugid`."
        )


def _name(entry: dict[str, Any]) -> str:
    metadata = entry["task"].get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"`{name}` ({entry['taskId']})" if isinstance(name, str) else f"`{entry['taskId']}`"


def _build(origin: Origin, group: str, reporting: str | None) -> Build:
    return Build(
        task_group_id=group, organization=origin.repository.owner, repository=origin.repository.name, sha=origin.sha, state=store.PENDING,
        created=0, updated=0, installation_id=origin.installation_id, event_type=origin.event_type, event_id=origin.event_id,
        pull_number=origin.pull_number, branch=origin.branch, reporting=reporting,
    )  # fmt: skip
