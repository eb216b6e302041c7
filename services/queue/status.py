"""A task's state as a frozen value: the published status structure, decoded from and encoded to its JSON.

Source: the queue's schema `task-status`. Times stand in it as on the wire.
"""

from __future__ import annotations

import msgspec

MAX_RUNS = 50
"""Runs that a task may have; a rerun beyond it is refused."""

OPEN = frozenset({"unscheduled", "pending", "running"})
"""The states of a task that is not resolved."""


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """One attempt at a task."""

    run_id: int
    state: str
    reason_created: str
    reason_resolved: str | None = None
    worker_group: str | None = None
    worker_id: str | None = None
    taken_until: str | None = None
    scheduled: str
    started: str | None = None
    resolved: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel", dict=True):
    """Where a task stands; its last run is the one that counts."""

    task_id: str
    provisioner_id: str
    worker_type: str
    task_queue_id: str
    scheduler_id: str
    project_id: str
    task_group_id: str
    priority: str
    deadline: str
    expires: str
    retries_left: int
    state: str
    runs: tuple[Run, ...] = ()

    @property
    def resolved(self) -> bool:
        """Whether nothing more will happen to the task by itself."""
        return self.state not in OPEN

    @property
    def late(self) -> bool:
        """Whether the task was resolved because its deadline had passed."""
        return self.resolved and self.runs[-1].reason_resolved == "deadline-exceeded"

    @property
    def last_run_id(self) -> int:
        """The number of the last run, -1 when there is none."""
        return len(self.runs) - 1

    def run(self, run_id: int) -> Run | None:
        """A run by its number, None when there is no such run."""
        return self.runs[run_id] if 0 <= run_id < len(self.runs) else None


decode = msgspec.json.Decoder(Status).decode
_encode = msgspec.json.Encoder().encode


def encode(status: Status) -> str:
    """The status structure as JSON; kept, for one status is stored, announced and answered."""
    kept = status.__dict__
    text: str | None = kept.get("json")
    if text is None:
        text = kept["json"] = _encode(status).decode()
    return text
