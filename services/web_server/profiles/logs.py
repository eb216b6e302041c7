"""A task's log as a profile: each line at its time."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, Any

import msgspec

from tcbox import errors
from tcbox.services.web_server.profiles import skeleton

NAMES = ("public/logs/live.log", "public/logs/live_backing.log")
"""The artifacts that may hold a log, in the order in which they are tried."""
MOST_LINES = 1_000_000
"""Lines of a log that is made a profile of; each takes some hundred bytes of memory meanwhile."""

_LINE = re.compile(r"\s*\[(?P<component>\w+)(?::\w+)?\s*(?P<time>[\d\-T:.Z+]+)\]\s*(?P<message>.*)")
_AGAIN = re.compile(r"\s*\[[\d\-T:.Z+ ]+\]\s*")
_HEAD = 200
"""Characters at the beginning of a line that may say its time."""
_UNTIMED = "no timestamp"
_ROW = skeleton.marker_schema("LiveLogRow", "message", ("startTime", "Start time", "string"), ("message", "Log Message", "unique-string"))
_TASK = skeleton.marker_schema(
    "Task", "taskName", ("startTime", "Start time", "string"), ("taskName", "Task Name", "string"), ("time", "Time", "time"),
    ("taskURL", "Task", "url"), ("taskGroupURL", "Task Group", "url"), ("taskId", "Task ID", "string"),
    ("taskGroupId", "Task Group ID", "string"), ("taskGroupProfile", "Task Group Profile", "url"),
)  # fmt: skip
_KINDS = skeleton.categories(none="grey", fetches="purple", vcs="orange", setup="lightblue", taskcluster="green", Task="lightblue", Log="green")
_NUMBERS = {kind["name"]: number for number, kind in enumerate(_KINDS)}


class LogProfile:
    """A profile that grows line by line."""

    def __init__(self, task_id: str, task: dict[str, Any], root_url: str) -> None:
        self._strings = skeleton.Strings()
        self._task_id, self._task, self._root_url = task_id, task, root_url
        self._begins: int | None = None
        self._last = 0
        self._waiting: list[str] = []
        self._names = [self._strings.number(task["metadata"]["name"])]
        self._times = [0]
        self._kinds = [_NUMBERS["Task"]]
        self._data: list[msgspec.Raw] = []

    def add(self, line: str) -> None:
        """Take the next line; one without a time has that of the line before, or, at the beginning, of the first that has one."""
        if not line.strip():
            return
        found = _LINE.match(line[:_HEAD])  # the expression takes time by the square of what it is given
        time = _time(found["time"]) if found is not None else None
        if found is not None and time is not None:
            if self._begins is None:
                self._begins = time
                for before in self._waiting:
                    self._mark(_UNTIMED, time, before)
                self._waiting.clear()
            self._last = time
            message = line[found.start("message") :]
            again = _AGAIN.match(message)
            self._mark(found["component"], time, message if again is None else message[again.end() :])
        elif self._begins is None:
            self._waiting.append(line)
        else:
            self._mark(_UNTIMED, self._last, line)

    def _mark(self, component: str, time: int, message: str) -> None:
        self._names.append(self._strings.number(component))
        self._times.append(time - (self._begins or 0))
        self._kinds.append(_NUMBERS.get(component, _NUMBERS["Log"]))
        self._data.append(msgspec.Raw(b'{"type":"LiveLogRow","message":%d}' % self._strings.number(message)))

    def finish(self) -> dict[str, Any]:
        """The profile of the lines so far."""
        task, begins = self._task, self._begins or 0
        count = len(self._times)
        pages = f"{self._root_url}/tasks"
        about = {
            "type": "Task", "name": "Task", "taskName": task["metadata"]["name"], "taskId": self._task_id, "taskGroupId": task["taskGroupId"],
            "taskGroupURL": f"{pages}/groups/{task['taskGroupId']}", "taskURL": f"{pages}/{self._task_id}",
            "taskGroupProfile": f"{pages}/groups/{task['taskGroupId']}/profiler",
        }  # fmt: skip
        markers = {
            "data": [about, *self._data], "name": self._names, "startTime": self._times,
            "endTime": [self._last - begins if self._begins is not None else 0, *[None] * (count - 1)],
            "phase": [1, *[0] * (count - 1)], "category": self._kinds, "length": count,
        }  # fmt: skip
        product = f"{task['metadata']['name']} {self._task_id} - {task['created'][:10]}"
        thread = skeleton.thread("Live Log", markers, self._strings)
        return skeleton.profile(product, begins, thread, [_ROW, _TASK], _KINDS)


def packed(task_id: str, task: dict[str, Any], root_url: str, log: IO[bytes]) -> bytes:
    """The profile of a log as JSON, compressed by gzip. It may take seconds, so run it in a thread."""
    made = LogProfile(task_id, task, root_url)
    for count, line in enumerate(_lines(log)):
        if count >= MOST_LINES:
            raise errors.InputTooLarge("The log has more than {most} lines, and no profile is made of a longer one.", most=MOST_LINES)
        made.add(line)
    return gzip.compress(msgspec.json.encode(made.finish()), compresslevel=5, mtime=0)


def _lines(log: IO[bytes]) -> Iterable[str]:
    for raw in log:
        yield raw.rstrip(b"\r\n").decode(errors="replace")


def _time(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
