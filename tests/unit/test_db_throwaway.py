"""A database that need not outlast the machine: as quick as memory to make, and otherwise like any other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tcbox import clock, db
from tcbox.db.sqlite import wal
from tests.unit.test_db_sqlite import HERE, insert, migrations, sql


@contextlib.asynccontextmanager
async def opened(path: Path, *, durable: bool = False) -> AsyncIterator[db.Database]:
    database = db.connect(f"sqlite://{path}", clock=clock.SystemClock(), durable=durable)
    await database.start(migrations)
    try:
        yield database
    finally:
        await database.close()


def contents(path: Path) -> list[tuple[object, ...]]:
    """The schema of a closed database, and what it says of its migrations."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        asked = (
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name",
            "SELECT service, number, name, checksum FROM tcbox_migrations ORDER BY service, number",
            "PRAGMA page_size",
            "PRAGMA journal_mode",
        )
        return [row for query in asked for row in connection.execute(query)]


async def test_it_has_the_schema_of_one_that_was_migrated(tmp_path: Path) -> None:
    """One copied from an earlier one has the same tables, indices and notes of migrations, and nothing of what was put into that."""
    async with opened(tmp_path / "migrated.db", durable=True):
        pass
    for number in (1, 2):
        async with opened(tmp_path / f"{number}.db") as database:
            await database.transaction(insert(f"only in {number}"))
            assert await database.value(sql.count_things) == 1
    begun = clock.SystemClock().now()
    async with opened(tmp_path / "copied.db"):
        pass
    assert contents(tmp_path / "copied.db") == contents(tmp_path / "migrated.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "copied.db")) as copied:
        (applied,) = copied.execute("SELECT min(applied) FROM tcbox_migrations").fetchone()
    assert applied >= begun


async def test_one_that_is_there_is_kept_and_migrated(tmp_path: Path) -> None:
    """Opening an existing file changes nothing in it but what its schema lacks."""
    path = tmp_path / "tcbox.db"
    database = db.connect(f"sqlite://{path}", clock=clock.SystemClock(), durable=False)
    await database.start([db.Migrations("sample", migrations[0].steps[:1])])
    await database.close()
    async with opened(path):
        pass
    async with opened(path) as database:
        await database.transaction(insert("kept"))
    async with opened(path, durable=True) as database:
        assert await database.value(sql.count_things) == 1


async def test_many_at_once_are_apart(tmp_path: Path) -> None:
    """Several that are made and used at the same time do not see each other."""

    async def one(number: int) -> int:
        async with opened(tmp_path / f"{number}.db") as database:
            await asyncio.gather(*(database.transaction(insert(f"{n}")) for n in range(number)))
            return int(await database.value(sql.count_things))

    assert await asyncio.gather(*(one(number) for number in range(8))) == list(range(8))


async def test_answered_changes_survive_a_kill(tmp_path: Path) -> None:
    """The end of the process, however it comes, takes nothing back that was answered."""
    path = tmp_path / "tcbox.db"
    code = f"""
import asyncio, itertools
from tests.unit.test_db_throwaway import opened, insert, Path
async def main():
    async with opened(Path({str(path)!r})) as database:
        for n in itertools.count():
            await database.transaction(insert(f"k{{n}}", b"x" * 500))
            print(n, flush=True)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=HERE.parents[2])
    assert process.stdout is not None
    for _ in range(300):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    answered = 300 + len([line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")])
    process.wait()
    process.stdout.close()
    async with opened(path) as database:
        assert await database.value(sql.count_things) >= answered


async def test_it_begins_no_thread(tmp_path: Path) -> None:
    """Reads, commits and long transactions need no thread of its own, so that hundreds of them cost little."""
    before = threading.enumerate()
    async with opened(tmp_path / "tcbox.db") as database:
        await database.transaction(insert("a"), bulk=True)
        await asyncio.gather(*(database.transaction(insert(key)) for key in "bc"))
        assert [row["key"] for row in await database.all(sql.list_things, count=9)] == ["a", "b", "c"]
        begun = {thread.name for thread in threading.enumerate() if thread not in before}
    assert {name for name in begun if not name.startswith("asyncio_")} == set()  # those are the event loop's, and are used again


async def test_a_failed_transaction_fails_alone(tmp_path: Path) -> None:
    """Of transactions that share a commit, one that fails is undone, and the others are kept."""
    async with opened(tmp_path / "tcbox.db") as database:
        made = [database.transaction(insert(key)) for key in ("a", "b", "a", "c")]
        outcomes = await asyncio.gather(*made, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), type(None), db.UniqueViolation, type(None)]
        assert await database.value(sql.count_things) == 3


async def test_its_log_stays_short(tmp_path: Path) -> None:
    """The write-ahead log starts anew again and again, and does not grow with all that was ever written."""
    path = tmp_path / "tcbox.db"
    async with opened(path) as database:
        for n in range(100):
            await database.transaction(insert(f"k{n}", os.urandom(500_000)))
        assert os.path.getsize(f"{path}-wal") < wal.CUT


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Where no file can be made, the message names it."""
    (tmp_path / "tcbox.db").symlink_to(tmp_path / "nowhere" / "tcbox.db")
    with pytest.raises(db.DatabaseError, match=r"tcbox\.db cannot be made .*check that its folder may be written to"):
        async with opened(tmp_path / "tcbox.db"):
            pass
