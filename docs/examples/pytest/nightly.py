"""A program as a team may have it: creates the nightly build, and says how it went."""

from __future__ import annotations

import taskcluster


def create(options: dict, *, now: str, deadline: str, retries: int = 2) -> str:
    """Create tonight's build; its taskId."""
    task_id = taskcluster.slugId()
    definition = {
        "taskQueueId": "nightly/linux",
        "created": now,
        "deadline": deadline,
        "retries": retries,
        "routes": ["index.project.nightly.latest"],
        "payload": {"command": ["make", "nightly"]},
        "metadata": {"name": "nightly", "description": "Tonight's build.", "owner": "team@example.com", "source": "https://example.com/nightly"},
    }
    taskcluster.Queue(options).createTask(task_id, definition)
    return task_id


def verdict(options: dict, task_id: str) -> str:
    """How a build went, in a word for the team's chat."""
    status = taskcluster.Queue(options).status(task_id)["status"]
    if status["state"] == "completed":
        return "good"
    if status["state"] in ("failed", "exception"):
        return f"bad ({status['runs'][-1]['reasonResolved']})"
    return "not there yet"
