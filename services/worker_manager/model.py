"""What the worker manager keeps, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

REQUESTED, RUNNING, STOPPING, STOPPED = "requested", "running", "stopping", "stopped"
STATES = (REQUESTED, RUNNING, STOPPING, STOPPED)
NULL_PROVIDER = "null-provider"
"""The provider of pools that are to go."""

Key = tuple[str, str, str]
"""Names a worker: pool, group, id."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of workers.

    Attributes:
        previous_provider_ids: providers that may still have machines for it.
        config: its configuration, as JSON text.
        created, last_modified: ms since the epoch.
    """

    worker_pool_id: str
    provider_id: str
    previous_provider_ids: tuple[str, ...]
    owner: str
    email_on_error: bool
    created: int
    last_modified: int
    description: str
    config: str

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration, decoded."""
        decoded: dict[str, Any] = msgspec.json.decode(self.config)
        return decoded


@dataclass(frozen=True, slots=True)
class LaunchConfig:
    """One way of launching a pool's machines.

    Attributes:
        configuration: as JSON text.
        archived: whether no more machines are launched by it.
    """

    worker_pool_id: str
    launch_config_id: str
    archived: bool
    created: int
    last_modified: int
    configuration: str

    @property
    def settings(self) -> Any:
        """The configuration, decoded."""
        return msgspec.json.decode(self.configuration)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker: a machine that was asked for, or one that somebody told of. Times are ms since the epoch, spans ms.

    Attributes:
        registered: when it last registered with a proof of who it is.
        terminate_after: when its machine is removed unless it registers (again).
        terminate, reason: whether it should end when it has nothing to do, as last decided.
        secret: SHA-256 of that with which it registers again.
        static_secret: sealed.
        provider_data: what its provider keeps of it, as JSON text.
        worker_config: what it gets when it registers, as JSON text; None for that of its pool.
    """

    worker_pool_id: str
    worker_group: str
    worker_id: str
    provider_id: str
    launch_config_id: str | None
    state: str
    capacity: int
    created: int
    expires: int
    last_modified: int
    last_checked: int
    registered: int | None = None
    terminate_after: int | None = None
    reregistration_timeout: int | None = None
    queue_inactivity_timeout: int | None = None
    terminate: bool | None = None
    reason: str | None = None
    secret: bytes | None = None
    static_secret: bytes | None = None
    provider_data: str = "{}"
    worker_config: str | None = None

    @property
    def key(self) -> Key:
        """Its name."""
        return self.worker_pool_id, self.worker_group, self.worker_id

    @property
    def name(self) -> str:
        """Its name within its pool, for people."""
        return f"{self.worker_group}/{self.worker_id}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many workers are in each state, and how many tasks at once they run."""

    counts: Mapping[str, int] = field(default_factory=dict)
    capacities: Mapping[str, int] = field(default_factory=dict)

    @property
    def current(self) -> int:
        """The capacity of all that have not stopped."""
        return sum(capacity for state, capacity in self.capacities.items() if state != STOPPED)

    def count(self, state: str) -> int:
        """How many are in a state."""
        return self.counts.get(state, 0)

    def capacity(self, state: str) -> int:
        """How many tasks at once those in a state run."""
        return self.capacities.get(state, 0)

    def __add__(self, other: Numbers) -> Numbers:
        """Of these and those together."""
        return Numbers(
            {state: self.count(state) + other.count(state) for state in STATES},
            {state: self.capacity(state) + other.capacity(state) for state in STATES},
        )


@dataclass(frozen=True, slots=True)
class PoolError:
    """Something that was wrong with a pool.

    Attributes:
        extra: details, as JSON text.
    """

    worker_pool_id: str
    error_id: str
    reported: int
    kind: str
    title: str
    description: str
    extra: str
    launch_config_id: str | None
