"""A large file is brought to the disk without keeping others long from the same disk, or from the processor.

Source: sync_file_range(2) of Linux. It writes pages out, and is no promise that they outlast a loss of power; that is
made at the end, by fdatasync(2), which then has little left to write.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable

STEP = 64 << 20
"""Bytes of the file whose changed pages are written in one go."""
_WRITE_AND_WAIT = 1 | 2 | 4  # SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE, _WAIT_AFTER
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the second only


def flush(file: int) -> None:
    """Return when all of an open file is on the disk. Raises OSError when that fails."""
    write = _range()
    if write is not None:
        for start in range(0, os.fstat(file).st_size, STEP):
            write(file, start, STEP, _WRITE_AND_WAIT)  # what fails here fails below, and is told there
    _sync(file)


def give_way(nice: int) -> None:
    """Let the others have the processor first, where the system takes that of a single thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


@functools.cache
def _range() -> Callable[[int, int, int, int], int] | None:
    """The C library's sync_file_range, where it has one."""
    import ctypes

    found = getattr(ctypes.CDLL(None), "sync_file_range", None) if sys.platform == "linux" else None
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found
