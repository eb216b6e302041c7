"""Where a run keeps what later runs of the same project find again: caches of tasks, images from artifacts."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tcbox import ids
from tcbox.config import places
from tcbox.run.faults import CannotRun

LABEL = "run-"
"""What the marks of runs begin with, in Docker."""


@dataclass(frozen=True, slots=True)
class Room:
    """A folder for one run at a time.

    Attributes:
        label: marks what is made in Docker.
        lasting: whether later runs find it again.
    """

    folder: Path
    label: str
    lasting: bool


@contextlib.contextmanager
def take(project: Path, env: Mapping[str, str] | None = None) -> Iterator[Room]:
    """The project's folder; when another run has it, one that goes at the end.

    Raises CannotRun when there can be none.
    """
    name = hashlib.sha256(os.fsencode(project.resolve())).hexdigest()[:12]
    folder = places.run_caches(os.environ if env is None else env) / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotRun(f"{folder} cannot be used: {error.strerror}; give another place with XDG_CACHE_HOME") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        yield from _passing()
        return
    try:
        yield Room(folder, LABEL + name, lasting=True)
    finally:
        os.close(lock)


def _passing() -> Iterator[Room]:
    folder = Path(tempfile.mkdtemp(prefix="tcbox-run-"))
    try:
        yield Room(folder, LABEL + ids.slugid()[:12].lower(), lasting=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
