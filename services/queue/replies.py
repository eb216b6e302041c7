"""Replies that are put together from JSON that is stored as such, without taking it apart, and common refusals."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock, errors
from tcbox.api import Encoded
from tcbox.services.queue import status as statuses
from tcbox.services.queue.status import Status

_encode = msgspec.json.Encoder().encode


def stored(text: str) -> msgspec.Raw:
    """JSON from the database, to be placed into a reply as it is."""
    return msgspec.Raw(text.encode())


def encoded(document: Any) -> Encoded:
    """A reply that holds values which are not plain JSON types."""
    return Encoded(_encode(document))


def status(value: Status) -> Encoded:
    """The reply that is a task's status."""
    return Encoded(f'{{"status":{statuses.encode(value)}}}'.encode())


def run_number(text: str) -> int:
    """A runId from a route; all that no task can have are one number."""
    return int(text) if len(text) < 9 else 10**9


def no_task(task_id: str) -> errors.ResourceNotFound:
    """There is no such task."""
    return errors.ResourceNotFound(
        "`{taskId}` does not correspond to a task that exists. Are you sure this task was created, and has not expired?",
        taskId=task_id,
    )


def no_run(task_id: str, run_id: int) -> errors.ResourceNotFound:
    """The task has no such run."""
    return errors.ResourceNotFound("Run {runId} not found on task `{taskId}`.", taskId=task_id, runId=run_id)


def no_group(task_group_id: str) -> errors.ResourceNotFound:
    """There is no such task group."""
    return errors.ResourceNotFound("No task-group with taskGroupId: `{taskGroupId}`. Are you sure a task was created in it?", taskGroupId=task_group_id)


def not_running(task_id: str, run_id: int) -> errors.RequestConflict:
    """The run has ended, or has not begun."""
    return errors.RequestConflict(
        "Run {runId} on task `{taskId}` is resolved or not running: look at the task's status before going on.",
        taskId=task_id, runId=run_id,
    )  # fmt: skip


def past_deadline(task_id: str, deadline: int, what: str) -> errors.RequestConflict:
    """It is too late for that."""
    return errors.RequestConflict(
        "Task `{taskId}` can't be {what} past its deadline of {deadline}: create a new task.",
        taskId=task_id, what=what, deadline=clock.to_wire(deadline),
    )  # fmt: skip


def in_quarantine(task_queue_id: str, worker_group: str, worker_id: str, until: int) -> errors.RequestConflict:
    """The worker gets no tasks."""
    return errors.RequestConflict(
        "Worker `{workerGroup}/{workerId}` of `{taskQueueId}` is in quarantine until {quarantineUntil}, and gets no tasks: "
        "see its quarantineDetails for the reason, and end the quarantine by quarantineWorker with a time in the past.",
        workerGroup=worker_group, workerId=worker_id, taskQueueId=task_queue_id, quarantineUntil=clock.to_wire(until),
    )  # fmt: skip
