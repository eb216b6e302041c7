"""Which launch configurations new machines are launched by: at random, weighted, within each one's own limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tcbox.services.worker_manager.model import LaunchConfig

LEAST = 0.01
"""The weight of the configurations that have room, when errors and use have left none of them any weight."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A launch configuration with its weight, and how many tasks at once its further machines may run.

    Attributes:
        each: how many tasks at once one of its machines runs.
    """

    launch_config: LaunchConfig
    weight: float
    room: int
    each: int


def candidates(
    launch_configs: Iterable[LaunchConfig], most: int, capacities: Mapping[str | None, int], errors: Mapping[str | None, int],
) -> list[Candidate]:  # fmt: skip
    """The configurations that may be chosen.

    The weight that a configuration starts with goes down by the part of its limit that is used up, and by its part of
    the pool's latest errors.

    Args:
        most: the pool's limit, which holds for configurations that have none.
        capacities: of the machines that there are, by launchConfigId.
        errors: of the last hour, by launchConfigId.
    """
    total = sum(errors.values())
    made = []
    for launch_config in launch_configs:
        own, each = _own(launch_config)
        limit, there = own.get("maxCapacity", most), capacities.get(launch_config.launch_config_id, 0)
        weight = float(own.get("initialWeight", 1))
        if limit > 0:
            weight -= there / limit
        if total:
            weight -= errors.get(launch_config.launch_config_id, 0) / total
        made.append(Candidate(launch_config, weight, limit - there, each))
    roomy = [each for each in made if each.room > 0 and _own(each.launch_config)[0].get("initialWeight", 1) > 0]
    viable = [each for each in roomy if each.weight > 0]
    return viable or [replace(each, weight=LEAST) for each in roomy]


def choose(found: Iterable[Candidate], capacity: int, draw: Callable[[], float]) -> list[tuple[Candidate, int]]:
    """How many machines to launch by which configuration, so that they run so many tasks at once, or little more.

    Args:
        draw: a number from 0 to below 1, such as `random.random`.
    """
    left = list(found)
    room = [each.room for each in left]
    chosen: Counter[int] = Counter()
    open_to = list(range(len(left)))
    while capacity > 0 and open_to:
        at = _drawn(left, open_to, draw)
        chosen[at] += 1
        capacity -= left[at].each
        room[at] -= left[at].each
        if room[at] <= 0:
            open_to.remove(at)
    return [(left[at], count) for at, count in chosen.items()]


def _drawn(found: list[Candidate], open_to: list[int], draw: Callable[[], float]) -> int:
    """One of those that have room, more likely the more it weighs."""
    point = draw() * sum(found[at].weight for at in open_to)
    for at in open_to:
        point -= found[at].weight
        if point < 0:
            return at
    return open_to[-1]


def _own(launch_config: LaunchConfig) -> tuple[dict[str, Any], int]:
    """What the configuration says to the worker manager, and how many tasks at once one of its machines runs."""
    settings = launch_config.settings
    settings = settings if isinstance(settings, dict) else {}
    own = settings.get("workerManager")
    own = own if isinstance(own, dict) else {}
    each = own.get("capacityPerInstance", settings.get("capacityPerInstance", 1))
    return own, each if isinstance(each, int) and each > 0 else 1
