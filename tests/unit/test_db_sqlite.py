"""What only SQLite has: one file that one process owns, one writer, a log that stays short, a disk that fills up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tcbox import clock, db, errors
from tcbox.db.sqlite import wal
from tests.support import databases

HERE = Path(__file__).parent / "db_sample"
sql = db.load(HERE, "sample")
migrations = [db.migrations(HERE, "sample")]
MIB = 1 << 20


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[db.Database]:
    database = db.connect(f"sqlite://{path}", clock=clock.SystemClock())
    await database.start(migrations)
    try:
        yield database
    finally:
        await database.close()


def insert(key: str, body: bytes | None = None) -> Any:
    async def fn(tx: db.Tx) -> None:
        await tx.execute(sql.insert_thing, key=key, number=1, body=body, made=tx.now)

    return fn


async def test_a_second_process_is_told_who_has_the_data(tmp_path: Path) -> None:
    """A data file in use is refused with the owner's process id, and is free again after it ended."""
    path = tmp_path / "tcbox.db"
    async with opened(path):
        with pytest.raises(db.DataFolderLocked, match=rf"process {os.getpid()}\) has the data in {tmp_path} open"):
            async with opened(path):
                pass
    async with opened(path):
        pass


async def test_a_folder_is_made_and_a_foreign_file_refused(tmp_path: Path) -> None:
    """The data folder appears by itself; a file that is no database is named and left alone."""
    async with opened(tmp_path / "new" / "folder" / "tcbox.db"):
        pass
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    with pytest.raises(db.DatabaseError, match=r"notes\.txt"):
        async with opened(tmp_path / "notes.txt"):
            pass
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


async def test_a_foreign_await_is_refused(tmp_path: Path) -> None:
    """A function that awaits anything but its transaction fails with its name, and its changes are undone."""

    async def sleepy(tx: db.Tx) -> None:
        await insert("a")(tx)
        await asyncio.sleep(0.01)

    async with opened(tmp_path / "tcbox.db") as database:
        for bulk in (False, True):
            with pytest.raises(db.ForeignAwait, match="sleepy awaited something other than its transaction"):
                await database.transaction(sleepy, bulk=bulk)
        assert await database.value(sql.count_things) == 0


async def test_transactions_share_commits(tmp_path: Path) -> None:
    """What is asked for during one commit goes into the next together: far fewer commits than transactions."""
    path = tmp_path / "tcbox.db"
    async with opened(path) as database:
        await asyncio.gather(*(database.transaction(insert(f"k{n}")) for n in range(400)))
        frames = os.path.getsize(f"{path}-wal") // wal.PAGE
        assert await database.value(sql.count_things) == 400
    assert frames < 200


async def test_answered_changes_survive_a_kill(tmp_path: Path) -> None:
    """Every transaction that was answered before the process was killed is there afterwards."""
    path = tmp_path / "tcbox.db"
    code = f"""
import asyncio, itertools
from tests.unit.test_db_sqlite import opened, insert, Path
async def main():
    async with opened(Path({str(path)!r})) as database:
        count = itertools.count()
        async def one():
            while True:
                n = next(count)
                await database.transaction(insert(f"k{{n}}", b"x" * 500))
                print(n, flush=True)
        await asyncio.gather(*(one() for _ in range(16)))
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=HERE.parents[2])
    assert process.stdout is not None
    answered = [process.stdout.readline() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    answered += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    async with opened(path) as database:
        there = {row["key"] for row in await database.all(sql.list_things, count=100_000)}
    assert {f"k{line.strip()}" for line in answered if line.endswith("\n")} - there == set()


@contextlib.contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let writes beyond this size fail, as they do on a disk that fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_commit_that_fails_on_the_disk_fails_its_callers_and_no_more(tmp_path: Path) -> None:
    """When the commit cannot be written every caller of it is told, and the next one works once there is room."""
    async with opened(tmp_path / "tcbox.db") as database:
        await database.transaction(insert("before"))
        with files_limited_to(os.path.getsize(tmp_path / "tcbox.db-wal")):
            asked = [database.transaction(insert(f"lost{n}", b"x" * 5000)) for n in range(8)]
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(outcome, db.DatabaseError) for outcome in outcomes)
        assert "the disk that holds" in str(outcomes[0])
        await database.transaction(insert("after"))
        assert [row["key"] for row in await database.all(sql.list_things, count=10)] == ["after", "before"]


async def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """When SQLite finds no room the message says to free some, and the engine goes on when there is."""
    async with opened(tmp_path / "tcbox.db") as database:
        await database.transaction(insert("before"))
        connection = database._writer._runner.connection  # type: ignore[attr-defined]  # noqa: SLF001
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        asked = [database.transaction(insert(f"lost{n}", b"x" * 50_000)) for n in range(8)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert any(isinstance(outcome, db.DiskFull) for outcome in outcomes)
        assert all(isinstance(outcome, db.DatabaseError) for outcome in outcomes)
        with pytest.raises(db.DiskFull, match=r"tcbox\.db is full: free some space"):
            await database.transaction(insert("lost", b"x" * 50_000), bulk=True)
        connection.execute(f"PRAGMA max_page_count = {pages + 1000}").fetchall()
        await database.transaction(insert("after"))
        assert await database.value(sql.count_things) == 2


async def test_another_program_that_holds_the_lock_is_waited_for(tmp_path: Path) -> None:
    """While another program writes to the file transactions wait, and the event loop goes on."""
    path = tmp_path / "tcbox.db"
    async with opened(path) as database:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        asked = asyncio.create_task(database.transaction(insert("a")))
        started = time.monotonic()
        await asyncio.sleep(0.1)
        assert time.monotonic() - started < 4  # the lock itself is waited for longer
        assert not asked.done()
        other.execute("ROLLBACK")
        other.close()
        await asyncio.wait_for(asked, 15)


@pytest.mark.parametrize("pause", [0, 0.5], ids=["", "slow-disk"])
async def test_the_log_stays_short_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
    """The write-ahead log stays below 64 MB while much more than that is written, however long the disk takes for a checkpoint."""
    path, flush = tmp_path / "tcbox.db", wal.flushing.flush

    def late(file: int) -> None:
        time.sleep(pause)
        flush(file)

    monkeypatch.setattr(wal.flushing, "flush", late)
    largest = 0
    async with opened(path) as database:
        for batch in range(60):
            asked = [database.transaction(insert(f"{batch}-{n}", os.urandom(100_000))) for n in range(20)]
            await asyncio.gather(*asked)
            largest = max(largest, os.path.getsize(f"{path}-wal"))
    assert wal.CHECKPOINT < largest < 64_000_000


async def test_the_log_is_cut_after_a_long_read(tmp_path: Path) -> None:
    """A log that grew while somebody read an old state is cut when that read has ended."""
    path = tmp_path / "tcbox.db"
    async with opened(path) as database:
        await database.transaction(insert("a"))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM sample_things").fetchone()
        for n in range(500):
            await database.transaction(insert(f"k{n}", os.urandom(100_000)))
        assert os.path.getsize(f"{path}-wal") > wal.CUT
        reader.close()
        for n in range(60):
            await database.transaction(insert(f"l{n}", os.urandom(100_000)))
        assert os.path.getsize(f"{path}-wal") < wal.CUT


async def test_long_work_leaves_the_event_loop_free(tmp_path: Path) -> None:
    """A slow read and a bulk transaction run beside the event loop, not on it."""

    async def slow(tx: db.Tx) -> Any:
        return await tx.value(sql.slow_count)

    async with opened(tmp_path / "tcbox.db") as database:
        work = [database.transaction(slow, bulk=True), database.value(sql.slow_count)]
        running = asyncio.gather(*work)
        turns = 0
        while not running.done():
            await asyncio.sleep(0.002)
            turns += 1
        assert await running == [3_000_000, 3_000_000]
        assert turns > 10


async def test_a_look_up_never_suspends(tmp_path: Path) -> None:
    """`point` answers within the caller's own turn of the event loop."""
    async with opened(tmp_path / "tcbox.db") as database:
        await database.transaction(insert("a"))
        look_up = database.point(sql.get_thing, key="a")
        with pytest.raises(StopIteration) as end:
            look_up.send(None)  # type: ignore[attr-defined]
        assert end.value.value["key"] == "a"


async def test_a_read_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    """Closing waits for connections that are being opened, ends their threads, and refuses reads that come after or waited."""
    before = set(threading.enumerate())
    async with opened(tmp_path / "tcbox.db") as database:
        given_up = [asyncio.create_task(database.all(sql.count_things)) for _ in range(2)]
        waits = asyncio.create_task(database.all(sql.count_things))
        await asyncio.sleep(0)
        for read in given_up:
            read.cancel()
        await database.close()
        assert {type(outcome) for outcome in await asyncio.gather(*given_up, return_exceptions=True)} == {asyncio.CancelledError}
        with pytest.raises(errors.Unavailable, match="is not open"):
            await waits
        with pytest.raises(errors.Unavailable, match="is not open"):
            await database.all(sql.count_things)
    for thread in set(threading.enumerate()) - before:
        if "connection_worker" in thread.name:
            thread.join(5)
            assert not thread.is_alive(), thread


async def test_reads_cannot_write(tmp_path: Path) -> None:
    """A statement that changes something is refused outside a transaction."""
    async with opened(tmp_path / "tcbox.db") as database:
        for read in (database.point, database.all):
            with pytest.raises(db.DatabaseError, match="readonly"):
                await read(sql.set_number, key="a", number=1)


async def test_the_commit_is_durable_and_keys_are_enforced(tmp_path: Path) -> None:
    """The writer runs with synchronous FULL in WAL mode, and with foreign keys on."""
    async with opened(tmp_path / "tcbox.db") as database:
        connection = database._writer._runner.connection  # type: ignore[attr-defined]  # noqa: SLF001
        pragmas = {p: connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("synchronous", "journal_mode", "foreign_keys")}
    assert pragmas == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


async def test_a_database_in_memory_obeys_the_same_rules() -> None:
    """`sqlite://:memory:` commits, rolls back and reads like a file does."""
    database = db.connect("sqlite://:memory:", clock=clock.SystemClock())
    await database.start(migrations)

    async def broken(tx: db.Tx) -> None:
        await insert("broken")(tx)
        raise LookupError

    outcomes = await asyncio.gather(
        *(database.transaction(fn) for fn in (insert("a"), broken, insert("b"))),
        database.transaction(insert("c"), bulk=True),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], LookupError)
    assert await database.value(sql.count_things) == 3
    assert (await database.point(sql.get_thing, key="a"))["key"] == "a"
    await database.close()


@pytest.mark.parametrize("url", ["sqlite://relative.db", "mysql://u:secret@h/x", "tcbox.db", "postgresql://u:secret@host"])
def test_a_url_of_another_form_is_refused(url: str) -> None:
    """A URL that names no database says how to write one, and shows no password."""
    with pytest.raises(errors.TcboxError, match="write") as refusal:
        db.connect(url, clock=clock.SystemClock())
    assert "secret" not in str(refusal.value)


async def test_the_tests_template_is_not_shared(tmp_path: Path) -> None:
    """Two copies of a migrated database are apart from each other."""
    urls = [await databases.fresh("sqlite", migrations, tmp_path) for _ in range(2)]
    async with opened(Path(urls[0][9:])) as one, opened(Path(urls[1][9:])) as two:
        await one.transaction(insert("a"))
        assert await two.value(sql.count_things) == 0
