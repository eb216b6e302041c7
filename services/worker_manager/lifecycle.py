"""After how long workers are given up: the `lifecycle` of a pool's configuration, with what holds where it says nothing.

Source: the published schema `worker-lifecycle`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks

REREGISTRATION = 4 * clocks.DAY
QUEUE_INACTIVITY = 2 * clocks.HOUR


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Spans in ms.

    Attributes:
        registration: within which a new machine must register; None when only `reregistration` bounds it.
        reregistration: for which credentials hold, and within which a worker must register again.
        queue_inactivity: without asking for work after which a machine is removed.
    """

    registration: int | None = None
    reregistration: int = REREGISTRATION
    queue_inactivity: int = QUEUE_INACTIVITY

    @property
    def first(self) -> int:
        """How long a new machine has until it must have registered."""
        return self.reregistration if self.registration is None else min(self.registration, self.reregistration)


def of(config: Mapping[str, Any]) -> Lifecycle:
    """The lifecycle of a pool's configuration; what is no positive number of seconds counts as not given."""
    given = config.get("lifecycle")
    given = given if isinstance(given, dict) else {}
    registration = given.get("registrationTimeout")
    return Lifecycle(
        registration=_span(registration, 0) if _is_number(registration) else None,
        reregistration=_span(given.get("reregistrationTimeout"), REREGISTRATION),
        queue_inactivity=_span(given.get("queueInactivityTimeout"), QUEUE_INACTIVITY),
    )


def _span(seconds: Any, default: int) -> int:
    return seconds * clocks.SECOND if _is_number(seconds) and seconds > 0 else default


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
