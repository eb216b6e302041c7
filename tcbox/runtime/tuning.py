"""How the interpreter is set for a server whose one busy thread is the event loop. Measured with `make bench`.

- The writer's thread holds a commit's outcome that up to dozens of callers wait for, and must get the interpreter's
  lock from the busy event loop to hand it over: at the default of 5 ms it may wait that long. At 0.5 ms creating tasks
  went 15 to 25 % faster.
- Most objects of a request die at once, without cycles. Looking for cycles every 700 objects, among all that a
  running instance holds, costs more than it finds.
"""

from __future__ import annotations

import gc
import sys

SWITCH_SECONDS = 0.0005
THRESHOLDS = (20_000, 20, 50)


def before_start() -> None:
    """Set the interpreter up for serving."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*THRESHOLDS)


def after_start() -> None:
    """Leave what was made by the start out of every later search for cycles."""
    gc.freeze()
