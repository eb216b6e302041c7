"""CPU of processes with all that they have started, from /proc, under names: `queue=12+13,postgres=40`."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def parse(text: str) -> dict[str, list[int]]:
    """The process ids of each name."""
    pairs = (part.split("=") for part in text.split(",") if part)
    return {name: [int(pid) for pid in pids.split("+")] for name, pids in pairs}


def text(groups: dict[str, list[int]]) -> str:
    """The same, for a command line."""
    return ",".join(f"{name}={'+'.join(map(str, pids))}" for name, pids in groups.items())


def seconds(groups: dict[str, list[int]]) -> dict[str, float]:
    """CPU seconds of each name: its processes, their children that live, and those that have ended."""
    children: dict[int, list[int]] = {}
    used: dict[int, tuple[float, float]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has just ended
            pid = int(folder.name)
            children.setdefault(int(fields[1]), []).append(pid)
            used[pid] = (int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14]))
    return {name: sum(_tree(pid, children, used) for pid in pids) / _TICK for name, pids in groups.items()}


def _tree(pid: int, children: dict[int, list[int]], used: dict[int, tuple[float, float]]) -> float:
    own, ended = used.get(pid, (0.0, 0.0))
    return own + ended + sum(_tree(child, children, used) for child in children.get(pid, ()))
