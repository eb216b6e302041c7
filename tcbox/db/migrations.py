"""Migrations: a service's schema as numbered files, each applied once, in order, in a transaction of its own.

`sql/migrations/0001_name.sql` serves every engine (see `dialect`); `0001_name.sqlite.sql` and `0001_name.postgres.sql`
beside it, or instead of it, serve one. A file that has been released must not change: what was applied is held against
its checksum.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tcbox.db import dialect
from tcbox.db.errors import MigrationError, QueryError
from tcbox.db.queries import ENGINES, sql_folder

LEDGER = """CREATE TABLE IF NOT EXISTS tcbox_migrations (
    service TEXT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied BIGINT NOT NULL,
    PRIMARY KEY (service, number)
)"""
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)(?:\.(sqlite|postgres))?\.sql")


@dataclass(frozen=True)
class Migration:
    """One step of a service's schema: its DDL for each engine, and the checksums of the files that it came from."""

    service: str
    number: int
    name: str
    ddl: Mapping[str, str]
    checksums: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.service} {self.number:04d}_{self.name}"


@dataclass(frozen=True)
class Migrations:
    """All steps of one service, in order from number 1."""

    service: str
    steps: tuple[Migration, ...]


@dataclass(frozen=True)
class Applied:
    """A step that a database says it has."""

    service: str
    number: int
    name: str
    checksum: str


def migrations(folder: Path | str, service: str) -> Migrations:
    """The migrations of a service from `migrations` in its `sql` folder; `folder` is as in `load`.

    Raises QueryError when a file's name has another form, or numbers are missing or used twice.
    """
    place = sql_folder(folder)
    place = place / "migrations" if (place / "migrations").is_dir() else place
    files: dict[int, dict[str, tuple[str, Path]]] = {}
    for file in sorted(place.glob("*.sql")):
        form = _FILE.fullmatch(file.name)
        if form is None:
            raise QueryError(f"{file}: this is no name for a migration: name it like 0001_what_it_does.sql")
        other = files.setdefault(int(form[1]), {}).setdefault(form[3] or "", (form[2], file))
        if other[1] != file or len({name for name, _ in files[int(form[1])].values()}) > 1:
            raise QueryError(f"{file}: number {form[1]} is used by another migration too: take the next free number")
    if sorted(files) != list(range(1, len(files) + 1)):
        raise QueryError(f"{place}: numbers must run from 0001 without gaps, and here they are {sorted(files)}")
    return Migrations(service, tuple(_migration(service, number, files[number]) for number in sorted(files)))


def _migration(service: str, number: int, files: dict[str, tuple[str, Path]]) -> Migration:
    name, some = next(iter(files.values()))
    ddl, checksums = {}, {}
    for engine in ENGINES:
        file = files.get(engine, files.get("", ("", None)))[1]
        if file is None:
            raise QueryError(f"{some}: {engine} has no text for this migration: add {number:04d}_{name}.{engine}.sql")
        source = file.read_text(encoding="utf-8").replace("\r\n", "\n")
        checksums[engine] = hashlib.sha256(source.encode()).hexdigest()
        ddl[engine] = source if engine in files else getattr(dialect, engine)(source)
    return Migration(service, number, name, ddl, checksums)


def plan(known: Sequence[Migrations], applied: Iterable[Applied], engine: str, place: str) -> list[Migration]:
    """The steps that a database lacks, in order.

    `place` names the database in messages. Raises MigrationError when the database has steps that are not known here,
    or has them from other files.
    """
    has: dict[str, dict[int, Applied]] = {}
    for step in applied:
        has.setdefault(step.service, {})[step.number] = step
    missing = []
    for group in known:
        there = has.get(group.service, {})
        _refuse_newer(group, there, place)
        for migration in group.steps:
            found = there.get(migration.number)
            if found is None:
                missing.append(migration)
            elif found.checksum != migration.checksums[engine]:
                raise MigrationError(
                    f"the database {place} has the migration {found.service} {found.number:04d}_{found.name} from a file "
                    f"with other contents than this release's {migration}: start the release of tcbox that wrote it, "
                    "or restore the migration's file and put the change into a new one"
                )
    return missing


def _refuse_newer(group: Migrations, there: Mapping[int, Applied], place: str) -> None:
    newest = max(there, default=0)
    if newest > len(group.steps):
        raise MigrationError(
            f"the data in {place} was written by a newer tcbox: it has the migration {group.service} {newest:04d}_"
            f"{there[newest].name}, and this release knows {len(group.steps)}: start that newer release, or restore "
            "a backup made before the upgrade"
        )
