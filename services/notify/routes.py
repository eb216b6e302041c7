"""The routes of tasks that ask for notifications: `notify.<kind>.<address>.on-<condition>`.

Source: the published usage page of notify.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tcbox.services.notify import model

ENDS = ("completed", "failed", "exception")
STEPS = ("defined", "pending", "running", *ENDS)
"""The steps of a task that the queue announces, each on the exchange `task-<step>`."""


class Route(NamedTuple):
    """What a route asks for."""

    kind: str
    address: str
    condition: str


def parse(route: str) -> Route | None:
    """What a route asks for; None when it asks for nothing that is known."""
    words = route.split(".")
    if len(words) < 4 or words[0] != "notify" or not words[-1].startswith("on-"):
        return None
    kind, address, condition = words[1], ".".join(words[2:-1]), words[-1][3:]
    known = kind in (model.EMAIL, model.PULSE, model.MATRIX, model.SLACK)
    return Route(kind, address, condition) if known and address else None


def holds(condition: str, step: str, state: str) -> bool:
    """Whether a condition holds when a step is announced with the task in a state.

    The two differ when a run ends and another follows, which no condition but `transition` asks for.
    """
    if condition == "transition":
        return True
    if condition == "defined":
        return step == "defined"
    if condition in ("any", "resolved"):
        return step in ENDS and step == state
    return condition == step == state


def asked(custom: Iterable[str], step: str, state: str) -> list[Route]:
    """What a message with these custom routes calls for, each once, in the order of the task's routes."""
    found = map(parse, custom)
    return list(dict.fromkeys(route for route in found if route is not None and holds(route.condition, step, state)))


def ignored(status: dict[str, Any], reasons: Iterable[str]) -> bool:
    """Whether a task ended for a reason that nobody is told of, such as that somebody cancelled it."""
    runs = status["runs"]
    return status["state"] == "exception" and bool(runs) and runs[-1].get("reasonResolved") in reasons
