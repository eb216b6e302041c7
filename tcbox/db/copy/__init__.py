"""A whole database copied to another, of the same engine or of the other one, and checked.

Both sides are read in the order of their keys, a stretch at a time, and only what differs is written. So a copy that was
broken off goes on where it was, and a second one catches up with what has changed since the first.
"""

from tcbox.db.copy.copier import Copied, Copier, Progress
from tcbox.db.copy.ends import End, Table, open_end

__all__ = ["Copied", "Copier", "End", "Progress", "Table", "open_end"]
