"""Copies of a database file as it is at one moment: for people, and before a step that takes it away from older releases."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from tcbox import log
from tcbox.db.errors import MigrationError
from tcbox.db.migrations import Migration

_LOG = log.get("db")


def copy(connection: sqlite3.Connection, target: Path) -> None:
    """Write all that a connection's database holds to a file, in place of one that is there; others may go on writing meanwhile.

    Raises sqlite3.Error or OSError when that fails; then there is no such file, or the one of before.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        connection.execute("VACUUM INTO ?", (str(part),))
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def keep(connection: sqlite3.Connection, step: Migration) -> None:
    """Copy the database beside itself, as `<file>.before-<service>-<number>`, in place of one of that name; nothing of one in memory.

    Raises MigrationError when there is no room for it; the database is as it was.
    """
    file = next((row[2] for row in connection.execute("PRAGMA database_list").fetchall() if row[1] == "main"), "")
    if not file:
        return
    path = Path(file)
    kept = path.with_name(f"{path.name}.before-{step.service}-{step.number:04d}")
    _LOG.info("keeping a copy of the database, which older releases cannot use after this upgrade", extra={"copy": str(kept), "migration": str(step)})
    try:
        copy(connection, kept)
    except (sqlite3.Error, OSError) as error:
        raise MigrationError(
            f"the migration {step} makes {path} unusable for older releases, and no copy of it can be kept before that ({error}): make room for "
            f"{path.stat().st_size >> 20} MiB in {path.parent}, and start again; nothing has been changed"
        ) from error
