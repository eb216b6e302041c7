"""The state machine of a task, as pure functions: each gives the change that follows, or None when it does not apply.

Source: the queue's reference on the life cycle of tasks and runs, and the descriptions of the methods that use it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from tcbox import clock
from tcbox.services.queue.status import MAX_RUNS, Run, Status

RETRIED = {"worker-shutdown": "retry", "intermittent-task": "task-retry"}
"""Why a new run is made by itself after an exception, by what the worker reported."""


class Announcement(msgspec.Struct, frozen=True):
    """A message that a change calls for: one of the exchanges `task-<kind>`, about one run.

    Attributes:
        worker: whether the message names the worker of the run.
    """

    kind: str
    run_id: int
    worker: bool = False


class Change(msgspec.Struct, frozen=True):
    """What becomes of a task, and what is announced, in order."""

    before: Status
    after: Status
    announcements: tuple[Announcement, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether a run waits for a worker now that did not before."""
        return self.after.state == "pending" and (self.before.state != "pending" or len(self.after.runs) > len(self.before.runs))

    @property
    def resolves(self) -> bool:
        """Whether the task is resolved by this change."""
        return self.after.resolved and not self.before.resolved


FIRST_PENDING = Announcement("pending", 0)


def schedule(task: Status, now: int) -> Change | None:
    """The first run is made, for a task that has none."""
    if task.runs:
        return None
    return Change(task, _with_pending(task, task.runs, "scheduled", now), (FIRST_PENDING,))


def rerun(task: Status, now: int, retries: int) -> Change | None:
    """A new run of a task that waits for nothing; the retries of its definition are allowed again."""
    if task.state in ("pending", "running") or len(task.runs) >= MAX_RUNS:
        return None
    retries_left = min(retries, MAX_RUNS - len(task.runs) - 1)
    after = _with_pending(task, task.runs, "rerun", now, retries_left=retries_left)
    return Change(task, after, (Announcement("pending", after.last_run_id),))


def claim(task: Status, run_id: int, now: int, taken_until: int, worker: tuple[str, str]) -> Change | None:
    """A worker, given by its group and id, takes the pending run until a time."""
    run = _last(task, run_id, "pending")
    if run is None:
        return None
    running = structs.replace(
        run, state="running", worker_group=worker[0], worker_id=worker[1],
        taken_until=clock.to_wire(taken_until), started=clock.to_wire(now),
    )  # fmt: skip
    after = structs.replace(task, state="running", runs=(*task.runs[:-1], running))
    return Change(task, after, (Announcement("running", run_id, worker=True),))


def reclaim(task: Status, run_id: int, taken_until: int) -> Change | None:
    """The worker keeps its run for longer, never for less than it had."""
    run = _last(task, run_id, "running")
    if run is None:
        return None
    until = max(taken_until, clock.from_wire(run.taken_until) if run.taken_until else 0)
    longer = structs.replace(run, taken_until=clock.to_wire(until))
    return Change(task, structs.replace(task, runs=(*task.runs[:-1], longer)))


def resolve(task: Status, run_id: int, now: int, state: str, reason: str) -> Change | None:
    """The running run ends; after some exceptions, and while retries are left, a new one follows.

    Args:
        state: "completed", "failed" or "exception".
        reason: what `reasonResolved` says; for the first two, the same word.
    """
    if _last(task, run_id, "running") is None:
        return None
    runs = _ended(task, now, state, reason)
    announcements = (Announcement(state, run_id, worker=True),)
    retry = RETRIED.get(reason)
    if retry is not None and task.retries_left > 0:
        return _retry(task, runs, retry, now, announcements)
    return Change(task, structs.replace(task, state=state, runs=runs), announcements)


def expire_claim(task: Status, now: int) -> Change | None:
    """The worker has let its claim end; a new run follows while retries are left.

    A claim that has not ended, or that ends after the deadline has passed, is left alone.
    """
    run_id = task.last_run_id
    run = _last(task, run_id, "running")
    if run is None or run.taken_until is None or clock.from_wire(run.taken_until) > now:
        return None
    if clock.from_wire(task.deadline) < now:
        return None
    runs = _ended(task, now, "exception", "claim-expired")
    announcements = (Announcement("exception", run_id, worker=True),)
    if task.retries_left > 0:
        return _retry(task, runs, "retry", now, announcements)
    return Change(task, structs.replace(task, state="exception", runs=runs), announcements)


def give_back(task: Status, run_id: int, now: int) -> Change | None:
    """The worker that was given the run never learned of it: a new run follows, which does not count as a retry."""
    if _last(task, run_id, "running") is None:
        return None
    said = (Announcement("exception", run_id, worker=True),)
    runs = _ended(task, now, "exception", "worker-shutdown")
    if len(runs) >= MAX_RUNS:
        return Change(task, structs.replace(task, state="exception", runs=runs), said)
    after = _with_pending(task, runs, "retry", now, retries_left=min(task.retries_left, MAX_RUNS - len(runs) - 1))
    return Change(task, after, (*said, Announcement("pending", after.last_run_id)))


def cancel(task: Status, now: int) -> Change | None:
    """The task ends as an exception, by someone's wish."""
    return _abort(task, now, "canceled", worker=True)


def exceed_deadline(task: Status, now: int) -> Change | None:
    """The task ends as an exception, for its deadline has passed."""
    return _abort(task, now, "deadline-exceeded", worker=False)


def prioritize(task: Status, priority: str) -> Change | None:
    """The task gets another priority."""
    if task.priority == priority:
        return None
    return Change(task, structs.replace(task, priority=priority))


def _abort(task: Status, now: int, reason: str, *, worker: bool) -> Change | None:
    if task.resolved:
        return None
    if task.runs:
        runs = _ended(task, now, "exception", reason)
    else:
        moment = clock.to_wire(now)
        runs = (
            Run(
                run_id=0, state="exception", reason_created="exception", reason_resolved=reason,
                scheduled=moment, resolved=moment,
            ),
        )  # fmt: skip
    after = structs.replace(task, state="exception", runs=runs)
    return Change(task, after, (Announcement("exception", after.last_run_id, worker=worker),))


def _last(task: Status, run_id: int, state: str) -> Run | None:
    if run_id != len(task.runs) - 1 or run_id < 0:
        return None
    run = task.runs[run_id]
    return run if run.state == state else None


def _ended(task: Status, now: int, state: str, reason: str) -> tuple[Run, ...]:
    ended = structs.replace(task.runs[-1], state=state, reason_resolved=reason, resolved=clock.to_wire(now))
    return (*task.runs[:-1], ended)


def _retry(task: Status, runs: tuple[Run, ...], reason: str, now: int, said: tuple[Announcement, ...]) -> Change:
    after = _with_pending(task, runs, reason, now, retries_left=task.retries_left - 1)
    return Change(task, after, (*said, Announcement("pending", after.last_run_id)))


def _with_pending(task: Status, runs: tuple[Run, ...], reason: str, now: int, **changes: Any) -> Status:
    run = Run(run_id=len(runs), state="pending", reason_created=reason, scheduled=clock.to_wire(now))
    return structs.replace(task, state="pending", runs=(*runs, run), **changes)
