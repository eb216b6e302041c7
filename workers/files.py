"""Finds the files that a payload names as artifacts, and decides their content type and encoding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

ErrorReason = Literal["file-missing-on-worker", "invalid-resource-on-worker", "file-not-readable-on-worker"]

_OWN_TYPES = {".log": "text/plain", ".jsonl": "application/jsonl", ".yml": "text/yaml", ".yaml": "text/yaml", ".md": "text/markdown"}
_COMPRESSED = frozenset({
    ".7z", ".aab", ".apk", ".br", ".bz2", ".deb", ".dmg", ".flv", ".gif", ".gz", ".jar", ".jpeg", ".jpg", ".lz", ".lz4", ".mz", ".npz", ".pkg", ".png",
    ".swf", ".sz", ".tbz", ".tgz", ".wasm", ".webp", ".whl", ".woff", ".woff2", ".xpi", ".xz", ".zip", ".zst", ".zz",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artifact as a payload asks for it.

    Attributes:
        path: absolute path of the file or directory.
        label: the path as the payload has it, for messages.
        expires: on the wire's form; None for the task's own.
    """

    name: str
    kind: Literal["file", "directory"]
    path: str
    label: str
    expires: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A file to upload."""

    wanted: Wanted
    name: str
    path: str

    @property
    def content_type(self) -> str:
        """The payload's, or what the file's name suggests, or application/octet-stream."""
        return self.wanted.content_type or guess_type(self.path)

    @property
    def content_encoding(self) -> str:
        """The payload's, or "gzip" unless the file's name says that it is compressed already."""
        return self.wanted.content_encoding or ("identity" if _extension(self.path) in _COMPRESSED else "gzip")


@dataclass(frozen=True, slots=True)
class Missing:
    """What becomes an error artifact."""

    wanted: Wanted
    name: str
    reason: ErrorReason
    message: str


def find(wanted: Wanted) -> Iterator[Found | Missing]:
    """All files of an artifact, and all that is wrong with it, in order of their names; blocking."""
    fault = _fault(wanted)
    if fault is not None:
        yield Missing(wanted, wanted.name, *fault)
    elif wanted.kind == "file":
        yield Found(wanted, wanted.name, wanted.path)
    else:
        yield from _walk(wanted)


def _fault(wanted: Wanted) -> tuple[ErrorReason, str] | None:
    article = "a file" if wanted.kind == "file" else "a directory"
    try:
        is_directory = os.path.isdir(wanted.path)
        os.stat(wanted.path)
    except OSError as error:
        return "file-missing-on-worker", f"The artifact {wanted.name} should be {article} at {wanted.label}, which cannot be read: {error.strerror}"
    if is_directory != (wanted.kind == "directory"):
        return "invalid-resource-on-worker", f"The artifact {wanted.name} should be {article}, but {wanted.label} is not"
    if not os.access(wanted.path, os.R_OK):
        return "file-not-readable-on-worker", f"The artifact {wanted.name} cannot be read at {wanted.label}: permission denied"
    return None


def _walk(wanted: Wanted) -> Iterator[Found | Missing]:
    for folder, folders, names in os.walk(wanted.path):
        folders.sort()
        below = os.path.relpath(folder, wanted.path)
        for file in sorted(names):
            path = os.path.join(folder, file)
            name = os.path.normpath(os.path.join(wanted.name, below, file))
            if os.path.isfile(path) and os.access(path, os.R_OK):
                yield Found(wanted, name, path)
            else:
                yield Missing(wanted, name, "invalid-resource-on-worker", f"{os.path.join(wanted.label, below, file)} is not a file that can be read")


@lru_cache(maxsize=512)
def _guess(extension: str) -> str:
    import mimetypes

    return _OWN_TYPES.get(extension) or mimetypes.guess_type("file" + extension, strict=False)[0] or "application/octet-stream"


def guess_type(path: str) -> str:
    """The content type that a file's name suggests."""
    return _guess(_extension(path))


def _extension(path: str) -> str:
    return os.path.splitext(path)[1].lower()
