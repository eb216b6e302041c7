"""What the supervisor knows, as metrics that are found out only when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tcbox.runtime.metrics import Registry, Sample
from tcbox.runtime.supervisor import Supervisor


def expose(registry: Registry, supervisor: Supervisor) -> None:
    """Show whether each part is healthy, and how its loops are doing."""
    registry.computed(
        "tcbox_service_healthy", "Whether a service works: 1 or 0.", ("service",),
        lambda: [((name,), float(not supervisor.faults(name))) for name in supervisor],
    )  # fmt: skip
    for name, text, kind, value in (
        ("tcbox_loop_runs_total", "Turns of a loop that ended well.", "counter", "runs"),
        ("tcbox_loop_failures_total", "Turns of a loop that failed.", "counter", "failures"),
        ("tcbox_loop_last_run_milliseconds", "When the last turn of a loop began, in ms since the epoch.", "gauge", "last_run"),
    ):
        registry.computed(name, text, ("service", "loop"), _loops(supervisor, value), kind)


def _loops(supervisor: Supervisor, value: str) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        loops: dict[str, dict[str, Any]]
        for service, status in supervisor.status().items():
            loops = status["loops"]
            for name, loop in loops.items():
                if loop[value] is not None:
                    yield (service, name), loop[value]

    return samples
