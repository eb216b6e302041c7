"""What a person sees: lines of logs, each with its task's name, and below them what moves, on terminals only."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

_COLOURS = ("36", "35", "34", "33", "96", "95", "94", "93")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_PAINT = re.compile(r"\x1b\[[0-9;:]*m")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
_WORKERS = ("[taskcluster ", "[taskcluster:warn ")
"""What the worker's own lines in a log begin with, faults aside."""
_WIDEST = 28
_BETWEEN = 0.1
"""Seconds between two pictures of what moves."""


class Screen:
    """Writes to a terminal, or plain lines to anything else.

    Args:
        hidden: texts that are shown as `***`.
    """

    def __init__(self, out: TextIO, hidden: Iterable[str] = ()) -> None:
        self._out = out
        self.live = out.isatty() and os.environ.get("TERM") != "dumb"
        self.coloured = self.live and not os.environ.get("NO_COLOR")
        self._hidden = list(hidden)
        self._width = 8
        self._footer: list[str] = []
        self._drawn = 0
        self._drew = 0.0
        self._closed = False
        self._held: list[str] | None = None
        self.gone: Callable[[], None] = lambda: None
        """Called once when nobody reads any more."""

    # -- lines

    def say(self, text: str = "") -> None:
        """A line of the command's own."""
        self._write(self.mask(text))

    def line(self, label: str, text: str) -> None:
        """A line of a task's log."""
        self._width = min(max(self._width, len(label)), _WIDEST)
        name = label if len(label) <= _WIDEST else f"{label[: _WIDEST - 1]}…"
        prefix = self.paint(f"{name:<{self._width}} │", _COLOURS[zlib.crc32(label.encode()) % len(_COLOURS)])
        shown = self.mask(self.clean(text))
        self._write(f"{prefix} {self.dim(shown) if shown.startswith(_WORKERS) else shown}")

    def clean(self, text: str) -> str:
        """A line without what would move the cursor; of a line that was written over, what was written last."""
        text = text.rstrip("\r\n").rpartition("\r")[2]
        text = _SEQUENCE.sub(lambda found: found[0] if self.coloured and _PAINT.fullmatch(found[0]) else "", text)
        return _UNPRINTABLE.sub("", text) + ("\x1b[0m" if self.coloured and "\x1b" in text else "")

    def mask(self, text: str) -> str:
        """A line without secrets."""
        for each in self._hidden:
            text = text.replace(each, "***")
        return text

    def paint(self, text: str, code: str) -> str:
        """Coloured text, where there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.coloured and text else text

    def bold(self, text: str) -> str:
        """What the eye should find first."""
        return self.paint(text, "1")

    def dim(self, text: str) -> str:
        """What can be passed over."""
        return self.paint(text, "2")

    # -- what moves

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal."""
        found = shutil.get_terminal_size()
        return found.columns, found.lines

    def footer(self, lines: Sequence[str], *, at_once: bool = False) -> None:
        """Show lines below all others, in place of those before; not too often."""
        if not self.live or self._held is not None or (not at_once and time.monotonic() - self._drew < _BETWEEN):
            return
        if list(lines) != self._footer or len(lines) != self._drawn:
            self._footer, self._drew = list(lines), time.monotonic()
            self._redraw("")

    def _write(self, text: str) -> None:
        if self._held is not None:
            self._held.append(text)
        elif self.live:
            self._redraw(text + "\n")
        else:
            self._put(text + "\n")

    def _put(self, text: str) -> None:
        if self._closed:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            self._closed = True
            self.gone()

    def _redraw(self, text: str) -> None:
        up = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        below = "".join(f"{line}\n" for line in self._footer)
        self._put(f"{up}{text}{below}")
        self._drawn = len(self._footer)

    def hold(self) -> None:
        """Keep back what comes from here on, while somebody else has the terminal."""
        self.footer([], at_once=True)
        self._held = []

    def release(self) -> None:
        """Show what was kept back."""
        held, self._held = self._held or [], None
        for text in held:
            self._write(text)


def of(hidden: Iterable[str]) -> Screen:
    """The screen of this process."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    return Screen(sys.stdout, hidden)
