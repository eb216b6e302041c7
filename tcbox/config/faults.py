"""What is wrong in a configuration: each mistake with its place, all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tcbox import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One mistake.

    Attributes:
        key: the path of the key, such as `services.queue.claim_timeout`; empty when the file as a whole is meant.
        expected: what should be there.
        found: what is there instead; never a secret's text.
        hint: what to do, or what was probably meant.
        file: the file, or the flag; None when the fault is nowhere in particular.
        line, column: the place in the file, counted from 1; 0 when there is none.
    """

    key: str
    expected: str
    found: str
    hint: str = ""
    file: str | None = None
    line: int = 0
    column: int = 0

    @property
    def place(self) -> str:
        """File, line and column as editors and compilers write them; or the flag."""
        return f"{self.file or 'the configuration'}{f':{self.line}:{self.column}' if self.line else ''}"

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key and not self.place.startswith("--") else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.place}: {key}expected {self.expected}, found {self.found}{hint}"


class ConfigError(errors.TcboxError):
    """The configuration cannot be used as it stands."""

    what = "the configuration"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.file or "", fault.line, fault.column)))
        count = "a mistake" if len(self.faults) == 1 else f"{len(self.faults)} mistakes"
        super().__init__(f"{self.what} has {count}:\n" + "\n".join(f"  {fault}" for fault in self.faults))
