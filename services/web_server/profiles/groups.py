"""A task group as a profile: when each run began and ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tcbox import clock as clocks
from tcbox.services.web_server.profiles import skeleton

INTERVAL, START_ONLY = 1, 2
"""What a marker has: a beginning and an end, or a beginning alone."""
_CATEGORY = 5
_OPEN = ("running", "pending", "unscheduled")

_TASK = skeleton.marker_schema(
    "Task", "name", ("startTime", "Start time", "string"), ("name", "Task Name", "string"), ("taskId", "Task ID", "string"),
    ("owner", "Owner", "string"), ("retries", "Retries", "string"), ("state", "State", "string"),
    ("reasonCreated", "Reason Created", "string"), ("reasonResolved", "Reason Resolved", "string"),
    ("description", "Description", "string"), ("taskURL", "Task URL", "url"), ("source", "Source URL", "url"),
    ("taskGroup", "Task Group URL", "url"), ("liveLog", "Live Log", "url"), ("taskProfile", "Task Profile", "url"),
)  # fmt: skip
_GROUP = skeleton.marker_schema(
    "TaskGroup", "name", ("startTime", "Start time", "string"), ("name", "Task Group ID", "string"), ("expires", "Expires", "string"),
    ("tasks", "Tasks", "integer"), ("url", "URL", "url"),
)  # fmt: skip
_KINDS = skeleton.categories(
    Other="grey", Idle="transparent", Layout="purple", JavaScript="yellow", **{"GC / CC": "orange"}, Network="lightblue", Graphics="green", DOM="blue"
)


@dataclass
class _Markers:
    """The columns of a group's markers."""

    begins: int
    strings: skeleton.Strings = field(default_factory=skeleton.Strings)
    rows: list[tuple[str, int, int | None, dict[str, Any]]] = field(default_factory=list)

    def add(self, name: str, start: int, end: int | None, data: dict[str, Any]) -> None:
        self.rows.append((name, start - self.begins, None if end is None else end - self.begins, data))

    def columns(self) -> dict[str, Any]:
        return {
            "data": [row[3] for row in self.rows],
            "name": [self.strings.number(row[0]) for row in self.rows],
            "startTime": [row[1] for row in self.rows],
            "endTime": [row[2] for row in self.rows],
            "phase": [START_ONLY if row[2] is None else INTERVAL for row in self.rows],
            "category": [_CATEGORY] * len(self.rows),
            "length": len(self.rows),
        }


def resolved(tasks: Iterable[dict[str, Any]]) -> bool:
    """Whether none of the tasks is still to do."""
    return not any(task["status"]["state"] in _OPEN for task in tasks)


def build(group_id: str, tasks: Sequence[dict[str, Any]], root_url: str, now: int) -> dict[str, Any]:
    """The profile of a group from its tasks, each with `task` and `status`."""
    start, end = _span(tasks)
    whole = [each for each in tasks if not _name(each).startswith("Action:")]
    begins = start or 0
    markers = _Markers(begins)
    pages = f"{root_url}/tasks"
    about = {
        "type": "TaskGroup", "startTime": clocks.to_wire(begins), "name": group_id, "tasks": len(tasks),
        "expires": tasks[0]["task"].get("expires", "") if tasks else "", "url": f"{pages}/groups/{group_id}",
    }  # fmt: skip
    for name, (first, last) in (("TaskGroup", (start, end)), ("TaskGroup (no actions)", _span(whole))):
        if first is not None:
            markers.add(name, first, last, about)
    for name, began, ended, data in sorted(_runs(tasks, pages, now), key=lambda run: run[1]):
        markers.add(name, began, ended, data)
    product = f"Task Group {group_id} - {clocks.to_wire(begins)[:10]}"
    registered = 0 if start is not None else -1
    unregistered = registered if start is None else None if end is None else end - begins
    columns = markers.columns()
    thread = skeleton.thread(group_id, columns, markers.strings, begins=registered, ends=unregistered)
    return skeleton.profile(product, begins, thread, [_TASK, _GROUP], _KINDS)


def _runs(tasks: Iterable[dict[str, Any]], pages: str, now: int) -> Iterator[tuple[str, int, int | None, dict[str, Any]]]:
    for each in tasks:
        for run in each["status"].get("runs", ()):
            began = _moment(run.get("started"))
            if began is None:
                continue
            ended = _moment(run.get("resolved"))
            if ended is None and run["state"] == "running":
                ended = now
            grouping = run.get("reasonResolved") or run["state"]
            yield "Task" if run["state"] == "completed" else f"Task ({grouping})", began, ended, _about(each, run, pages, began)


def _about(each: dict[str, Any], run: dict[str, Any], pages: str, began: int) -> dict[str, Any]:
    task, task_id, number = each["task"], each["status"]["taskId"], run["runId"]
    metadata, retries = task["metadata"], task["retries"]
    here = f"{pages}/{quote(task_id, safe='')}"
    plain = run["state"] == "completed" and number == 0
    return {
        "type": "Task", "startTime": clocks.to_wire(began), "name": metadata["name"] if plain else f"{metadata['name']} (run {number + 1}/{retries})",
        "taskId": task_id, "owner": metadata["owner"], "description": metadata["description"], "source": metadata["source"],
        "retries": f"{number + 1} / {retries}", "state": run["state"], "reasonCreated": run["reasonCreated"],
        "reasonResolved": run.get("reasonResolved"), "taskURL": f"{here}/runs/{number}", "taskGroup": f"{pages}/groups/{task['taskGroupId']}",
        "liveLog": f"{here}/runs/{number}/logs/live/public/logs/live.log", "taskProfile": f"{here}/profiler",
    }  # fmt: skip


def _span(tasks: Iterable[dict[str, Any]]) -> tuple[int | None, int | None]:
    """When the first run began, and the last one ended."""
    begins, ends = [], []
    for each in tasks:
        for run in each["status"].get("runs", ()):
            begins.append(_moment(run.get("started") or run.get("resolved")))
            ends.append(_moment(run.get("resolved")))
    return _first(min, begins), _first(max, ends)


def _first(choose: Callable[[list[int]], int], moments: list[int | None]) -> int | None:
    there = [moment for moment in moments if moment is not None]
    return choose(there) if there else None


def _moment(text: str | None) -> int | None:
    return None if not text else clocks.from_wire(text)


def _name(each: dict[str, Any]) -> str:
    return str(each["task"]["metadata"]["name"])
