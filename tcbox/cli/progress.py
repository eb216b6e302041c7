"""How far something has come, in a line of the terminal that is written over."""

from __future__ import annotations

import sys

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Line:
    """The line, on standard error; nothing is shown where that is no terminal.

    Args:
        quiet: show nothing in any case.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._live = not quiet and sys.stderr.isatty()
        self._width = 0

    def show(self, text: str) -> None:
        """Put a text in the place of the one before."""
        if self._live:
            print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = len(text)

    def clear(self) -> None:
        """Leave an empty line."""
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
            self._width = 0


def amount(size: int) -> str:
    """A number of bytes as people read it, such as `1.2 GB`; thousands, not 1024s."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 99.95 else f"{value:.1f} {_UNITS[unit]}"
