"""What a running task uses of the machine, and whether the machine runs out of memory under it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tcbox import clock as clocks

_EVERY_MS = 500
_KIB = 1024
_SERIES = 2_000
"""How many measurements an artifact has at most; of a longer task every second one is dropped, again and again."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The machine's memory, in bytes."""

    total: int
    available: int

    @property
    def used(self) -> int:
        """What is in use, and cannot be had by giving up caches."""
        return self.total - self.available

    @property
    def percent(self) -> float:
        """What part is in use."""
        return 100 * self.used / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """When a task is ended so that the machine does not run out of memory: both are passed, for so long.

    Attributes:
        percent: of the memory in use.
        available: bytes that must be left.
    """

    percent: int = 90
    available: int = 500 * 1024 * 1024
    for_ms: int = 5_000


def system_memory(path: str = "/proc/meminfo") -> Memory | None:
    """The machine's memory now; None where it cannot be told."""
    try:
        text = Path(path).read_text(encoding="ascii")
    except OSError:
        return None
    values = {name: int(rest.split()[0]) * _KIB for name, _, rest in (line.partition(":") for line in text.splitlines()) if rest.strip()}
    if "MemTotal" not in values or "MemAvailable" not in values:
        return None
    return Memory(values["MemTotal"], values["MemAvailable"])


@dataclass(slots=True)
class Usage:
    """What was measured of the machine while one command ran."""

    count: int = 0
    available: int = 0
    used: int = 0
    peak: int = 0
    total: int = 0

    def add(self, memory: Memory) -> None:
        """Take one measurement in."""
        self.count += 1
        self.available += memory.available
        self.used += memory.used
        self.peak = max(self.peak, memory.used)
        self.total = memory.total

    def lines(self) -> list[tuple[str, str]]:
        """What a task's log says of it, as names and values; nothing when nothing was measured."""
        if not self.count:
            return []
        return [
            ("Average Available System Memory", human(self.available // self.count)),
            ("Average System Memory Used", human(self.used // self.count)),
            ("Peak System Memory Used", human(self.peak)),
            ("Total System Memory", human(self.total)),
        ]


@dataclass(slots=True)
class Series:
    """What the processes of one task used, over time.

    Attributes:
        rows: ms since the start, CPU time so far in seconds, resident memory in bytes, number of processes.
    """

    started: int
    rows: list[tuple[int, float, int, int]] = field(default_factory=list)
    peak: int = 0
    cpu: float = 0.0
    _ended: float = 0.0
    _last: dict[int, float] = field(default_factory=dict)

    def add(self, now: int, processes: dict[int, tuple[float, int]]) -> None:
        """Take one measurement in: by process id, CPU time in seconds and resident memory."""
        self._ended += sum(seconds for pid, seconds in self._last.items() if pid not in processes or processes[pid][0] < seconds)
        self._last = {pid: seconds for pid, (seconds, _) in processes.items()}
        self.cpu = self._ended + sum(self._last.values())
        memory = sum(resident for _, resident in processes.values())
        self.peak = max(self.peak, memory)
        self.rows.append((now - self.started, round(self.cpu, 2), memory, len(processes)))
        if len(self.rows) > _SERIES:
            del self.rows[1::2]

    def document(self) -> dict[str, Any]:
        """As it stands in the artifact."""
        return {
            "version": 1,
            "started": clocks.to_wire(self.started),
            "columns": ["ms", "cpuSeconds", "residentBytes", "processes"],
            "samples": [list(row) for row in self.rows],
            "peakResidentBytes": self.peak,
            "cpuSeconds": round(self.cpu, 2),
        }


class Strain:
    """Whether the machine has been short of memory for longer than it may."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._since: int | None = None

    def lasts(self, memory: Memory, now: int) -> bool:
        """Take one measurement in, and say whether a task must end for it."""
        if memory.percent <= self.limits.percent or memory.available >= self.limits.available:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since > self.limits.for_ms


class Monitor:
    """Watches while one task runs.

    Attributes:
        usage: of the command that runs now; None when the task wants no watching.
        series: of all processes of the task; None unless it was asked for.
    """

    def __init__(self, clock: clocks.Clock, limits: Limits, *, read: Callable[[], Memory | None] = system_memory) -> None:
        self._clock, self._strain, self._read = clock, Strain(limits), read
        self.usage = Usage()
        self.series: Series | None = None
        self._root = 0

    def follow(self, root: int) -> None:
        """Measure all processes below this one too."""
        self._root = root
        self.series = Series(self._clock.now())

    async def watch(self) -> str:
        """Measure until cancelled, or until the task must end; then say why."""
        limits = self._strain.limits
        while True:
            await self._clock.sleep(_EVERY_MS)
            memory = self._read()
            if memory is None:
                return ""
            self.usage.add(memory)
            if self.series is not None:
                self.series.add(self._clock.now(), await asyncio.to_thread(processes, self._root))
            if self._strain.lasts(memory, self._clock.now()):
                return (
                    f"The machine has been short of memory for more than {limits.for_ms / 1000:.0f} seconds: more than {limits.percent}% is in use, "
                    f"and less than {human(limits.available)} are left."
                )


def processes(root: int) -> dict[int, tuple[float, int]]:
    """CPU time in seconds and resident memory in bytes of all processes below one, by their ids; blocking."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found: dict[int, tuple[int, float, int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
                found[int(name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / tick, int(fields[21]) * page
    below, todo = {}, [root]
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in found.items():
        children.setdefault(parent, []).append(pid)
    while todo:
        for pid in children.get(todo.pop(), ()):
            below[pid] = found[pid][1:]
            todo.append(pid)
    return below


def human(count: int) -> str:
    """A number of bytes for people."""
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"
