"""From a rendered `.taskcluster.yml` to tasks with their ids, routes and group, and to the scopes they are made with. Pure.

Source: the published reference of `.taskcluster.yml`, versions 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tcbox.services.github import names, webhooks

SCHEDULER = "taskcluster-github"
CHECKS, STATUSES = "checks", "statuses"
"""The routes by which results come back, for check runs and for a commit status."""

_ENVIRONMENT = {
    "GITHUB_EVENT": "event.type",
    "GITHUB_BRANCH": "event.base.repo.branch",
    "GITHUB_PULL_REQUEST": "event.pullNumber",
    "GITHUB_PULL_TITLE": "event.title",
    "GITHUB_BASE_REPO_NAME": "event.base.repo.name",
    "GITHUB_BASE_REPO_URL": "event.base.repo.url",
    "GITHUB_BASE_USER": "event.base.user.login",
    "GITHUB_BASE_SHA": "event.base.sha",
    "GITHUB_BASE_BRANCH": "event.base.repo.branch",
    "GITHUB_BASE_REF": "event.base.ref",
    "GITHUB_HEAD_REPO_NAME": "event.head.repo.name",
    "GITHUB_HEAD_REPO_URL": "event.head.repo.url",
    "GITHUB_HEAD_USER": "event.head.user.login",
    "GITHUB_HEAD_SHA": "event.head.sha",
    "GITHUB_HEAD_BRANCH": "event.head.repo.branch",
    "GITHUB_HEAD_TAG": "event.head.tag",
    "GITHUB_HEAD_REF": "event.head.ref",
    "GITHUB_HEAD_USER_EMAIL": "event.head.user.email",
}


class ConfigError(ValueError):
    """A file that asks for what there is not; the message is for its author."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What tasks are made for.

    Attributes:
        organization, repository: their names as GitHub has them.
        seed: from which ids derive, so that the same delivery always makes the same tasks.
        now: the time that tasks are made with.
        details: what files of version 0 know of it.
        body: the event.
    """

    organization: str
    repository: str
    tasks_for: str
    branch: str
    details: Mapping[str, Any]
    body: Mapping[str, Any]
    seed: str
    now: str

    @property
    def kind(self) -> str:
        """What happened, such as `push`, `tag` or `pull_request.opened`."""
        return str(self.details["event.type"])

    def slugid(self, label: str) -> str:
        """An id that is the same whenever this trigger is handled."""
        return names.slugid(self.seed, label)


@dataclass(frozen=True, slots=True)
class Graph:
    """Tasks in the order of their creation, each as `{"taskId", "task"}`; hooks as they stand in the file."""

    tasks: list[dict[str, Any]]
    scopes: list[str]
    hooks: list[dict[str, Any]] = field(default_factory=list)
    cancel_previous: bool = True
    reporting: str = STATUSES


def role(trigger: Trigger, version: int) -> str | None:
    """The role that tasks for a trigger are made with, such as `repo:github.com/org/repo:branch:main`.

    Raises RefError for a branch or tag that cannot stand in it.
    """
    prefix = f"repo:github.com/{trigger.organization}/{trigger.repository}:"
    match trigger.tasks_for:
        case webhooks.PULL_REQUEST:
            return f"{prefix}pull-request"
        case webhooks.UNTRUSTED:
            return f"{prefix}pull-request-untrusted"
        case webhooks.COMMENT:
            return f"{prefix}pull-request" if version == 1 else None
        case webhooks.RELEASE:
            return f"{prefix}release:" + (str(trigger.body.get("action") or "published") if version == 1 else "published")
        case webhooks.PUSH if trigger.kind == "tag":
            return f"{prefix}tag:" + names.check_ref(trigger.details.get("event.head.tag"))
        case webhooks.PUSH:
            return f"{prefix}branch:" + names.check_ref(trigger.details.get("event.base.repo.branch"))
    return None


def parameters(trigger: Trigger, task_queue: str, milliseconds: int) -> dict[str, Any]:
    """What may stand in `{{ … }}` in a file of version 0."""
    provisioner, _, worker_type = task_queue.partition("/")
    return {
        **trigger.details,
        "timestamp": milliseconds,
        "organization": trigger.organization,
        "repository": trigger.repository,
        "taskcluster.docker.provisionerId": provisioner or "unknown",
        "taskcluster.docker.workerType": worker_type or "unknown",
    }


def version_0(config: Mapping[str, Any], trigger: Trigger) -> Graph:
    """The tasks of a file of version 0, parameters in place.

    Raises ConfigError, RefError.
    """
    names.check_ref(trigger.details.get("event.head.repo.branch"))
    made: list[dict[str, Any]] = []
    for index, task in enumerate(config.get("tasks") or []):
        if _wanted(task, trigger):
            routes = _routes(task, STATUSES, index)
            made.append({"taskId": trigger.slugid(f"task {index}"), "task": {**_with_environment(task, trigger), "routes": routes}})
    for entry in made:
        entry["task"].update(taskGroupId=made[0]["taskId"], schedulerId=SCHEDULER)
    return Graph(made, _scopes(role(trigger, 0), STATUSES))


def _wanted(task: Mapping[str, Any], trigger: Trigger) -> bool:
    """Whether a task of version 0 is for this kind of event, and for this branch."""
    extra = task.get("extra")
    github = extra.get("github") if isinstance(extra, Mapping) else None
    if not isinstance(github, Mapping):
        return False
    include, exclude, branch = github.get("branches"), github.get("excludeBranches"), trigger.details.get("event.base.repo.branch")
    if include and exclude:
        raise ConfigError("A task has both `branches` and `excludeBranches` in `extra.github`: give one of them.")
    events = github.get("events") or []
    if not isinstance(events, list):
        raise ConfigError("`extra.github.events` must be a list, such as `[push, pull_request.*]`.")
    if not any(trigger.kind.startswith(str(event).rstrip("*")) for event in events):
        return False
    if trigger.kind != "push" or not (include or exclude):
        return True
    return branch in include if include else branch not in (exclude or ())


def _with_environment(task: Mapping[str, Any], trigger: Trigger) -> dict[str, Any]:
    made = dict(task)
    if not task["extra"]["github"].get("env"):
        return made
    payload = dict(task.get("payload") or {})
    told = {name: trigger.details[key] for name, key in _ENVIRONMENT.items() if trigger.details.get(key) is not None}
    payload["env"] = {**(payload.get("env") or {}), **{name: str(value) for name, value in told.items()}}
    return {**made, "payload": payload}


def context(trigger: Trigger, root_url: str) -> dict[str, Any]:
    """What templates of version 1 see, beside `now` and `as_slugid`."""
    names.check_ref(trigger.branch)
    return {"taskcluster_root_url": root_url, "tasks_for": trigger.tasks_for, "event": trigger.body}


def version_1(rendered: Any, hooks: list[dict[str, Any]], trigger: Trigger) -> Graph:
    """The tasks of a file of version 1, rendered, in an order in which each comes after those that it depends on.

    Raises ConfigError, RefError.
    """
    config = rendered if isinstance(rendered, Mapping) else {}
    tasks = config.get("tasks")
    tasks = [] if tasks is None else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, Mapping) for task in tasks):
        raise ConfigError("`tasks` must be a list of tasks, or an empty list, once it is rendered.")
    route = CHECKS if config.get("reporting") else STATUSES
    scopes = _scopes(role(trigger, 1), route)
    return Graph(_ordered(_completed(tasks, route, trigger)), scopes, hooks, config.get("autoCancelPreviousChecks") is not False, route)


def _completed(tasks: list[Mapping[str, Any]], route: str, trigger: Trigger) -> dict[str, dict[str, Any]]:
    """Tasks by their ids, with what the file leaves out."""
    group = _default_group(tasks, trigger)
    made: dict[str, dict[str, Any]] = {}
    for index, task in enumerate(tasks):
        alone = len(tasks) == 1
        task_id = task.get("taskId") or (task.get("taskGroupId") or group if alone else trigger.slugid(f"task {index}"))
        if not isinstance(task_id, str):
            raise ConfigError(f"The `taskId` of task {index + 1} must be text.")
        if task_id in made:
            raise ConfigError(f"Two tasks have the same `taskId`, {task_id}: give each its own, by `as_slugid` with another label.")
        rest = {key: value for key, value in task.items() if key != "taskId"}
        made[task_id] = {"schedulerId": SCHEDULER, "taskGroupId": group, "created": trigger.now, **rest, "routes": _routes(task, route, index)}
    return made


def _default_group(tasks: list[Mapping[str, Any]], trigger: Trigger) -> str:
    """A single task is the first of its group, as decision tasks are; several make a group that none is the first of."""
    if len(tasks) == 1 and tasks[0].get("taskId"):
        return str(tasks[0]["taskId"])
    return trigger.slugid("group")


def _routes(task: Mapping[str, Any], route: str, index: int) -> list[str]:
    routes = task.get("routes") or []
    if not isinstance(routes, list) or not all(isinstance(each, str) for each in routes):
        raise ConfigError(f"The `routes` of task {index + 1} must be a list of texts.")
    return list(dict.fromkeys([*routes, route]))


def _ordered(tasks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks after those that they depend on, else in the order of the file."""
    done: dict[str, bool] = {}
    made: list[dict[str, Any]] = []
    for first in tasks:
        stack = [(first, iter(_needs(tasks, first)))] if first not in done else []
        done.setdefault(first, False)
        while stack:
            task_id, needs = stack[-1]
            need = next((each for each in needs if not done.get(each, False)), None)
            if need is None:
                stack.pop()
                done[task_id] = True
                made.append({"taskId": task_id, "task": tasks[task_id]})
            elif need in done:
                raise ConfigError(f"Tasks depend on each other in a circle, by way of {need}: take one of its `dependencies` out.")
            else:
                done[need] = False
                stack.append((need, iter(_needs(tasks, need))))
    return made


def _needs(tasks: Mapping[str, dict[str, Any]], task_id: str) -> list[str]:
    needs = tasks[task_id].get("dependencies") or []
    if not isinstance(needs, list):
        raise ConfigError(f"The `dependencies` of the task {task_id} must be a list of taskIds.")
    return [need for need in needs if isinstance(need, str) and need in tasks and need != task_id]


def _scopes(name: str | None, route: str) -> list[str]:
    assumed = [] if name is None else [f"assume:{name}"]
    return [*assumed, f"queue:route:{route}", f"queue:scheduler-id:{SCHEDULER}"]
