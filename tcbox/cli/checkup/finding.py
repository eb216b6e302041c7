"""What a check found: all well, worth a note, or wrong, and then what mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tcbox.config import Settings
from tcbox.config.instance import Instance, Running

State = Literal["ok", "note", "wrong", "mended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        check: what was looked at, in a word or two.
        state: `note` is worth knowing and keeps nothing from working.
        message: what is there, or what is wrong and where.
        command: what mends it; empty when nothing needs to be, or no single command does.
        mend: mends it at once, when that is safe; raises OSError or TcboxError when it cannot.
    """

    check: str
    state: State
    message: str
    command: str = ""
    mend: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Attributes:
        settings: in force; the defaults where the configuration cannot be read.
        folder: the data folder, there or not.
        running: the instance that runs on it, if one does.
    """

    settings: Settings
    folder: Instance
    running: Running | None

    @property
    def flag(self) -> str:
        """The flag that names the folder in commands."""
        import shlex

        return f"--data {shlex.quote(str(self.folder.data))}"


def ok(check: str, message: str) -> Finding:
    """All well."""
    return Finding(check=check, state="ok", message=message)


def note(check: str, message: str, command: str = "", mend: Callable[[], None] | None = None) -> Finding:
    """Worth knowing."""
    return Finding(check=check, state="note", message=message, command=command, mend=mend)


def wrong(check: str, message: str, command: str = "", mend: Callable[[], None] | None = None) -> Finding:
    """Wrong."""
    return Finding(check=check, state="wrong", message=message, command=command, mend=mend)
