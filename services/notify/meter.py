"""What is counted of notifications, and what is said of servers that do not take them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tcbox.runtime import Health, Registry

PATIENCE = 3
"""Failures of a server in a row from which the service counts as degraded."""


@dataclass
class Trouble:
    """A server that fails.

    Attributes:
        failures: in a row.
        until: when it is tried again, in ms since the epoch.
    """

    failures: int = 0
    until: int = 0
    reason: str = ""


class Meter:
    """Counts by kind and outcome, and knows how many deliveries wait.

    Args:
        registry: of the instance; one that nobody sees if not given.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        registry = registry or Registry()
        self._outcomes = registry.counter("tcbox_notifications_total", "Notifications by what became of them.", ("kind", "outcome"))
        self._waiting = registry.gauge("tcbox_notifications_waiting", "Deliveries that wait, up to 10000.", ("kind",))

    def count(self, kind: str, outcome: str) -> None:
        """Something became of a notification."""
        self._outcomes.inc(kind, outcome)

    def counted(self, kind: str, outcome: str) -> int:
        """How often something became of notifications of a kind."""
        return int(self._outcomes.value(kind, outcome))

    def wait(self, kind: str, deliveries: int) -> None:
        """So many deliveries wait."""
        self._waiting.set(deliveries, kind)

    def waiting(self, kind: str) -> int:
        """How many waited when they were last counted."""
        return int(self._waiting.value(kind))


@dataclass
class Troubles:
    """The servers that fail just now, by kind, shown in the service's health."""

    meter: Meter
    health: Health | None = None
    _known: dict[str, Trouble] = field(default_factory=dict)

    def of(self, kind: str) -> Trouble:
        """The trouble with a kind's server; none is one without failures."""
        return self._known.get(kind, Trouble())

    def failed(self, kind: str, server: str, trouble: Trouble) -> None:
        """A server failed again."""
        self._known[kind] = trouble
        if self.health is not None and trouble.failures >= PATIENCE:
            self.health.watch(kind, lambda: self._told(kind, server))

    def works(self, kind: str) -> bool:
        """A server has taken something; whether it had failed before."""
        if self.health is not None:
            self.health.unwatch(kind)
        return self._known.pop(kind, None) is not None

    def clear(self) -> None:
        """Forget all, as the service ends."""
        for kind in list(self._known):
            self.works(kind)

    def _told(self, kind: str, server: str) -> str:
        trouble = self.of(kind)
        return f"{server} failed {trouble.failures} times in a row, last with: {trouble.reason}; {self.meter.waiting(kind)} deliveries wait"
