"""Whether the process that wrote a note is still the one that runs under its id."""

from __future__ import annotations

import os
from pathlib import Path


def mark(pid: int) -> str:
    """What tells a process from a later one of the same id; empty where the system does not say.

    On Linux it is the tick at which the process started (proc(5), field 22 of `stat`).
    """
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def alive(pid: int, expected: str) -> bool:
    """Whether the process runs, is no zombie, and, if a mark is given, is the one that had this mark."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    fields = _stat(pid)
    if not fields:
        return not Path("/proc/self/stat").exists()
    return fields[0] not in ("Z", "X") and (not expected or fields[19] == expected)


def _stat(pid: int) -> list[str]:
    """The fields of a process after its name, which may itself hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
