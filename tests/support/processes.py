"""Other processes, as tests see them."""

from __future__ import annotations

import psutil


def busy(pid: int) -> float:
    """Seconds of the processor that a process has used: how long it works does not depend on who else is at work."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
