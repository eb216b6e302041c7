"""What of the log is shown on the terminal that an instance was started from: warnings and errors, a line each."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from tcbox import log
from tcbox.cli import style


class Calm(log.Lines):
    """A coloured line for a person; a traceback is left to the log file.

    Args:
        kept: the log file.
    """

    def __init__(self, kept: Path) -> None:
        super().__init__()
        self._kept = kept

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its traceback."""
        shown = logging.makeLogRecord({**vars(record), "exc_info": None, "exc_text": None})
        line = super().format(shown)
        if record.exc_info and record.exc_info[0] is not None:
            line += log.plain(f": {record.exc_info[0].__name__}: {record.exc_info[1]}") + f" (the traceback is in {self._kept})"
        paint = style.bad if record.levelno >= logging.ERROR else style.warn
        return paint(line, sys.stderr)


def show(kept: Path, form: str) -> None:
    """Give the terminal's handler of the log the form that the settings ask for: lines or json."""
    for handler in logging.getLogger("tcbox").handlers:
        if type(handler) is logging.StreamHandler:
            handler.setFormatter(log.Json() if form == "json" else Calm(kept))
