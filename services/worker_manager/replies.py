"""What the API shows of pools, workers and errors."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox.services.worker_manager import model
from tcbox.services.worker_manager.model import LaunchConfig, Numbers, Pool, PoolError, Worker


def pool(pool: Pool, numbers: Numbers) -> dict[str, Any]:
    """A pool, its configuration as it was given."""
    return {
        "workerPoolId": pool.worker_pool_id,
        "providerId": pool.provider_id,
        "description": pool.description,
        "created": clocks.to_wire(pool.created),
        "lastModified": clocks.to_wire(pool.last_modified),
        "config": msgspec.Raw(pool.config.encode()),
        "owner": pool.owner,
        "emailOnError": pool.email_on_error,
        **counts(numbers),
    }


def counts(numbers: Numbers) -> dict[str, int]:
    """How many workers there are, and how many tasks at once they run."""
    return {
        "currentCapacity": numbers.current,
        **{f"{state}Count": numbers.count(state) for state in model.STATES},
        **{f"{state}Capacity": numbers.capacity(state) for state in model.STATES},
    }


def launch_config(one: LaunchConfig) -> dict[str, Any]:
    """A launch configuration, as it was given."""
    return {
        "launchConfigId": one.launch_config_id,
        "workerPoolId": one.worker_pool_id,
        "isArchived": one.archived,
        "configuration": msgspec.Raw(one.configuration.encode()),
        "created": clocks.to_wire(one.created),
        "lastModified": clocks.to_wire(one.last_modified),
    }


def worker(worker: Worker) -> dict[str, Any]:
    """A worker, without what the queue knows of it."""
    shown = {
        "workerPoolId": worker.worker_pool_id,
        "workerGroup": worker.worker_group,
        "workerId": worker.worker_id,
        "providerId": worker.provider_id,
        "created": clocks.to_wire(worker.created),
        "expires": clocks.to_wire(worker.expires),
        "state": worker.state,
        "capacity": worker.capacity,
        "lastModified": clocks.to_wire(worker.last_modified),
        "lastChecked": clocks.to_wire(worker.last_checked),
    }
    return shown if worker.launch_config_id is None else {**shown, "launchConfigId": worker.launch_config_id}


def error(error: PoolError) -> dict[str, Any]:
    """An error of a pool."""
    shown = {
        "workerPoolId": error.worker_pool_id,
        "errorId": error.error_id,
        "reported": clocks.to_wire(error.reported),
        "kind": error.kind,
        "title": error.title,
        "description": error.description,
        "extra": msgspec.Raw(error.extra.encode()),
    }
    return shown if error.launch_config_id is None else {**shown, "launchConfigId": error.launch_config_id}
