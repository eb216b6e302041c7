"""Migrations: applied once and in order on both engines, and refused when data and release do not fit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from tcbox import clock, db
from tcbox.db import dialect
from tests.support import databases

HERE = Path(__file__).parent / "db_sample"
ENGINES = pytest.mark.parametrize("engine", databases.ENGINES)
READ = """-- name: applied
-- What was applied.
SELECT service, number, name FROM tcbox_migrations ORDER BY service, number
"""


def service(place: Path, *steps: str, name: str = "s", needs: dict[int, int] | None = None) -> db.Migrations:
    """Migrations made of these texts; a step needs that code knows it, unless `needs` says otherwise."""
    folder = place / name / "sql" / "migrations"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.sql"):
        old.unlink()
    for number, step in enumerate(steps, 1):
        said = (needs or {}).get(number, number)
        (folder / f"{number:04d}_step.sql").write_text(f"-- needs: {said:04d}\n{step}" if number > 1 else step)
    return db.migrations(place / name, name)


async def opened(url: str, *migrations: db.Migrations) -> db.Database:
    database = db.connect(url, clock=clock.SystemClock())
    await database.start(migrations)
    return database


@ENGINES
async def test_steps_are_applied_once_and_in_order(engine: str, tmp_path: Path) -> None:
    """A database gets the steps that it lacks, and opening it again changes nothing."""
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "queries.sql").write_text(READ)
    sql = db.load(tmp_path, "test")
    url = await databases.fresh(engine, [], tmp_path)
    first = ("CREATE TABLE a (x TEXT);", "INSERT INTO a VALUES ('one;'); -- ;\nINSERT INTO a VALUES ('two');")
    await (await opened(url, service(tmp_path, *first))).close()
    both = [service(tmp_path, *first, "ALTER TABLE a ADD COLUMN y BLOB"), db.migrations(HERE, "sample")]
    for _ in range(2):
        database = await opened(url, *both)
        rows = [tuple(row) for row in map(lambda r: (r[0], r[1]), await database.all(sql.applied))]
        await database.close()
        assert rows == [("s", 1), ("s", 2), ("s", 3), ("sample", 1), ("sample", 2)]


@ENGINES
async def test_data_of_a_newer_release_is_refused(engine: str, tmp_path: Path) -> None:
    """A database with steps that this release does not know is not touched."""
    url = await databases.fresh(engine, [], tmp_path)
    await (await opened(url, service(tmp_path, "CREATE TABLE a (x TEXT)", "CREATE TABLE b (x TEXT)"))).close()
    with pytest.raises(db.MigrationError, match=r"written by a newer tcbox.* s 0002_step, .* knows 1"):
        await opened(url, service(tmp_path, "CREATE TABLE a (x TEXT)"))


@ENGINES
async def test_code_of_before_lives_with_what_lets_it(engine: str, tmp_path: Path) -> None:
    """Code goes on when every step that it does not know lets it; the first that does not is refused with the release that brought it."""
    url = await databases.fresh(engine, [], tmp_path)
    tables = [f"CREATE TABLE {name} (x TEXT)" for name in "abcd"]
    needs = {2: 1, 3: 3, 4: 2}
    whole = service(tmp_path, *tables, needs=needs)
    one, two, three = (db.Migrations("s", whole.steps[:count]) for count in (1, 2, 3))
    await (await opened(url, two)).close()
    for fitting in (one, two):
        database = await opened(url, fitting)
        assert await database.lacks([fitting]) == []
        await database.close()
    await (await opened(url, whole)).close()
    await (await opened(url, three)).close()
    message = r"s 0003_step, and only code that knows it can live with that; this release knows 2: start tcbox [\d.]+, which put it there"
    for unfit, says in ((two, message), (one, r"s 0004_step, and only code that knows 0002 can live with that; this release knows 1")):
        with pytest.raises(db.MigrationError, match=says):
            await opened(url, unfit)


async def test_a_copy_is_kept_before_a_parting(tmp_path: Path) -> None:
    """Before a step that leaves code of before behind, a SQLite file is copied as it was; not for a new one, nor for any other step."""
    url = await databases.fresh("sqlite", [], tmp_path)
    file = Path(url.removeprefix("sqlite://"))
    steps = ["CREATE TABLE a (x TEXT); INSERT INTO a VALUES ('kept')", "CREATE TABLE b (x TEXT)", "DROP TABLE a"]
    await (await opened(url, service(tmp_path, *steps[:1]))).close()
    await (await opened(url, service(tmp_path, *steps[:2], needs={2: 1}))).close()
    assert list(file.parent.glob("*.before-*")) == []
    await (await opened(url, service(tmp_path, *steps, needs={2: 1}))).close()
    [copy] = file.parent.glob("*.before-*")
    assert copy.name == f"{file.name}.before-s-0003"
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT x FROM a").fetchall() == [("kept",)]


def test_each_step_says_which_code_can_live_with_it(tmp_path: Path) -> None:
    """A step without the line, or with a number that cannot be, is refused; the line is no part of the checksum."""
    folder = tmp_path / "sql" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_a.sql").write_text("SELECT 1")
    file = folder / "0002_b.sql"
    for text in ("SELECT 2", "-- needs: 2\nSELECT 2", "-- needs: 0000\nSELECT 2", "-- needs: 0003\nSELECT 2", "SELECT 2\n-- needs: 0001\n"):
        file.write_text(text)
        with pytest.raises(db.QueryError, match="0002_b.sql: its first line must say which code can live with it: -- needs: 0001"):
            db.migrations(tmp_path, "s")
    made = []
    for text in ("-- needs: 0001\nSELECT 2", "-- needs: 0002\r\nSELECT 2"):
        file.write_text(text, newline="")
        made.append(db.migrations(tmp_path, "s").steps[1])
    assert [step.needs for step in made] == [1, 2]
    assert made[0].checksums == made[1].checksums
    assert (made[0].ddl("sqlite"), made[0].ddl("postgres")) == ("SELECT 2", "SELECT 2")
    (folder / "0002_b.postgres.sql").write_text("-- needs: 0001\nSELECT 2")
    with pytest.raises(db.QueryError, match="say different things after -- needs"):
        db.migrations(tmp_path, "s")


@ENGINES
async def test_a_changed_step_is_refused(engine: str, tmp_path: Path) -> None:
    """A step whose file is not the one that was applied is named."""
    url = await databases.fresh(engine, [], tmp_path)
    await (await opened(url, service(tmp_path, "CREATE TABLE a (x TEXT)"))).close()
    with pytest.raises(db.MigrationError, match="s 0001_step from a file with other contents"):
        await opened(url, service(tmp_path, "CREATE TABLE a (y TEXT)"))


@ENGINES
async def test_a_failing_step_leaves_the_database_as_it_was(engine: str, tmp_path: Path) -> None:
    """A step that fails half way is undone, so that it can be mended and tried again."""
    url = await databases.fresh(engine, [], tmp_path)
    with pytest.raises(db.DatabaseError, match="the migration s 0001_step failed .* which is as it was"):
        await opened(url, service(tmp_path, "CREATE TABLE a (x TEXT); INSERT INTO nowhere VALUES (1);"))
    await (await opened(url, service(tmp_path, "CREATE TABLE a (x TEXT); INSERT INTO a VALUES ('1');"))).close()


async def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    """Several processes on one PostgreSQL database wait for the one that migrates."""
    url = await databases.fresh("postgres", [], tmp_path)
    steps = service(tmp_path, "CREATE TABLE a (x TEXT)", "CREATE TABLE b (x TEXT)")
    for database in await asyncio.gather(*(opened(url, steps) for _ in range(4))):
        await database.close()


async def test_a_schema_keeps_instances_apart(tmp_path: Path) -> None:
    """With `schema` in the URL, two instances share one PostgreSQL database without seeing each other."""
    url = await databases.fresh("postgres", [], tmp_path)
    for name in ("one", "two"):
        await (await opened(f"{url}&schema={name}", service(tmp_path, "CREATE TABLE a (x TEXT)"))).close()


async def test_a_service_can_be_migrated_while_others_run(tmp_path: Path) -> None:
    """`migrate` brings a further service's tables into an open database."""
    for engine in databases.ENGINES:
        database = await opened(await databases.fresh(engine, [], tmp_path))
        await database.migrate([db.migrations(HERE, "sample")])
        sql = db.load(HERE, "sample")
        assert await database.value(sql.count_things) == 0
        await database.close()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0001_a.sql", "0003_b.sql"], "without gaps"),
        (["0001_a.sql", "0001_b.sql"], "number 0001 is used"),
        (["first.sql"], "no name for a migration"),
        (["0001_a.sqlite.sql"], "postgres has no text"),
    ],
)
def test_misnamed_files_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    """A folder whose numbers or names do not fit is refused with the file and the way to mend it."""
    folder = tmp_path / "sql" / "migrations"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("SELECT 1")
    with pytest.raises(db.QueryError, match=message):
        db.migrations(tmp_path, "s")


def test_an_engine_may_have_a_step_of_its_own(tmp_path: Path) -> None:
    """A file with an engine's suffix serves that engine as it is, and the shared one the other."""
    folder = tmp_path / "sql" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x INTEGER)")
    (folder / "0001_a.postgres.sql").write_text("CREATE TABLE a (x INTEGER, y jsonb)")
    (step,) = db.migrations(tmp_path, "s").steps
    assert {engine: step.ddl(engine) for engine in databases.ENGINES} == {
        "sqlite": "CREATE TABLE a (x INTEGER)",
        "postgres": "CREATE TABLE a (x INTEGER, y jsonb)",
    }


@pytest.mark.parametrize(
    ("written", "sqlite", "postgres"),
    [
        ("id INTEGER PRIMARY KEY AUTOINCREMENT", None, "id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        ("a BIGINT, b SMALLINT, c INTEGER", "a INTEGER, b INTEGER, c INTEGER", "a BIGINT, b SMALLINT, c BIGINT"),
        ("a BLOB, b REAL, c TEXT", None, 'a BYTEA, b DOUBLE PRECISION, c TEXT COLLATE "C"'),
        ("(x TEXT) STRICT, WITHOUT ROWID;", None, '(x TEXT COLLATE "C");'),
        ("(x TEXT)\nWITHOUT ROWID, STRICT", None, '(x TEXT COLLATE "C")'),
        ("CREATE INDEX i ON t (CAST(x AS TEXT))", None, "CREATE INDEX i ON t (CAST(x AS TEXT))"),
        ("x TEXT DEFAULT 'a BLOB' -- INTEGER", None, "x TEXT COLLATE \"C\" DEFAULT 'a BLOB' -- INTEGER"),
    ],
)
def test_shared_ddl_serves_both_engines(written: str, sqlite: str | None, postgres: str) -> None:
    """The few words that differ are replaced where they are code, and only there."""
    assert dialect.sqlite(written) == (sqlite or written)
    assert dialect.postgres(written) == postgres
