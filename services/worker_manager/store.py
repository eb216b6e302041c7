"""The worker manager's tables: statements, and rows as values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from tcbox import db
from tcbox.services.worker_manager.model import LaunchConfig, Numbers, Pool, PoolError, Worker

sql = db.load(Path(__file__).parent / "sql", "worker-manager")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "worker-manager")

STEP = 500
"""Rows that are read at once where all are wanted."""
LATEST = 2**62
"""A time after all others, in ms."""
LAST = "\U0010ffff"
"""Sorts after every id: ids are ASCII."""

_strings = msgspec.json.Decoder(tuple[str, ...]).decode


def pool(row: db.Row) -> Pool:
    """A row of `worker_manager_pools`."""
    return Pool(
        row["worker_pool_id"], row["provider_id"], _strings(row["previous_provider_ids"]), row["owner"], row["email_on_error"] == 1,
        row["created"], row["last_modified"], row["description"], row["config"],
    )  # fmt: skip


def launch_config(row: db.Row) -> LaunchConfig:
    """A row of `worker_manager_launch_configs`."""
    return LaunchConfig(row["worker_pool_id"], row["launch_config_id"], row["archived"] == 1, row["created"], row["last_modified"], row["configuration"])


def worker(row: db.Row) -> Worker:
    """A row of `worker_manager_workers`."""
    secret, static = row["secret"], row["static_secret"]
    return Worker(
        row["worker_pool_id"], row["worker_group"], row["worker_id"], row["provider_id"], row["launch_config_id"], row["state"], row["capacity"],
        row["created"], row["expires"], row["last_modified"], row["last_checked"], row["registered"], row["terminate_after"],
        row["reregistration_timeout"], row["queue_inactivity_timeout"], None if row["terminate"] is None else row["terminate"] == 1, row["reason"],
        None if secret is None else bytes(secret), None if static is None else bytes(static), row["provider_data"], row["worker_config"],
    )  # fmt: skip


def error(row: db.Row) -> PoolError:
    """A row of `worker_manager_errors`."""
    return PoolError(
        row["worker_pool_id"], row["error_id"], row["reported"], row["kind"], row["title"], row["description"], row["extra"], row["launch_config_id"]
    )


Split = dict[str | None, Numbers]
"""The numbers of a pool by launchConfigId."""


def numbers(rows: Iterable[db.Row]) -> dict[str, Split]:
    """The rows of `numbers`, by pool."""
    found: dict[str, Split] = {}
    for row in rows:
        by_config = found.setdefault(row["worker_pool_id"], {})
        own = Numbers({row["state"]: row["workers"]}, {row["state"]: row["capacity"]})
        by_config[row["launch_config_id"]] = by_config.get(row["launch_config_id"], Numbers()) + own
    return found


def total(split: Split) -> Numbers:
    """The numbers of a pool, whatever its workers were launched by."""
    return sum(split.values(), Numbers())


def where(worker: Worker) -> dict[str, str]:
    """The parameters that name a worker in a statement."""
    return {"worker_pool_id": worker.worker_pool_id, "worker_group": worker.worker_group, "worker_id": worker.worker_id}
