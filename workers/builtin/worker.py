"""Ends each task at once, as its task queue's name says."""

from __future__ import annotations

from tcbox.workers import outcomes
from tcbox.workers.outcomes import Outcome
from tcbox.workers.runs import Run


class Builtin:
    """Runs nothing: succeeds or fails; a payload that is not an empty object is malformed."""

    async def ready(self) -> None:
        """It always is."""

    async def perform(self, run: Run) -> Outcome:
        """End one task."""
        if run.task["payload"]:
            return Outcome("exception", "malformed-payload", f"The payload of a task in {run.task['taskQueueId']} must be an empty object.")
        if run.task["taskQueueId"] == "built-in/succeed":
            return outcomes.COMPLETED
        return Outcome("failed")
