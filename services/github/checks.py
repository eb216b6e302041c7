"""What a check run shows of a task: pure, from the task's status as the queue tells it.

Source: the GitHub REST API on check runs; the published reference of the github service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks
from tcbox.services.github import links

QUEUED, IN_PROGRESS, COMPLETED = "queued", "in_progress", "completed"
MOST_ANNOTATIONS = 50
"""That GitHub takes in one request."""
MOST_TEXT = 60_000
"""Characters of a check run's text; GitHub takes 65535."""
MOST_SUMMARY = 10_000

_CONCLUSIONS = {
    "completed": "success",
    "failed": "failure",
    "exception": "failure",
    "deadline-exceeded": "timed_out",
    "canceled": "cancelled",
    "claim-expired": "failure",
    "worker-shutdown": "failure",
    "malformed-payload": "action_required",
    "resource-unavailable": "failure",
    "internal-error": "failure",
    "intermittent-task": "failure",
    "superseded": "neutral",
}
"""By why the task's last run was resolved. A run after which the task is tried again does not end the check run."""
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class State:
    """What a check run is to show.

    Attributes:
        run_id: the run that it is of; 0 before there is one.
        conclusion: None unless it is completed; `neutral` for an end that is not known here.
        known: whether the end is known here.
    """

    status: str
    run_id: int
    conclusion: str | None = None
    started: str | None = None
    resolved: str | None = None
    known: bool = True

    def payload(self) -> dict[str, Any]:
        """The state, as GitHub takes it."""
        made: dict[str, Any] = {"status": self.status}
        if self.started is not None:
            made["started_at"] = self.started
        if self.conclusion is not None:
            made["conclusion"] = self.conclusion
            if self.resolved is not None:
                made["completed_at"] = self.resolved
        return made


def state(status: Mapping[str, Any]) -> State:
    """What is to be shown of a task with this status."""
    runs: Sequence[Mapping[str, Any]] = status.get("runs") or ()
    run_id = max(len(runs) - 1, 0)
    run = runs[-1] if runs else {}
    if status["state"] in ("unscheduled", "pending"):
        return State(QUEUED, run_id)
    if status["state"] == "running":
        return State(IN_PROGRESS, run_id, started=run.get("started"))
    why = run.get("reasonResolved") or status["state"]
    conclusion = _CONCLUSIONS.get(str(why))
    return State(COMPLETED, run_id, conclusion or "neutral", run.get("started"), run.get("resolved"), known=conclusion is not None)


def title(context: str, event_type: str) -> str:
    """The title of a check run, and the context of a commit status: what made it, for which kind of event."""
    return f"{context} ({event_type.partition('.')[0]})"


def text(root_url: str, status: Mapping[str, Any], shown: State, live_log: str, artifacts: Sequence[Mapping[str, Any]]) -> str:
    """What stands below the summary: links, the run, its artifacts."""
    task_id, group = status["taskId"], status["taskGroupId"]
    log = links.live_log(root_url, task_id, shown.run_id, live_log)
    lines = [f"[Task]({links.task(root_url, task_id)}) | [Live log]({log}) | [Task group]({links.group(root_url, group)})"]
    runs = status.get("runs") or ()
    if runs:
        run = runs[-1]
        started, resolved = run.get("started"), run.get("resolved")
        lines += [
            "### Run",
            f"Task: **{task_id}**, run **{shown.run_id}**",
            f"State: **{run['state']}**" + (f", because: **{run['reasonResolved']}**" if run.get("reasonResolved") else ""),
            f"Started: {started or 'not yet'}",
            f"Resolved: {resolved or 'not yet'}",
        ]
        if started and resolved:
            lines.append(f"Took: {duration(clocks.from_wire(resolved) - clocks.from_wire(started))}")
    if artifacts:
        lines.append("### Artifacts")
        lines += [f"* [{_label(artifact)}]({links.artifact(root_url, task_id, shown.run_id, artifact['name'])})" for artifact in artifacts]
    return "\n".join(_spaced(lines))


def _spaced(lines: Sequence[str]) -> list[str]:
    """Lines as paragraphs, but for lists, which stand together."""
    return [line if line.startswith("* ") else f"{line}\n" for line in lines]


def _label(artifact: Mapping[str, Any]) -> str:
    size = artifact.get("contentLength")
    name = str(artifact["name"]).replace("[", "\\[").replace("]", "\\]")
    return name if size is None else f"{name} ({size_in_words(int(size))})"


def duration(milliseconds: int) -> str:
    """A time in words, such as `1 hour, 3 minutes`; milliseconds only below a minute."""
    seconds, rest = divmod(abs(milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute"), (seconds, "second"), (rest if abs(milliseconds) < clocks.MINUTE else 0, "millisecond")]
    told = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in parts if count]
    return ", ".join(told) or "0 seconds"


def size_in_words(size: int) -> str:
    """A size such as `1.5 MB`."""
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    shown = f"{value:.0f}" if unit == 0 or value >= 100 else f"{value:.1f}".removesuffix(".0")
    return f"{shown} {_UNITS[unit]}"


def cut(text: str, most: int) -> str:
    """A text that is not longer, cut at the end of a line."""
    if len(text) <= most:
        return text
    kept = text[: max(0, most - 30)]
    return f"{kept[: kept.rfind(chr(10)) + 1] or kept}\n(cut off here)"
