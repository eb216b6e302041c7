"""One of several processes with the same database has the lease; no holder is for ever."""

import asyncio
import subprocess
import sys

import pytest

from tcbox.config import processes
from tcbox.events import lease
from tcbox.events.bus import migrations as event_migrations
from tcbox.events.tail import sql
from tests.support.databases import database  # noqa: F401
from tests.support.waiting import eventually

migrations = [event_migrations]


def made(database, holder, *, patience=60.0):
    return lease.Lease(database, "thing", holder=holder, beat=0.05, patience=patience)


class Watched:
    """The database as a lease has it that is waited for: something is done before each look at it, and the looks are counted."""

    def __init__(self, database, before):
        self.transaction, self._one, self._before, self.looks = database.transaction, database.one, before, 0

    async def one(self, *args, **params):
        await self._before()
        self.looks += 1
        return await self._one(*args, **params)


async def test_one_has_it_until_it_gives_it_back(database):
    """The second waits while the first gives signs of life, and has it as soon as the first lets it go."""
    first = made(database, "one")

    async def sign_of_life():
        if first.held:
            await database.transaction(first.confirm)

    watched = Watched(database, sign_of_life)
    second = made(watched, "two", patience=0.02)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await eventually(lambda: watched.looks >= 20)
    assert first.held and not second.held and second.other == "one"
    await first.release()
    await asyncio.wait_for(waiting, 15)
    assert second.held and not first.held


async def test_who_keeps_it_gives_signs_of_life(database):
    """Whoever keeps the lease shows it to others again and again."""
    first = made(database, "one")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())

    async def beats():
        return (await database.one(sql.get_lease, name="thing"))["beat"]

    for _ in range(2):
        before = await beats()

        async def another(before=before):
            return await beats() > before

        await eventually(another)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_silent_holder_is_replaced_and_learns_of_it(database):
    """A holder that gives no sign of life loses the lease, and can then change nothing in its name."""
    first, second = made(database, "one"), made(database, "two", patience=0.4)
    await first.acquire()
    await asyncio.wait_for(second.acquire(), 15)
    with pytest.raises(lease.LeaseLost):
        await database.transaction(first.confirm)
    assert not first.held
    await first.release()
    await database.transaction(second.confirm)


async def test_of_many_who_want_it_one_gets_it(database):
    """However many ask for a free lease at once, one of them has it."""
    asking = [made(database, f"p{n}") for n in range(8)]
    tasks = [asyncio.create_task(each.acquire()) for each in asking]
    await eventually(lambda: all(each.held or each.other for each in asking))
    [holder] = [each for each in asking if each.held]
    assert {each.other for each in asking if each is not holder} == {holder.holder}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_process_of_this_machine_that_has_ended_is_replaced_at_once(database):
    """Nobody waits for a process of this machine that is not there any more, as after a kill and a start."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = lease.this_process()
    machine = own.partition("/")[0]
    holder = f"{machine}/{process.pid}/{processes.mark(process.pid)}/x"
    assert not lease.ended(holder) and not lease.ended(own)
    patient = lease.Lease(database, "thing", holder=holder, patience=3600)
    await patient.acquire()
    process.communicate(b"\n")
    assert lease.ended(holder)
    await asyncio.wait_for(lease.Lease(database, "thing", patience=3600).acquire(), 15)


@pytest.mark.parametrize("holder", ["", "a", "other-machine.pid:[1]/1/2/x", "/1/1/x", "a/b/c/d"])
def test_what_is_not_known_to_have_ended_has_not(holder):
    """Only a process of this machine can be known to have ended."""
    assert not lease.ended(holder)
