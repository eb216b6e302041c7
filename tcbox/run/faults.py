"""What keeps a run from beginning."""

from __future__ import annotations

from tcbox import errors


class WrongUsage(errors.TcboxError):
    """Asked for in a way that cannot be meant; the command exits with 2."""


class CannotRun(errors.TcboxError):
    """The project, or the machine, is not in a state in which it can be run."""
