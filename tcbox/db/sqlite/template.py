"""A migrated database is made once a process, in memory, and copied for each throwaway instance from then on."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from tcbox.db.errors import DatabaseError
from tcbox.db.migrations import Migrations
from tcbox.db.sqlite import schema, wal

MOST = 4
"""Templates that are kept, for instances with these services on or those."""
_templates: dict[tuple[str, ...], sqlite3.Connection] = {}
_one_at_a_time = threading.Lock()


def write(path: Path, known: Sequence[Migrations], now: int, place: str) -> None:
    """Make a database file that has the schema of these services, at a path at which there is none.

    It is not brought to the disk. Raises DatabaseError when it cannot be made.
    """
    with _one_at_a_time:
        source = _template(known, place)
        try:
            target = sqlite3.connect(path, isolation_level=None)
            try:
                target.execute("PRAGMA journal_mode = OFF").fetchall()
                target.execute("PRAGMA synchronous = OFF")
                source.backup(target)
                target.execute("UPDATE tcbox_migrations SET applied = ?", (now,))
            finally:
                target.close()
        except sqlite3.Error as error:
            raise DatabaseError(f"{place} cannot be made ({error}): check that its folder may be written to, and has space") from error


def _template(known: Sequence[Migrations], place: str) -> sqlite3.Connection:
    key = tuple(f"{step} {step.checksums['sqlite']}" for group in known for step in group.steps)
    found = _templates.get(key)
    if found is None:
        found = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        found.execute(f"PRAGMA page_size = {wal.PAGE}")
        schema.migrate(found, known, 0, place)
        while len(_templates) >= MOST:
            _templates.pop(next(iter(_templates))).close()
        _templates[key] = found
    return found
