"""Transactions on both engines: all or nothing, alone or together, and what their functions may do."""

from __future__ import annotations

import asyncio
import contextvars
from pathlib import Path
from typing import Any

import pytest

from tcbox import db
from tests.support.databases import database  # noqa: F401

HERE = Path(__file__).parent / "db_sample"
sql = db.load(HERE, "sample")
migrations = [db.migrations(HERE, "sample")]
WHO: contextvars.ContextVar[int] = contextvars.ContextVar("WHO")


def insert(key: str, number: int = 1, **more: Any) -> Any:
    async def fn(tx: db.Tx) -> str:
        await tx.execute(sql.insert_thing, key=key, number=number, body=more.get("body"), made=tx.now)
        return key

    return fn


async def test_a_result_is_returned_after_its_change_can_be_read(database: db.Database) -> None:
    """What a transaction wrote is seen by every kind of read begun after its answer."""
    assert await database.transaction(insert("a", 7)) == "a"
    assert (await database.point(sql.get_thing, key="a"))["number"] == 7
    assert (await database.one(sql.get_thing, key="a"))["number"] == 7
    assert await database.value(sql.count_things) == 1
    assert [row["key"] for row in await database.all(sql.list_things, count=10)] == ["a"]
    assert await database.point(sql.get_thing, key="b") is None
    assert await database.one(sql.get_thing, key="b") is None


async def test_a_failed_function_leaves_nothing(database: db.Database) -> None:
    """When the function raises, its changes are gone and its caller gets that error."""

    async def fn(tx: db.Tx) -> None:
        await insert("a")(tx)
        raise LookupError("no")

    with pytest.raises(LookupError):
        await database.transaction(fn)
    assert await database.value(sql.count_things) == 0


async def test_one_failure_in_a_batch_fails_alone(database: db.Database) -> None:
    """Of many transactions at once, those that fail take no others with them."""

    async def half(tx: db.Tx) -> None:
        await insert("half")(tx)
        raise LookupError("no")

    asked = [half if n % 3 == 0 else insert(f"k{n}") for n in range(30)]
    outcomes = await asyncio.gather(*map(database.transaction, asked), return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, LookupError)] == list(range(0, 30, 3))
    assert await database.value(sql.count_things) == 20
    assert await database.point(sql.get_thing, key="half") is None


async def test_concurrent_changes_of_one_row_are_all_kept(database: db.Database) -> None:
    """Reading and then writing the same row from many transactions loses no update."""
    await database.transaction(insert("a", 0))

    async def add(tx: db.Tx) -> None:
        row = await tx.one(sql.get_thing, key="a")
        await tx.execute(sql.set_number, key="a", number=row["number"] + 1)

    await asyncio.gather(*(database.transaction(add) for _ in range(24)))
    assert (await database.point(sql.get_thing, key="a"))["number"] == 24


async def test_a_transaction_reads_what_it_wrote(database: db.Database) -> None:
    """Statements of a transaction see its own changes, and say how many rows they changed."""

    async def fn(tx: db.Tx) -> None:
        await tx.many(sql.insert_thing, [{"key": f"k{n}", "number": n, "body": None, "made": tx.now} for n in range(4)])
        assert await tx.value(sql.count_things) == 4
        assert await tx.execute(sql.set_number, key="k1", number=5) == 1
        assert await tx.execute(sql.set_number, key="absent", number=5) == 0
        assert [row[0] for row in await tx.all(sql.list_things, count=2)] == ["k0", "k1"]

    await database.transaction(fn)


async def test_a_taken_key_is_told_apart(database: db.Database) -> None:
    """A duplicate key raises UniqueViolation with the statement's name."""
    await database.transaction(insert("a"))
    with pytest.raises(db.UniqueViolation, match="sample.insert_thing"):
        await database.transaction(insert("a"))


async def test_a_swallowed_failure_still_rolls_back(database: db.Database) -> None:
    """A function that catches a statement's failure cannot go on, and commits nothing."""
    await database.transaction(insert("a"))

    async def fn(tx: db.Tx) -> None:
        await insert("b")(tx)
        with pytest.raises(db.UniqueViolation):
            await insert("a")(tx)
        with pytest.raises(db.DatabaseError, match="earlier statement"):
            await tx.value(sql.count_things)

    with pytest.raises(db.DatabaseError):
        await database.transaction(fn)
    assert await database.value(sql.count_things) == 1


async def test_callbacks_run_after_the_commit_only(database: db.Database) -> None:
    """A callback runs once its commit is done and before the caller goes on; never after a roll-back."""
    heard: list[str] = []

    def note(word: str, *, fail: bool) -> Any:
        async def fn(tx: db.Tx) -> None:
            await insert(word)(tx)
            tx.after_commit(lambda: heard.append(word))
            if fail:
                raise LookupError(word)

        return fn

    await database.transaction(note("kept", fail=False))
    assert heard == ["kept"]
    with pytest.raises(LookupError):
        await database.transaction(note("lost", fail=True))
    assert heard == ["kept"]


async def test_bulk_transactions_commit_and_roll_back_too(database: db.Database) -> None:
    """A long transaction asked for with `bulk` obeys the same rules, beside others."""

    async def many(tx: db.Tx) -> None:
        await tx.many(sql.insert_thing, [{"key": f"b{n}", "number": n, "body": None, "made": 0} for n in range(500)])

    async def broken(tx: db.Tx) -> None:
        await insert("broken")(tx)
        raise LookupError("no")

    outcomes = await asyncio.gather(
        database.transaction(insert("x")),
        database.transaction(many, bulk=True),
        database.transaction(broken, bulk=True),
        database.transaction(insert("y")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[2], LookupError)
    assert await database.value(sql.count_things) == 502


async def test_parameters_are_checked(database: db.Database) -> None:
    """A parameter too many or too few is refused by name on both engines."""
    with pytest.raises(db.DatabaseError, match="'kye' is not one of its parameters"):
        await database.point(sql.get_thing, kye="a")
    with pytest.raises(db.DatabaseError, match="'key' is missing"):
        await database.one(sql.get_thing)


async def test_values_come_back_as_they_went_in(database: db.Database) -> None:
    """Large integers, bytes, text of any script, null and truth keep their value on both engines."""
    body = bytes(range(256))
    await database.transaction(insert("ключ ☃ '; --", 2**62, body=body))
    row = await database.point(sql.get_thing, key="ключ ☃ '; --")
    assert (row["number"], row["body"]) == (2**62, body)
    await database.transaction(insert("null"))
    assert (await database.point(sql.get_thing, key="null"))["body"] is None
    total = await database.value(sql.sum_numbers)
    assert (total, type(total)) == (2**62 + 1, int)
    with pytest.raises(db.DatabaseError, match="insert_thing"):
        await database.transaction(insert("huge", 2**70))
    await database.transaction(insert("true", True))
    assert (await database.point(sql.get_thing, key="true"))["number"] == 1


async def test_text_sorts_by_code_point(database: db.Database) -> None:
    """Keys come in the same order on both engines, whatever the server's language."""
    for key in ("b", "a", "B", "_", "é", "a-1", "a0"):
        await database.transaction(insert(key))
    rows = await database.all(sql.list_things, count=10)
    assert [row["key"] for row in rows] == ["B", "_", "a", "a-1", "a0", "b", "é"]


async def test_statements_are_counted(database: db.Database) -> None:
    """Each named statement's calls and seconds are there for metrics."""
    await database.transaction(insert("a"))
    await database.point(sql.get_thing, key="a")
    await database.all(sql.get_thing, key="a")
    assert database.stats["sample.get_thing"].calls == 2
    assert database.stats["sample.insert_thing"].seconds > 0


async def test_closing_finishes_what_was_asked_for(database: db.Database) -> None:
    """Transactions under way when the database closes are answered, and later ones refused."""
    asked = [asyncio.create_task(database.transaction(insert(f"k{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    await database.close()
    await database.close()
    assert [await task for task in asked] == [f"k{n}" for n in range(5)]
    with pytest.raises(Exception, match="not open"):
        await database.transaction(insert("late"))
    with pytest.raises(Exception, match="not open"):
        await database.ping()


async def test_a_ping_is_answered(database: db.Database) -> None:
    """The health check passes while the database is open."""
    await database.ping()


async def test_a_function_runs_in_its_callers_context(database: db.Database) -> None:
    """Context variables, such as the request's id in the log, are the caller's own in each transaction of a batch."""

    async def call(number: int) -> int:
        WHO.set(number)

        async def fn(tx: db.Tx) -> int:
            await insert(f"k{number}")(tx)
            return WHO.get()

        return await database.transaction(fn)

    assert await asyncio.gather(*(asyncio.create_task(call(n)) for n in range(5))) == [0, 1, 2, 3, 4]


async def test_a_cancelled_caller_harms_nobody(database: db.Database) -> None:
    """A caller that goes away leaves the others' transactions alone."""
    gone = asyncio.create_task(database.transaction(insert("gone")))
    kept = asyncio.create_task(database.transaction(insert("kept")))
    await asyncio.sleep(0)
    gone.cancel()
    assert await kept == "kept"
    assert await database.point(sql.get_thing, key="kept") is not None
