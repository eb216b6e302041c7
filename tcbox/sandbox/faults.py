"""What may be wrong with something that is carried out apart."""

from __future__ import annotations

from tcbox import errors


class Fault(errors.TcboxError):
    """What was to be carried out is at fault; the message is for its author."""


class Late(Fault):
    """It took more time than there is for it."""


class Exhausted(Fault):
    """It took more memory than there is for it, or made the process that carries it out fail."""


class Oversized(Fault):
    """It, or what comes of it, is larger than it may be."""
