"""What a number of tasks a day needs, worked out from what one task was measured to cost. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

HOUR, DAY = 3600, 86_400
PEAK = 4.0
"""How many times the mean the busiest time of a day is."""
BUSY = 0.7
"""Up to what share of a core a pod is used; at it the exported autoscalers add another."""
DATABASE_BUSY = 0.5
"""And of each core of the database, which has its own work to do beside: checkpoints, vacuum, backups."""
LEAST = 2
"""Pods of each service, so that one may fail."""
ARTIFACTS = 3
"""Artifacts of a task, each put to S3 once."""


@dataclass(frozen=True)
class Task:
    """What one task costs: CPU in µs by process, and on the servers bytes, flushes, commits, statements, messages."""

    cpu: Mapping[str, float]
    wal: float
    tables: float
    events: float
    syncs: float
    commits: float
    statements: float
    messages: float


@dataclass(frozen=True)
class Need:
    """What tasks of a day need.

    Attributes:
        mean, peak: tasks a second.
        pods: of 1000m CPU, by service.
        publisher: cores of the one process that publishes to the broker, so at most 1.
        database_cores: cores of PostgreSQL at the peak.
        commits, flushes, statements: of PostgreSQL, a second at the peak.
        wal, tables: bytes a day.
        outbox: bytes of the events of the busiest hour, for which they are kept.
        messages: of the broker, a second at the peak.
        broker_cores: of RabbitMQ at the peak.
        puts: of S3, a second at the peak.
    """

    mean: float
    peak: float
    pods: Mapping[str, int]
    publisher: float
    database_cores: float
    commits: float
    flushes: float
    statements: float
    wal: float
    tables: float
    outbox: float
    messages: float
    broker_cores: float
    puts: float


def need(tasks_a_day: float, task: Task, *, services: tuple[str, ...], publisher: str) -> Need:
    """What so many tasks a day need, at the busiest time of the day; `services` may have any number of pods, the publisher works in one."""
    mean = tasks_a_day / DAY
    peak = mean * PEAK

    def cores(name: str) -> float:
        return peak * task.cpu[name] / 1e6

    return Need(
        mean=mean, peak=peak, pods={name: max(LEAST, math.ceil(cores(name) / BUSY)) for name in services},
        publisher=cores(publisher), database_cores=cores("postgres") / DATABASE_BUSY, broker_cores=cores("rabbitmq"),
        commits=peak * task.commits, flushes=peak * task.syncs, statements=peak * task.statements, messages=peak * task.messages,
        wal=tasks_a_day * task.wal, tables=tasks_a_day * task.tables, outbox=peak * HOUR * task.events, puts=peak * ARTIFACTS,
    )  # fmt: skip
