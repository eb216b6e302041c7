"""Colour on terminals that want it, plain text elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def _coloured(stream: TextIO | None) -> bool:
    return (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _paint(text: str, code: str, stream: TextIO | None = None) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _coloured(stream) else text


def bold(text: str) -> str:
    """What the eye should find first."""
    return _paint(text, "1")


def dim(text: str) -> str:
    """What can be passed over."""
    return _paint(text, "2")


def ok(text: str) -> str:
    """What is as it should be."""
    return _paint(text, "32")


def warn(text: str, stream: TextIO | None = None) -> str:
    """What deserves a look."""
    return _paint(text, "33", stream)


def bad(text: str, stream: TextIO | None = None) -> str:
    """What is not as it should be."""
    return _paint(text, "31", stream)


def mark(good: bool) -> str:
    """A dot that tells good from bad, also without colour."""
    return ok("●") if good else bad("○")
