"""What processes refer to: variables, and files that are laid into one folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from tcbox.config.references import Reference, referred, rewritten

__all__ = ["FOLDER", "File", "Reference", "References", "bare", "file_name", "gathered", "login", "merged", "placed", "rewritten", "split"]

FOLDER = "/run/secrets/tcbox"
"""Where a process finds the files that its configuration refers to."""


@dataclass(frozen=True, slots=True, order=True)
class File:
    """A file that is referred to: as it is called in the folder, and its path as the settings have it."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class References:
    """What a process refers to, each once, in order."""

    variables: tuple[str, ...] = ()
    files: tuple[File, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the Secret that holds all of it."""
        return (*self.variables, *(file.name for file in self.files))


def file_name(path: str) -> str:
    """What a file is called in the folder: its own name, and a mark of its path, since two may have the same name."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", PurePosixPath(path).name) or "file"
    return f"{hashlib.sha256(path.encode()).hexdigest()[:6]}-{plain}"


def gathered(texts: Iterable[str], further: Iterable[str] = ()) -> References:
    """All that some texts refer to, and further variables."""
    found = {reference for text in texts for reference in referred(text)}
    variables = {reference.name for reference in found if reference.kind == "env"} | set(further)
    files = {File(file_name(reference.name), reference.name) for reference in found if reference.kind == "file"}
    return References(tuple(sorted(variables)), tuple(sorted(files)))


def placed(text: str) -> str:
    """A text whose files are those in the folder."""

    def put(reference: Reference) -> str:
        path = reference.name if reference.kind == "env" else f"{FOLDER}/{file_name(reference.name)}"
        return f"${{{reference.kind}:{path}}}"

    return rewritten(text, put)


def bare(text: str) -> str:
    """A text with `$` in the place of each reference, so that its parts can be told apart."""
    return rewritten(text, lambda _: "$")


def merged(one: References, other: References) -> References:
    """What either refers to."""
    return References(tuple(sorted({*one.variables, *other.variables})), tuple(sorted({*one.files, *other.files})))


def split(text: str) -> list[str | Reference]:
    """A text as its plain parts and its references, in order; `$${` in it is a plain `${`."""
    found: list[Reference] = []

    def mark(reference: Reference) -> str:
        found.append(reference)
        return "\0"

    plain = rewritten(text, mark).replace("$${", "${").split("\0")
    parts: list[str | Reference] = []
    for before, reference in zip(plain, found, strict=False):
        parts += [before, reference]
    return [*parts, plain[-1]]


def login(url: str) -> tuple[str, str, str]:
    """User, password and path of a URL, references in them as they are."""
    marks: list[Reference] = []

    def mark(reference: Reference) -> str:
        marks.append(reference)
        return f"reference-{len(marks) - 1}-"

    parts = urlsplit(rewritten(url, mark))

    def back(text: str) -> str:
        for index, reference in enumerate(marks):
            text = text.replace(f"reference-{index}-", f"${{{reference.kind}:{reference.name}}}")
        return text

    user, password, path = (back(unquote(text)) for text in (parts.username or "", parts.password or "", parts.path.removeprefix("/")))
    return user, password, path
