"""What is measured of a task, and when a machine without memory ends it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

from tcbox import clock as clocks
from tcbox.workers.host import resources
from tcbox.workers.host.resources import Limits, Memory, Monitor, Series, Strain, Usage

GIB = 1024**3


def test_system_memory(tmp_path) -> None:
    """The machine's memory is read as the kernel tells it; where it tells nothing, nothing is known."""
    (tmp_path / "meminfo").write_text("MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    4000 kB\nHugePages_Total: 0\n")
    memory = resources.system_memory(str(tmp_path / "meminfo"))
    assert memory == Memory(16000 * 1024, 4000 * 1024)
    assert (memory.used, memory.percent) == (12000 * 1024, 75.0)
    assert resources.system_memory(str(tmp_path / "absent")) is None
    (tmp_path / "meminfo").write_text("MemTotal: 5 kB\n")
    assert resources.system_memory(str(tmp_path / "meminfo")) is None


def test_usage_of_the_machine() -> None:
    """Averages, the peak and the total stand in the log in words; a command that ended at once has nothing."""
    usage = Usage()
    assert usage.lines() == []
    for available in (3 * GIB, GIB):
        usage.add(Memory(4 * GIB, available))
    assert usage.lines() == [
        ("Average Available System Memory", "2.00 GiB"),
        ("Average System Memory Used", "2.00 GiB"),
        ("Peak System Memory Used", "3.00 GiB"),
        ("Total System Memory", "4.00 GiB"),
    ]
    assert [resources.human(count) for count in (5, 2048, 3 * 1024**2)] == ["5 B", "2.00 KiB", "3.00 MiB"]


def test_strain_must_last() -> None:
    """Both limits must be passed, and for longer than allowed without a break."""
    strain = Strain(Limits(percent=90, available=500, for_ms=1000))
    short, percent_only, available_only = Memory(10_000, 400), Memory(100_000, 600), Memory(1000, 400)
    assert not strain.lasts(short, 0)
    assert not strain.lasts(short, 1000)
    assert strain.lasts(short, 1001)
    for relief in (percent_only, available_only):
        assert not strain.lasts(relief, 1500)
        assert not strain.lasts(short, 2000)
        assert not strain.lasts(short, 3000)
        assert strain.lasts(short, 3001)


def test_series_counts_processes_that_ended() -> None:
    """CPU time never goes back when a process ends, nor when its number is given to another."""
    series = Series(1000)
    series.add(1500, {1: (1.0, 10), 2: (0.5, 20)})
    series.add(2000, {1: (2.0, 15)})
    series.add(2500, {1: (0.25, 5)})
    assert series.rows == [(500, 1.5, 30, 2), (1000, 2.5, 15, 1), (1500, 2.75, 5, 1)]
    assert series.document() == {
        "version": 1, "started": clocks.to_wire(1000), "columns": ["ms", "cpuSeconds", "residentBytes", "processes"],
        "samples": [[500, 1.5, 30, 2], [1000, 2.5, 15, 1], [1500, 2.75, 5, 1]], "peakResidentBytes": 30, "cpuSeconds": 2.75,
    }  # fmt: skip
    for moment in range(10_000):
        series.add(3000 + moment, {1: (1.0, moment)})
    assert len(series.rows) <= 2_000
    assert series.peak == 9_999


def test_processes_below_one() -> None:
    """All processes below one are measured, however deep, and no others."""
    child = subprocess.Popen(["sh", "-c", f"{sys.executable} -c 'x=bytearray(30_000_000)\nwhile 1: pass' & wait"])
    try:
        until = time.monotonic() + 20
        found: dict = {}
        while time.monotonic() < until and not any(cpu > 0.05 and memory > 25_000_000 for cpu, memory in found.values()):
            time.sleep(0.05)
            found = resources.processes(child.pid)
        assert any(cpu > 0.05 and memory > 25_000_000 for cpu, memory in found.values())
        assert os.getpid() not in found
        assert child.pid not in found
    finally:
        for pid in [*resources.processes(child.pid), child.pid]:
            os.kill(pid, 9)
        child.wait()


async def test_a_monitor_ends_a_task_only_for_lasting_strain() -> None:
    """Watching goes on while there is memory, says why when it has been short for long, and stops where nothing can be read."""
    readings = [Memory(100, 50), Memory(100, 1), Memory(100, 50)] + [Memory(100, 1)] * 20
    monitor = Monitor(clocks.SystemClock(), Limits(percent=90, available=10, for_ms=100), read=lambda: readings.pop(0))
    why = await asyncio.wait_for(monitor.watch(), 10)
    assert "more than 90% is in use" in why
    assert 17 <= len(readings) <= 19
    assert monitor.usage.count == 23 - len(readings)
    assert await Monitor(clocks.SystemClock(), Limits(), read=lambda: None).watch() == ""
