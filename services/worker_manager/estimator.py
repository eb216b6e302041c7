"""How many tasks at once a pool should be able to run, and how many of these it lacks: arithmetic, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pool's configuration says: the least and most capacity, and how much of it per waiting task."""

    least: int = 0
    most: int = 0
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What a task queue has to do."""

    pending: int = 0
    claimed: int = 0


@dataclass(frozen=True, slots=True)
class Supply:
    """What a pool has, in tasks at once.

    Attributes:
        running: of workers that run, but for those in quarantine.
        requested: of machines that were asked for, and have not registered yet.
        stopping: of workers whose machines are going.
    """

    running: int = 0
    requested: int = 0
    stopping: int = 0

    @property
    def all(self) -> int:
        """Of all of these."""
        return self.running + self.requested + self.stopping


def limits(config: Mapping[str, Any]) -> Limits:
    """The limits of a pool's configuration; a pool that names none has none of anything."""
    least, most, ratio = config.get("minCapacity"), config.get("maxCapacity"), config.get("scalingRatio")
    return Limits(least if isinstance(least, int) else 0, most if isinstance(most, int) else 0, float(ratio) if isinstance(ratio, (int, float)) else 1.0)


def missing(limits: Limits, demand: Demand, supply: Supply) -> int:
    """How much capacity to ask for now.

    Workers that have nothing to do will take pending tasks soon. For each task beyond that, `ratio` of capacity is wanted,
    and what was asked for already is a part of it, so that asking comes to rest. Machines that are going still count
    against the most, so that a pool whose machines do not start does not grow while they are taken away.
    """
    idle = max(0, supply.running - demand.claimed)
    waiting = max(0, demand.pending - idle)
    more = max(0, math.ceil(waiting * limits.ratio) - supply.requested)
    wanted = max(limits.least, min(supply.all + more, limits.most))
    return max(0, wanted - supply.all)


def needed(limits: Limits, demand: Demand) -> float:
    """How much capacity a pool has work for, whatever it has now: what is above may go."""
    return max(limits.least, min((demand.pending + demand.claimed) * limits.ratio, limits.most))
