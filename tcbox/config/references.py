"""`${env:NAME}` and `${file:path}` in texts, so that secrets stand elsewhere than in the configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_REFERENCE = re.compile(r"\$(\$)\{|\$\{([^}]*)(\}?)")


@dataclass(slots=True)
class Resolved:
    """A text with its references filled in.

    Attributes:
        sources: what was filled in, as `env NAME` and `file path`; empty when there was nothing.
        faults: what could not be filled in, as pairs of what was found and what to do.
    """

    text: str = ""
    sources: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a text refers to: `env` or `file`, and the name of the variable or the path of the file."""

    kind: str
    name: str


def referred(text: str) -> list[Reference]:
    """What a text refers to, in the order of the text."""
    found = (match[2].partition(":") for match in _REFERENCE.finditer(text) if match[2])
    return [Reference(kind, name) for kind, _, name in found]


def rewritten(text: str, change: Callable[[Reference], str]) -> str:
    """A text with other words in the place of its references; what stands for a plain `${` is left as it is."""

    def put(match: re.Match[str]) -> str:
        kind, _, name = (match[2] or "").partition(":")
        return change(Reference(kind, name)) if match[2] else match[0]

    return _REFERENCE.sub(put, text)


@dataclass(frozen=True, slots=True)
class Resolver:
    """Fills in references.

    Attributes:
        env: the variables.
        folder: what relative paths of files start from: the folder of the configuration.
        keeps: whether references are left as they are, for who is to fill them in elsewhere; their form is looked at all the same.
    """

    env: Mapping[str, str]
    folder: Path
    keeps: bool = False

    def resolve(self, text: str) -> Resolved:
        """The text with each reference filled in; `$${` stands for a plain `${`. Line ends at a file's end are left out."""
        resolved = Resolved()

        def fill(match: re.Match[str]) -> str:
            if match[1]:
                return "${"
            kind, _, name = match[2].partition(":")
            if not match[3] or kind not in ("env", "file") or not name:
                resolved.faults.append((f"{match[0]!r}", "a reference is ${env:NAME} or ${file:path}; write $${ for a plain ${"))
                return ""
            resolved.sources.append(f"{kind} {name}")
            if self.keeps:
                return match[0]
            return self._env(name, resolved) if kind == "env" else self._file(name, resolved)

        resolved.text = _REFERENCE.sub(fill, text)
        return resolved

    def _env(self, name: str, resolved: Resolved) -> str:
        if name not in self.env:
            resolved.faults.append((f"no environment variable {name}", f"set {name}, or change the reference"))
        return self.env.get(name, "")

    def _file(self, name: str, resolved: Resolved) -> str:
        path = self.folder / Path(name).expanduser()
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            resolved.faults.append((f"the file {path} unreadable ({reason})", "make it readable, or change the reference"))
            return ""
