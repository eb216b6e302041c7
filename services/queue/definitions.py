"""A task's definition: what `createTask` makes of a request before anything is stored.

Source: the queue's schemas `create-task-request` and `task`, and the description of `createTask`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from tcbox import clock, errors
from tcbox.services.queue import priorities
from tcbox.services.queue.status import Status

DRIFT = 15 * clock.MINUTE
"""How far a caller's clock may be off, in ms."""

_CANONICAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII).fullmatch
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Limits:
    """What an installation allows.

    Attributes:
        deadline_days: how many days ahead a deadline may be.
        dependencies: how many dependencies a task may have.
    """

    deadline_days: int = 5
    dependencies: int = 10_000


class Definition(msgspec.Struct, frozen=True):
    """A complete definition, and the times in it as ms since the epoch."""

    task_id: str
    document: dict[str, Any]
    deadline: int
    expires: int

    def text(self) -> str:
        """The definition as it is stored and given back."""
        return _encode(self.document).decode()

    def status(self) -> Status:
        """The state of the task before its first run."""
        task = self.document
        return Status(
            task_id=self.task_id, provisioner_id=task["provisionerId"], worker_type=task["workerType"],
            task_queue_id=task["taskQueueId"], scheduler_id=task["schedulerId"], project_id=task["projectId"],
            task_group_id=task["taskGroupId"], priority=task["priority"], deadline=task["deadline"],
            expires=task["expires"], retries_left=task["retries"], state="unscheduled",
        )  # fmt: skip


def task_queue(request: dict[str, Any]) -> tuple[str, str, str]:
    """The provisionerId, workerType and taskQueueId of a request, which may name its task queue in either way.

    Raises InputError when it names none, or two different ones.
    """
    provisioner_id, worker_type, task_queue_id = request.get("provisionerId"), request.get("workerType"), request.get("taskQueueId")
    if provisioner_id and worker_type:
        joined = f"{provisioner_id}/{worker_type}"
        if task_queue_id and task_queue_id != joined:
            raise errors.InputError(
                'taskQueueId {taskQueueId} must match "provisionerId/workerType", which is {joined}: leave one of them out, '
                "or make them agree",
                taskQueueId=task_queue_id, joined=joined, provisionerId=provisioner_id, workerType=worker_type,
            )  # fmt: skip
        return provisioner_id, worker_type, joined
    if task_queue_id:
        first, _, second = task_queue_id.partition("/")
        return first, second, task_queue_id
    raise errors.InputError("The task names no task queue: at least a provisionerId and a workerType or a taskQueueId must be provided")


def complete(task_id: str, request: dict[str, Any], queue: tuple[str, str, str], now: int, limits: Limits) -> Definition:
    """The definition that a request makes: defaults filled in, times in one form, all of it consistent.

    Args:
        request: the body, checked against its schema, with the schema's defaults.
        queue: what `task_queue` says of it.

    Raises InputError with what is inconsistent.
    """
    provisioner_id, worker_type, task_queue_id = queue
    created, deadline, expires = _times(request, now, limits)
    scopes = request["scopes"]
    if scopes and any(scope.endswith("**") for scope in scopes):
        raise errors.InputError("scopes must not end with `**`: a scope ends with at most one `*`")
    document = {
        "provisionerId": provisioner_id,
        "workerType": worker_type,
        "taskQueueId": task_queue_id,
        "schedulerId": request["schedulerId"],
        "projectId": request.get("projectId") or "none",
        "taskGroupId": request.get("taskGroupId") or task_id,
        "dependencies": request["dependencies"],
        "requires": request["requires"],
        "routes": request["routes"],
        "priority": request["priority"],
        "retries": request["retries"],
        "created": _canonical(request["created"], created),
        "deadline": _canonical(request["deadline"], deadline),
        "expires": _canonical(request.get("expires") or "", expires),
        "scopes": scopes,
        "payload": request["payload"],
        "metadata": request["metadata"],
        "tags": request["tags"],
        "extra": request["extra"],
    }
    return Definition(task_id, document, deadline, expires)


def scope_params(task_id: str, request: dict[str, Any], queue: tuple[str, str, str]) -> dict[str, Any]:
    """What the scope expression of `createTask` is filled with; `queue` is what `task_queue` says of the request."""
    provisioner_id, worker_type, task_queue_id = queue
    return {
        "taskId": task_id,
        "priorities": priorities.sufficient(request["priority"]),
        "routes": request["routes"],
        "scopes": request["scopes"],
        "schedulerId": request["schedulerId"],
        "projectId": request.get("projectId") or "none",
        "taskGroupId": request.get("taskGroupId") or task_id,
        "provisionerId": provisioner_id,
        "workerType": worker_type,
        "taskQueueId": task_queue_id,
    }


def with_priority(text: str, priority: str) -> str:
    """A stored definition with another priority; all else as it was."""
    return _encode({**_decode(text), "priority": priority}).decode()


def same(stored: str, text: str) -> bool:
    """Whether two definitions are the same task: equal but for the order of keys."""
    return stored == text or _equal(_decode(stored), _decode(text))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _times(request: dict[str, Any], now: int, limits: Limits) -> tuple[int, int, int]:
    created, deadline = moment(request, "created"), moment(request, "deadline")
    details = {"created": request["created"], "deadline": request["deadline"]}
    if created < now - DRIFT:
        raise errors.InputError("`created` cannot be in the past (max 15min drift): it is {created}; check your clock", **details)
    if created > now + DRIFT:
        raise errors.InputError("`created` cannot be in the future (max 15min drift): it is {created}; check your clock", **details)
    if created > deadline:
        raise errors.InputError("`deadline` ({deadline}) must be later than `created` ({created})", **details)
    if deadline < now:
        raise errors.InputError("`deadline` cannot be in the past: it is {deadline}", **details)
    if deadline - now > limits.deadline_days * clock.DAY + DRIFT:
        raise errors.InputError("`deadline` cannot be more than {days} days into the future: it is {deadline}", days=limits.deadline_days, **details)
    expires = moment(request, "expires") if request.get("expires") else a_year_after(deadline)
    if deadline > expires:
        raise errors.InputError("`expires` cannot be before `deadline`: {expires} is before {deadline}", expires=request["expires"], **details)
    return created, deadline, expires


def _canonical(text: str, time: int) -> str:
    """The time as the API writes it; most callers write it so already."""
    return text if _CANONICAL(text) else clock.to_wire(time)


def moment(request: dict[str, Any], name: str) -> int:
    """One of a request's times, in ms since the epoch.

    Raises InputError when there is no such time.
    """
    try:
        return clock.from_wire(request[name])
    except (ValueError, OverflowError) as error:
        raise errors.InputError("`{name}`: {reason}", name=name, reason=str(error)) from None


def a_year_after(time: int) -> int:
    """The same date and time in the next year; the 1st of March after a 29th of February."""
    date = datetime.fromtimestamp(time // 1000, UTC)
    try:
        later = date.replace(year=date.year + 1)
    except ValueError:
        later = date.replace(year=date.year + 1, month=3, day=1)
    return int(later.timestamp()) * 1000 + time % 1000
