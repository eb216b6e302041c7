"""Where people find a task, its log and its group in the browser."""

from __future__ import annotations

from urllib.parse import quote


def task(root_url: str, task_id: str) -> str:
    """The page of a task."""
    return f"{root_url}/tasks/{task_id}"


def group(root_url: str, task_group_id: str) -> str:
    """The page of a task group."""
    return f"{root_url}/tasks/groups/{task_group_id}"


def live_log(root_url: str, task_id: str, run_id: int, name: str = "public/logs/live.log") -> str:
    """The log of a run as it grows."""
    return f"{root_url}/tasks/{task_id}/runs/{run_id}/logs/live/{quote(name)}"


def artifact(root_url: str, task_id: str, run_id: int, name: str) -> str:
    """An artifact of a run; a log leads to the page that shows logs."""
    if name in ("public/logs/live.log", "public/logs/live_backing.log"):
        return f"{root_url}/tasks/{task_id}/runs/{run_id}/logs/{quote(name)}"
    return f"{root_url}/tasks/{task_id}/runs/{run_id}/{quote(name)}"
