"""From a project's file and an event to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import errors, ids
from tcbox.client import Caller
from tcbox.run.event import Event
from tcbox.run.faults import CannotRun, WrongUsage
from tcbox.run.kinds import DOCKER, HOST
from tcbox.run.plan import Entry, Plan

FILE = ".taskcluster.yml"
_SCHEDULER = "taskcluster-github"


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be run.

    Attributes:
        folder: in which the project is.
        path: of the file.
        config: the text of a `.taskcluster.yml`, None for a task's definition.
        task: the definition, None for a `.taskcluster.yml`.
    """

    folder: Path
    path: Path
    config: str | None = None
    task: dict[str, Any] | None = None


def find(given: Path) -> Source:
    """What a path on the command line means: a folder of a project, its `.taskcluster.yml`, or a task's definition.

    Raises WrongUsage.
    """
    if given.is_dir():
        here = next((folder for folder in _upwards(given.resolve()) if (folder / FILE).exists()), None)
        if here is None:
            raise WrongUsage(f"{given.resolve()} has no {FILE}: name the project's folder, its {FILE}, or the file of a task's definition")
        path = here / FILE
    else:
        path = given
    text = read(path)
    if path.name.startswith(FILE):
        return Source(path.resolve().parent, path, config=text)
    value = _value(path, text)
    if "payload" not in value and "tasks" in value:
        return Source(path.resolve().parent, path, config=text)
    if "payload" not in value:
        raise WrongUsage(f"{path} is neither a {FILE} nor a task's definition: it has no `tasks` and no `payload`")
    return Source(path.resolve().parent, path, task=value)


def _upwards(folder: Path) -> list[Path]:
    """A folder and those above it, to the top of the work tree."""
    found = [folder, *folder.parents]
    top = next((index for index, each in enumerate(found) if (each / ".git").exists()), 0)
    return found[: top + 1]


def read(path: Path) -> str:
    """A file's text.

    Raises WrongUsage when it cannot be read.
    """
    try:
        return path.read_text()
    except OSError as error:
        raise WrongUsage(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path} is no text in UTF-8") from error


def _value(path: Path, text: str) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongUsage(f"{path} is neither JSON nor YAML: {error}") from error
    if not isinstance(value, dict):
        raise WrongUsage(f"{path} holds no object: expected a {FILE} or a task's definition")
    return value


async def github(caller: Caller, source: Source, event: Event) -> Plan:
    """The tasks that a `.taskcluster.yml` makes for an event of GitHub's.

    Raises CannotRun with what is wrong in the file.
    """
    assert source.config is not None
    fake: dict[str, Any] = {"type": event.tasks_for, "overrides": event.body}
    if event.action is not None:
        fake["action"] = event.action
    payload = {"body": source.config, "organization": event.owner, "repository": event.name, "fakeEvent": fake}
    try:
        reply = await caller.call("github", "renderTaskclusterYml", payload=payload)
    except errors.Unavailable as error:
        if "does not run" not in str(error):
            raise
        raise CannotRun("the instance runs no github service, which renders the file: enable it, or run with --ephemeral") from error
    except errors.ApiError as error:
        if error.status >= 500:
            raise
        raise CannotRun(f"{source.path}: {error}") from error
    entries = tuple(Entry(each["taskId"], each["task"]) for each in reply["tasks"])
    role = next((scope.removeprefix("assume:") for scope in reply["scopes"] if scope.startswith("assume:")), None)
    return Plan(entries, tuple(reply["scopes"]), role, hooks=_hooks(source))


def cron(source: Source, context: Mapping[str, Any], role: str) -> Plan:
    """The tasks that a `.taskcluster.yml` makes for a cron job.

    Raises CannotRun with what is wrong in the file.
    """
    import jsone

    assert source.config is not None
    config = _value(source.path, source.config)
    if config.get("version") != 1:
        raise CannotRun(f"{source.path}: only files of version 1 know cron jobs")
    try:
        rendered = jsone.render({key: value for key, value in config.items() if key not in ("version", "hooks")}, dict(context))
    except Exception as error:  # a template may raise whatever its functions do
        raise CannotRun(f"{source.path}: {error or type(error).__name__}") from error
    tasks = rendered.get("tasks") if isinstance(rendered, dict) else None
    entries: list[Entry] = []
    for task in tasks or []:
        if not isinstance(task, dict):
            raise CannotRun(f"{source.path}: `tasks` must be a list of tasks once it is rendered")
        task_id = str(task.get("taskId") or (context["ownTaskId"] if len(tasks or []) == 1 else ids.slugid()))
        rest = {key: value for key, value in task.items() if key != "taskId"}
        entries.append(Entry(task_id, {"taskGroupId": entries[0].task_id if entries else task_id, "created": context["now"], **rest}))
    return Plan(tuple(entries), (f"assume:{role}", f"queue:scheduler-id:{_SCHEDULER}", "queue:scheduler-id:-"), role)


def single(source: Source, now: int) -> Plan:
    """One task, by its definition; what it leaves out is filled in.

    Raises WrongUsage.
    """
    assert source.task is not None
    given = {key: _plain(value) for key, value in source.task.items() if key not in ("taskId", "status")}
    payload = given.get("payload")
    if not isinstance(payload, dict):
        raise WrongUsage(f"{source.path}: `payload` must be an object")
    created = clocks.to_wire(now)
    name = source.path.name.rpartition(".")[0] or source.path.name
    told = given.get("metadata")
    metadata = {"name": name, "description": f"of {source.path.name}", "owner": "nobody@localhost.localdomain", "source": "http://localhost/"}
    task = {**given, "created": created, "metadata": {**metadata, **(told if isinstance(told, dict) else {})}}
    if "deadline" not in given or _past(given["deadline"], now):
        task["deadline"] = clocks.to_wire(now + clocks.DAY)
        task["expires"] = clocks.to_wire(now + 7 * clocks.DAY)
    if "taskQueueId" not in given and "provisionerId" not in given:
        task["taskQueueId"] = f"local/{DOCKER if 'image' in payload else HOST}"
    task_id = ids.slugid()
    task["dependencies"] = []
    task["taskGroupId"] = task_id
    return Plan((Entry(task_id, task),))


def _plain(value: Any) -> Any:
    """YAML reads times as dates; the API wants text."""
    return clocks.to_wire(int(value.timestamp() * 1000)) if hasattr(value, "timestamp") else value


def _past(deadline: Any, now: int) -> bool:
    try:
        return clocks.from_wire(deadline) <= now
    except (ValueError, TypeError):
        return False


def _hooks(source: Source) -> tuple[str, ...]:
    try:
        listed = _value(source.path, source.config or "").get("hooks")
    except WrongUsage:
        return ()
    return tuple(str(each["name"]) for each in listed if isinstance(each, dict) and "name" in each) if isinstance(listed, list) else ()
