"""One log for all parts: a line for people, or JSON for machines, each with service, fields and request id."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import IO, Any

import msgspec

from tcbox import clock as clocks

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in vars(record).items() if k not in _STANDARD}


def plain(text: str) -> str:
    """A text without what a terminal would take for a command; much of what is told was written by others."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


class Lines(logging.Formatter):
    """`12:00:00.000 queue    claim expired taskId=…` for people."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it when there is one."""
        name = record.name.removeprefix("tcbox.")
        level = "" if record.levelno < logging.WARNING else f"{record.levelname} "
        fields = "".join(f" {k}={v}" for k, v in _fields(record).items())
        moment = clocks.to_wire(int(record.created * 1000))[11:23]
        text = f"{moment} {name:<10} {level}{record.getMessage()}{fields}"
        return plain(text) + ("\n" + plain(self.formatException(record.exc_info)) if record.exc_info else "")


class Json(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, service, message, then the record's own fields."""
        entry = {
            "time": clocks.to_wire(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "service": record.name.removeprefix("tcbox."),
            "message": record.getMessage(),
            **{k: v if isinstance(v, (str, int, float, bool, type(None))) else str(v) for k, v in _fields(record).items()},
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


def get(service: str) -> logging.Logger:
    """The logger of a service or a part, `tcbox.<service>`."""
    return logging.getLogger(f"tcbox.{service}")


def setup(stream: IO[str] | None = None, *, json: bool = False, level: str = "info") -> None:
    """Send everything that tcbox logs to one stream (standard error when none is given)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Json() if json else Lines())
    root = logging.getLogger("tcbox")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def to_file(path: Path, *, level: str = "info", terminal: bool = True) -> None:
    """Keep the log in a file, a JSON object a line, and show warnings and errors on the terminal.

    The file is set aside as `.1` to `.3` whenever it has grown to 16 MiB.
    """
    from logging.handlers import RotatingFileHandler

    kept = RotatingFileHandler(path, maxBytes=16 * 1024 * 1024, backupCount=3, encoding="utf-8")
    kept.setFormatter(Json())
    root = logging.getLogger("tcbox")
    root.handlers[:] = [kept]
    if terminal:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(Lines())
        shown.setLevel(logging.WARNING)
        root.addHandler(shown)
    root.setLevel(level.upper())
    root.propagate = False
