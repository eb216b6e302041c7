"""Migrations: a service's schema as numbered files, each applied once, in order, in a transaction of its own.

`sql/migrations/0001_name.sql` serves every engine (see `dialect`); `0001_name.sqlite.sql` and `0001_name.postgres.sql`
beside it, or instead of it, serve one. A file that has been released must not change: what was applied is held against
its checksum.

Each step but the first says in its first line which code can live with it, by the newest step that this code knows:
`-- needs: 0002` on a step 0003 goes for code that knows the first two, as the release before it does; `-- needs: 0003` for
none but that which knows the step itself. The database keeps that, so that code of before starts on a newer schema where it
can, and refuses where it cannot. The line is no part of the checksum.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tcbox
from tcbox import log
from tcbox.db import dialect
from tcbox.db.errors import MigrationError, QueryError
from tcbox.db.queries import ENGINES, sql_folder

_LOG = log.get("db")
LEDGER = """CREATE TABLE IF NOT EXISTS tcbox_migrations (
    service TEXT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied BIGINT NOT NULL,
    needs BIGINT,
    release TEXT,
    PRIMARY KEY (service, number)
)"""
LATER_COLUMNS = {"needs": "BIGINT", "release": "TEXT"}
"""Columns that the first databases did not have, with their types."""
RECORD = ("service", "number", "name", "checksum", "applied", "needs", "release")
"""The columns of the ledger, in the order of `Migration.record`."""
_NEEDS = re.compile(r"-- needs: (\d{4})\n")
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)(?:\.(sqlite|postgres))?\.sql")


@dataclass(frozen=True)
class Migration:
    """One step of a service's schema.

    Attributes:
        sources: the text for each engine, as it stands in the file that it came from.
        shared: the engines whose text is also for others, and is to be put into their own words.
        checksums: of those files.
        needs: the newest step that code must know to live with this one; its own number when it must know it.
    """

    service: str
    number: int
    name: str
    sources: Mapping[str, str]
    shared: frozenset[str]
    checksums: Mapping[str, str]
    needs: int

    def ddl(self, engine: str) -> str:
        """The step's statements as an engine takes them."""
        source = self.sources[engine]
        translate = dialect.sqlite if engine == "sqlite" else dialect.postgres
        return translate(source) if engine in self.shared else source

    def __str__(self) -> str:
        return f"{self.service} {self.number:04d}_{self.name}"

    def record(self, engine: str, now: int) -> tuple[Any, ...]:
        """What the ledger keeps of it, once it has been applied."""
        return (self.service, self.number, self.name, self.checksums[engine], now, self.needs, tcbox.__version__)


@dataclass(frozen=True)
class Migrations:
    """All steps of one service, in order from number 1."""

    service: str
    steps: tuple[Migration, ...]


@dataclass(frozen=True)
class Applied:
    """A step that a database says it has.

    Attributes:
        needs: see Migration.
        release: of tcbox, that applied it; empty when it did not say so.
    """

    service: str
    number: int
    name: str
    checksum: str
    needs: int
    release: str

    def __str__(self) -> str:
        return f"{self.service} {self.number:04d}_{self.name}"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Applied:
        """A row of the ledger, which may lack the later columns; a step that says nothing goes for code alone that knows it."""
        needs = row.get("needs")
        return cls(row["service"], row["number"], row["name"], row["checksum"], row["number"] if needs is None else needs, row.get("release") or "")


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
    sources, checksums, needs = {}, {}, set()
    for engine in ENGINES:
        file = files.get(engine, files.get("", ("", None)))[1]
        if file is None:
            raise QueryError(f"{some}: {engine} has no text for this migration: add {number:04d}_{name}.{engine}.sql")
        source = file.read_text(encoding="utf-8").replace("\r\n", "\n")
        said = _NEEDS.match(source)
        if number > 1 and (said is None or not 0 < int(said[1]) <= number):
            raise QueryError(
                f"{file}: its first line must say which code can live with it: -- needs: {number - 1:04d} for code that knows the step before, "
                f"-- needs: {number:04d} for none but that which knows this one"
            )
        needs.add(int(said[1]) if said else number)
        sources[engine] = source[said.end() :] if said else source
        checksums[engine] = hashlib.sha256(sources[engine].encode()).hexdigest()
    if len(needs) > 1:
        raise QueryError(f"{some}: the files of this migration say different things after -- needs: let them say the same")
    return Migration(service, number, name, sources, frozenset(ENGINES) - files.keys(), checksums, needs.pop())


def plan(known: Sequence[Migrations], applied: Iterable[Applied], engine: str, place: str) -> list[Migration]:
    """The steps that a database lacks, in order.

    `place` names the database in messages. Raises MigrationError when the database has steps that are not known here and
    that this code cannot live with, or has steps from other files.
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


def ahead(known: Sequence[Migrations], applied: Iterable[Applied]) -> list[Applied]:
    """The steps that a database has and this code does not know, of services that it does."""
    counts = {group.service: len(group.steps) for group in known}
    return sorted((step for step in applied if step.number > counts.get(step.service, step.number)), key=str)


def tell(steps: Sequence[Applied], place: str) -> None:
    """Log that a schema is newer than this code, which can live with it; nothing when there are no such steps."""
    if steps:
        _LOG.info("the schema of %s is newer than this release, which can live with it", place, extra={"migrations": ", ".join(map(str, steps))})


def partings(missing: Iterable[Migration], applied: Iterable[Applied]) -> list[Migration]:
    """Those of the steps that a database lacks which take it away from the code that has used it so far."""
    newest: dict[str, int] = {}
    for step in applied:
        newest[step.service] = max(step.number, newest.get(step.service, 0))
    return [step for step in missing if step.needs > newest.get(step.service, step.number)]


def _refuse_newer(group: Migrations, there: Mapping[int, Applied], place: str) -> None:
    known = len(group.steps)
    strange = [step for number, step in sorted(there.items()) if number > known and step.needs > known]
    if strange:
        last = strange[-1]
        release = f"tcbox {last.release}, which put it there (or a later one)" if last.release else "that newer release"
        raise MigrationError(
            f"the data in {place} was written by a newer tcbox: it has the migration {last}, and only code that knows "
            f"{'it' if last.needs == last.number else f'{last.needs:04d}'} can live with that; this release knows {known}: start {release}, "
            "or go back to a copy made before the upgrade, as docs/moving.md says"
        )
