"""Task definitions for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def wire(**delta) -> str:
    """A time so far from now, as the API writes it."""
    return (datetime.now(UTC) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def task(queue: str = "test/queue", payload: dict | None = None, **changes) -> dict:
    """A task definition that is valid as it stands."""
    return {
        "taskQueueId": queue,
        "schedulerId": "test",
        "created": wire(),
        "deadline": wire(hours=1),
        "expires": wire(days=1),
        "payload": payload or {},
        "metadata": {"name": "test", "description": "a task of a test", "owner": "test@example.com", "source": "https://example.com/"},
        **changes,
    }


def host(script: str, **changes) -> dict:
    """A task for the host worker that runs a shell script."""
    payload = {"command": [["/bin/sh", "-c", script]], "maxRunTime": changes.pop("max_run_time", 60)}
    for key in ("artifacts", "env", "mounts", "onExitStatus", "features"):
        if key in changes:
            payload[key] = changes.pop(key)
    return task("local/host", payload, **changes)
