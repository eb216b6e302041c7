"""What keeps a run from beginning."""

from __future__ import annotations

from tcbox import errors
from tcbox.errors import WrongUsage

__all__ = ["CannotRun", "WrongUsage"]


class CannotRun(errors.TcboxError):
    """The project, or the machine, is not in a state in which it can be run."""
