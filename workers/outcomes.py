"""How a run of a task can end, and the exception that ends one early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["completed", "failed", "exception", "lost"]
Reason = Literal["worker-shutdown", "malformed-payload", "resource-unavailable", "internal-error", "intermittent-task"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's end.

    Attributes:
        state: "lost" when the run is no longer this worker's, so that there is nothing to report.
        reason: for exceptions, as the queue knows it.
        message: what the task's log says about it; may have several lines.
    """

    state: State
    reason: Reason | None = None
    message: str = ""


COMPLETED = Outcome("completed")


class RunEnded(Exception):
    """The run is over, with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


def failed(message: str) -> RunEnded:
    """The task's own fault: it failed."""
    return RunEnded(Outcome("failed", message=message))


def malformed(message: str) -> RunEnded:
    """The payload cannot be run, now or at any other try."""
    return RunEnded(Outcome("exception", "malformed-payload", message))


def unavailable(message: str) -> RunEnded:
    """Something outside could not be reached, although everything was tried."""
    return RunEnded(Outcome("exception", "resource-unavailable", message))


def intermittent(message: str) -> RunEnded:
    """The payload says that such an end is worth another try."""
    return RunEnded(Outcome("exception", "intermittent-task", message))


def internal(message: str) -> RunEnded:
    """The worker's own fault."""
    return RunEnded(Outcome("exception", "internal-error", message))


def lost(message: str) -> Outcome:
    """The run was resolved by somebody else, or its claim ran out."""
    return Outcome("lost", message=message)


def shutdown() -> Outcome:
    """The worker stops before the task is done; the queue will give it to another."""
    return Outcome("exception", "worker-shutdown", "The worker is shutting down: the task is stopped, and will be tried again if it has retries left.")
