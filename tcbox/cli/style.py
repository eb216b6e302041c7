"""Colour on terminals that want it, plain text elsewhere."""

from __future__ import annotations

import os
import sys


def _coloured() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _coloured() else text


def bold(text: str) -> str:
    """What the eye should find first."""
    return _paint(text, "1")


def dim(text: str) -> str:
    """What can be passed over."""
    return _paint(text, "2")


def ok(text: str) -> str:
    """What is as it should be."""
    return _paint(text, "32")


def bad(text: str) -> str:
    """What is not."""
    return _paint(text, "31")


def mark(good: bool) -> str:
    """A dot that tells good from bad, also without colour."""
    return ok("●") if good else bad("○")
