"""What is wrong with a service just now, in words for its heartbeat and for the status."""

from __future__ import annotations

from collections.abc import Callable


class Health:
    """The faults of one service; it is healthy when there are none.

    Args:
        service: its name.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._faults: dict[str, str] = {}
        self._checks: dict[str, Callable[[], str | None]] = {}

    def report(self, part: str, fault: str) -> None:
        """Say that a part does not work, and why; replaces what was said of this part before."""
        self._faults[part] = fault

    def clear(self, part: str) -> None:
        """Say that a part works again; may be called when nothing was wrong."""
        self._faults.pop(part, None)

    def watch(self, part: str, check: Callable[[], str | None]) -> None:
        """Have a part looked at whenever somebody asks; the check must not wait, and gives a fault or None."""
        self._checks[part] = check

    def unwatch(self, part: str) -> None:
        """Look at a part no longer."""
        self._checks.pop(part, None)

    def faults(self) -> list[str]:
        """All faults, each as `part: what is wrong`; empty when the service is healthy."""
        found = dict(self._faults)
        for part, check in self._checks.items():
            try:
                fault = check()
            except Exception as error:
                fault = f"its check failed: {error!r}"
            if fault:
                found[part] = fault
        return [f"{part}: {fault}" for part, fault in found.items()]
