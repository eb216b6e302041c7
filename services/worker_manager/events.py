"""What the worker manager announces: pools, launch configurations, workers and errors, as they come, change and go.

Source: the published exchanges reference of the worker manager.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox.events import Exchange, Exchanges, Key, Message
from tcbox.services.worker_manager.model import Pool, PoolError, Worker

exchanges = Exchanges(
    "worker-manager",
    title="Worker Manager Exchanges",
    description="""
    Messages about worker pools, the ways in which their machines are launched, what goes wrong with them, and each
    worker from the time it is asked for until its machine is gone.
    """,
)


def _keys(*, worker: bool = False) -> tuple[Key, ...]:
    return (
        Key("routingKeyKind", "Always `primary`.", required=True, constant="primary"),
        Key("providerId", "The provider of the pool or worker.", required=worker),
        Key("provisionerId", "The first part of the pool's name.", required=worker),
        Key("workerType", "The second part of the pool's name.", required=worker),
        Key("workerGroup", "The worker's group, `_` if the message is about no worker.", required=worker),
        Key("workerId", "The worker's id, `_` if the message is about no worker.", required=worker),
        Key("launchConfigId", "By which launch configuration, `_` if by none."),
        Key("reserved", "Room for words to come; bind to it with `#`.", multiple_words=True),
    )


def _declare(exchange: str, name: str, title: str, description: str, schema: str, *, worker: bool = False) -> Exchange:
    return exchanges.declare(exchange, name=name, title=title, description=description, schema=schema, keys=_keys(worker=worker))


_POOL, _LAUNCH_CONFIG, _WORKER = "pulse-worker-pool-message", "pulse-launch-config-message", "pulse-worker-message"

pool_created = _declare("worker-pool-created", "workerPoolCreated", "Worker Pool Created", "There is a new worker pool.", _POOL)
pool_updated = _declare("worker-pool-updated", "workerPoolUpdated", "Worker Pool Updated", "A worker pool was changed, or is to go.", _POOL)
pool_error = _declare(
    "worker-pool-error", "workerPoolError", "Worker Pool Error", "Something is wrong with a worker pool; `listWorkerPoolErrors` tells what.",
    "pulse-worker-pool-error-message",
)  # fmt: skip
worker_requested = _declare(
    "worker-requested", "workerRequested", "Worker Requested", "A machine was asked for, or a worker was made known by hand.", _WORKER, worker=True
)
worker_running = _declare("worker-running", "workerRunning", "Worker Running", "A worker has registered, and can claim work.", _WORKER, worker=True)
worker_stopped = _declare(
    "worker-stopped", "workerStopped", "Worker Stopped", "A worker's machine is gone, or the worker may work no more.", _WORKER, worker=True
)
worker_removed = _declare(
    "worker-removed", "workerRemoved", "Worker Removed", "A worker's machine is to go, because somebody asked for it or the worker manager decided so.",
    "pulse-worker-removed-message", worker=True,
)  # fmt: skip
launch_config_created = _declare(
    "launch-config-created", "launchConfigCreated", "Launch Config Created", "A pool's machines can be launched in a new way.", _LAUNCH_CONFIG
)
launch_config_updated = _declare(
    "launch-config-updated", "launchConfigUpdated", "Launch Config Updated", "A launch configuration was changed, or is in use again.", _LAUNCH_CONFIG
)
launch_config_archived = _declare(
    "launch-config-archived", "launchConfigArchived", "Launch Config Archived", "No more machines are launched in a way.", _LAUNCH_CONFIG
)


def pool(exchange: Exchange, pool: Pool, previous_provider_id: str | None = None) -> Message:
    """A message about a pool."""
    payload = {"workerPoolId": pool.worker_pool_id, "providerId": pool.provider_id}
    if previous_provider_id is not None:
        payload["previousProviderId"] = previous_provider_id
    return _message(exchange, payload)


def launch_config(exchange: Exchange, pool: Pool, launch_config_id: str) -> Message:
    """A message about one of a pool's launch configurations."""
    return _message(exchange, {"workerPoolId": pool.worker_pool_id, "providerId": pool.provider_id, "launchConfigId": launch_config_id})


def worker(exchange: Exchange, worker: Worker, now: int, reason: str | None = None) -> Message:
    """A message about a worker."""
    payload: dict[str, Any] = {
        "workerPoolId": worker.worker_pool_id,
        "providerId": worker.provider_id,
        "workerId": worker.worker_id,
        "workerGroup": worker.worker_group,
        "capacity": worker.capacity,
        "timestamp": clocks.to_wire(now),
        "launchConfigId": worker.launch_config_id,
        "reason": reason,
    }
    return _message(exchange, payload)


def error(pool: Pool, error: PoolError) -> Message:
    """The message about an error of a pool."""
    extra = msgspec.json.decode(error.extra)
    named = {name: extra.get(name) for name in ("workerGroup", "workerId")}
    payload = {
        "workerPoolId": pool.worker_pool_id,
        "providerId": pool.provider_id,
        "errorId": error.error_id,
        "kind": error.kind,
        "title": error.title,
        "timestamp": clocks.to_wire(error.reported),
        "launchConfigId": error.launch_config_id,
        **{name: value for name, value in named.items() if isinstance(value, str)},
    }
    return _message(pool_error, payload)


def _message(exchange: Exchange, payload: dict[str, Any]) -> Message:
    shown = {name: value for name, value in payload.items() if value is not None}
    provisioner_id, _, worker_type = shown["workerPoolId"].partition("/")
    key = {
        "providerId": shown["providerId"],
        "provisionerId": provisioner_id,
        "workerType": worker_type,
        **{name: shown.get(name) for name in ("workerGroup", "workerId", "launchConfigId")},
        "reserved": None,
    }
    return Message(exchange, {name: value for name, value in key.items() if value is not None}, msgspec.json.encode(shown).decode())
