"""What only PostgreSQL has: a server that can go away, and transactions that get in each other's way."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from tcbox import clock, db, errors
from tests.support import databases, postgres_server

HERE = Path(__file__).parent / "db_sample"
sql = db.load(HERE, "sample")
migrations = [db.migrations(HERE, "sample")]


async def opened(tmp_path: Path, options: str = "") -> db.Database:
    url = await databases.fresh("postgres", migrations, tmp_path)
    database = db.connect(url + options, clock=clock.SystemClock())
    await database.start(migrations)
    return database


async def test_no_server_is_told_clearly() -> None:
    """A server that does not answer is named, without the password."""
    database = db.connect("postgresql://tcbox:secret@127.0.0.1:1/tcbox", clock=clock.SystemClock())
    with pytest.raises(errors.Unavailable, match="tcbox on 127.0.0.1:1 does not answer") as refusal:
        await database.start([])
    assert "secret" not in str(refusal.value)


async def test_a_lost_connection_is_unavailable_and_then_replaced(tmp_path: Path) -> None:
    """When the server drops its connections a caller is told to try again, and the next try works."""
    database = await opened(tmp_path)

    async def cut(tx: Any) -> None:
        await tx._runner._connection.execute(  # noqa: SLF001
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        )

    async def insert(tx: db.Tx) -> None:
        await tx.execute(sql.insert_thing, key="a", number=1, body=None, made=tx.now)
        await cut(tx)

    with pytest.raises(Exception):  # noqa: B017, PT011 (the driver's own error, raised by the test's own statement)
        await database.transaction(insert)
    for _ in range(20):
        try:
            assert await database.value(sql.count_things) == 0
            break
        except errors.Unavailable:
            await asyncio.sleep(0.05)
    else:
        pytest.fail("the database did not come back")
    await database.close()


async def test_both_sides_let_go_of_a_silent_connection() -> None:
    """A host that falls silent is given up after `lost_after` seconds by the server, which frees its locks, and by this side, idle or not."""
    server = postgres_server.own(address="127.0.0.1")
    server.run("CREATE DATABASE tc")
    database = db.connect(server.url("tc") + "?lost_after=8", clock=clock.SystemClock())
    seen = {}
    try:
        await database.start(migrations)

        async def look(tx: Any) -> None:
            connection = tx._runner._connection  # noqa: SLF001
            for name in ("tcp_user_timeout", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"):
                seen[name] = await connection.fetchval(f"SELECT setting FROM pg_settings WHERE name = '{name}'")
            sock = connection._con._transport.get_extra_info("socket")  # noqa: SLF001
            for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
                seen[name] = sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))

        await database.transaction(look)
    finally:
        await database.close()
        server.stop()
    assert seen == {
        "tcp_user_timeout": "8000", "tcp_keepalives_idle": "2", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
        "TCP_USER_TIMEOUT": 8000, "TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3,
    }  # fmt: skip


async def test_a_small_pool_serves_many(tmp_path: Path) -> None:
    """Callers wait for a connection when there are more of them than connections."""
    database = await opened(tmp_path, "&pool=2")
    counts = await asyncio.gather(*(database.value(sql.count_things) for _ in range(40)))
    assert counts == [0] * 40
    await database.close()


async def test_deadlocks_are_run_again(tmp_path: Path) -> None:
    """Two transactions that lock the same rows in opposite order both end well."""
    database = await opened(tmp_path)

    async def make(tx: db.Tx) -> None:
        await tx.many(sql.insert_thing, [{"key": k, "number": 0, "body": None, "made": 0} for k in ("a", "b")])

    def both(first: str, second: str) -> Any:
        async def fn(tx: db.Tx) -> None:
            for key in (first, second):
                number = await tx.one(sql.get_thing, key=key)
                assert number is not None
                await tx.execute(sql.set_number, key=key, number=number["number"] + 1)

        return fn

    await database.transaction(make)
    await asyncio.gather(*(database.transaction(both(*pair)) for pair in [("a", "b"), ("b", "a")] * 6))
    for key in ("a", "b"):
        row = await database.point(sql.get_thing, key=key)
        assert row is not None
        assert row["number"] == 12
    await database.close()


async def test_nobody_is_overtaken_for_ever(tmp_path: Path) -> None:
    """Many processes that all change one row, again and again, each get their turn: no change is refused, none is lost."""
    url = await databases.fresh("postgres", migrations, tmp_path)
    processes = [db.connect(f"{url}&pool=4", clock=clock.SystemClock()) for _ in range(3)]
    for each in processes:
        await each.start(migrations)

    async def make(tx: db.Tx) -> None:
        await tx.execute(sql.insert_thing, key="a", number=0, body=None, made=tx.now)

    async def count(tx: db.Tx) -> None:
        row = await tx.one(sql.get_thing, key="a")
        assert row is not None
        await asyncio.sleep(0.002)  # as a transaction of several statements on a busy server
        await tx.execute(sql.set_number, key="a", number=row["number"] + 1)

    async def client(database: db.Database) -> None:
        for _ in range(10):
            await database.transaction(count)

    await processes[0].transaction(make)
    await asyncio.gather(*(client(each) for each in processes for _ in range(4)))
    row = await processes[0].point(sql.get_thing, key="a")
    assert row is not None
    assert row["number"] == 120
    for each in processes:
        await each.close()


async def test_queued_transactions_wait_for_each_other(tmp_path: Path) -> None:
    """Transactions that change one row last, and say so, each run once and lose nothing, however many there are at a time."""
    database = await opened(tmp_path)
    ran: list[str] = []

    async def make(tx: db.Tx) -> None:
        await tx.execute(sql.insert_thing, key="a", number=0, body=None, made=tx.now)

    def add(key: str) -> Any:
        async def fn(tx: db.Tx) -> None:
            ran.append(key)
            await tx.execute(sql.insert_thing, key=key, number=0, body=None, made=tx.now)
            await tx.execute(sql.count_up, key="a")
            await asyncio.sleep(0.002)  # as a commit that has to wait for the disk

        return fn

    await database.transaction(make)
    await asyncio.gather(*(database.transaction(add(f"b{number}"), queued=True) for number in range(40)))
    assert sorted(ran) == sorted({f"b{number}" for number in range(40)})
    row = await database.point(sql.get_thing, key="a")
    assert row is not None
    assert row["number"] == 40
    await database.close()


async def test_hints_reach_the_other_processes(tmp_path: Path) -> None:
    """A hint is heard by every other process once, not by its sender; after a lost connection all are told to look again."""
    url = await databases.fresh("postgres", migrations, tmp_path)
    one, two, three = processes = [db.connect(url, clock=clock.SystemClock()) for _ in range(3)]
    heard: dict[int, list[str | None]] = {n: [] for n in range(3)}
    ends = []
    for n, each in enumerate(processes):
        await each.start(migrations)
        ends.append(each.listen("topic", heard[n].append))
    await _until(lambda: all(said == [None] for said in heard.values()))
    long = [f"{n:04}" + "x" * 500 for n in range(40)]
    for text in ["a", "b", "a", *long]:
        one.signal("topic", text)
    two.signal("elsewhere", "c")
    await _until(lambda: len(heard[1]) == len(heard[2]) == 43)
    assert sorted(map(str, heard[1][1:])) == sorted(["a", "b", *long])
    assert heard[0] == [None]
    ends[2]()
    await three.value(db.Query("t", "", "", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'tcbox listening'", ()))
    await _until(lambda: heard[1][-1] is None and heard[0] == [None, None])
    one.signal("topic", "again")
    await _until(lambda: heard[1][-1] == "again")
    assert len(heard[2]) == 43
    for each in processes:
        await each.close()


async def _until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("option", ["pool=none", "pool=0", "schema=a-b", "lost_after=soon", "lost_after=3", "lost_after=3601"])
def test_options_are_checked(option: str) -> None:
    """A wrong option in the URL is refused by name before anything is connected."""
    with pytest.raises(errors.TcboxError, match=option):
        db.connect(f"postgresql://localhost/tcbox?{option}", clock=clock.SystemClock())
