"""What an instance stands on while it runs: parts that start and stop in order, guarded loops, health, metrics."""

from tcbox.runtime.ending import shielded
from tcbox.runtime.exposed import expose
from tcbox.runtime.health import Health
from tcbox.runtime.loop import Loop, LoopStatus
from tcbox.runtime.loops import Loops
from tcbox.runtime.metrics import Counter, Gauge, Histogram, Registry
from tcbox.runtime.order import OrderError
from tcbox.runtime.parts import Factory, Lifecycle, LoopSpec, Service
from tcbox.runtime.slot import StartFailed
from tcbox.runtime.supervisor import Supervisor

__all__ = [
    "Counter", "Factory", "Gauge", "Health", "Histogram", "Lifecycle", "Loop", "LoopSpec", "LoopStatus", "Loops",
    "OrderError", "Registry", "Service", "StartFailed", "Supervisor", "expose",
    "shielded",
]  # fmt: skip
