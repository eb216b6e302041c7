"""Hooks that fire by themselves: at their times, once each, whatever ends in between and whoever else runs the loops."""

from __future__ import annotations

import asyncio
import json

import pytest

from tcbox import clock as clocks
from tcbox import db, errors, ids
from tcbox.services.hooks import firing, loops, mail, model
from tcbox.services.hooks.service import Service
from tests.support import hooks as support
from tests.support.databases import database, listening, repeated, two  # noqa: F401
from tests.support.hooks import METADATA, Hooks, clock, hook, hooks, task  # noqa: F401
from tests.support.waiting import asleep, eventually

migrations = support.MIGRATIONS


class Killed(BaseException):
    """The process ends here."""


async def due(hooks: Hooks, name: str = "h") -> int:
    """When a hook fires next, in ms."""
    return clocks.from_wire((await hooks("getHookStatus", "g", name)).body["nextScheduledDate"])


async def move_to(hooks: Hooks, time: int) -> None:
    hooks.clock.advance(max(0, time - hooks.clock.now()))


async def test_a_hook_fires_at_its_times(hooks: Hooks) -> None:
    """At each time of its schedule a hook's task is created, as of that time, and not before."""
    await hooks.create(schedule=["0 * * * *", "0 30 * * * *"], task=task(extra={"by": "${firedBy}", "at": "${now}", "id": "${taskId}"}))
    await hooks.settle()
    assert await hooks.tasks() == []
    for number in range(1, 4):
        time = await due(hooks)
        await move_to(hooks, time - 1000)
        await hooks.settle()
        assert len(await hooks.tasks()) == number - 1
        await move_to(hooks, time)
        await hooks.settle()
        fires = await hooks.fires()
        assert len(await hooks.tasks()) == len(fires) == number
        made = await hooks.task(fires[0]["taskId"])
        assert made["extra"] == {"by": "schedule", "at": clocks.to_wire(time), "id": fires[0]["taskId"]}
        assert fires[0]["firedBy"] == "schedule" and made["created"] == clocks.to_wire(time)
        assert await due(hooks) == time + 30 * clocks.MINUTE
    assert len({fire["taskId"] for fire in await hooks.fires()}) == 3


async def test_after_a_long_pause_it_fires_once(hooks: Hooks) -> None:
    """For all the times that passed while nothing ran a hook fires once, as of now, and goes on with the next that comes."""
    await hooks.create(schedule=["*/10 * * * * *"])
    hooks.clock.advance(3 * clocks.DAY)
    await hooks.settle()
    assert [fire["result"] for fire in await hooks.fires()] == ["success"]
    made = await hooks.task((await hooks.fires())[0]["taskId"])
    assert clocks.from_wire(made["created"]) > hooks.clock.now() - clocks.MINUTE
    assert 0 < await due(hooks) - hooks.clock.now() <= 10_000


async def test_month_ends_and_leap_days(hooks: Hooks) -> None:
    """A schedule for month ends and for leap days comes at those, over years of virtual time."""
    await hooks.create(schedule=["0 12 L 2 *", "0 0 29 2 *"])
    seen = []
    for _ in range(8):
        await move_to(hooks, await due(hooks))
        await hooks.settle()
        seen.append((await hooks.fires())[0]["taskCreateTime"])
    days = [time[5:16] for time in seen]
    leap = [time for time in seen if int(time[:4]) % 4 == 0]
    assert set(days) <= {"02-28T12:00", "02-29T00:00", "02-29T12:00"}
    assert {time[5:16] for time in leap} == {"02-29T00:00", "02-29T12:00"}
    assert seen == sorted(seen) and len(set(seen)) == 8


async def test_the_loops_sleep_until_something_is_due(hooks: Hooks, monkeypatch) -> None:
    """The loops run at most every ten seconds when nothing is due, at once when something is, and when a hook is made."""
    turns: list[str] = []
    advance = hooks.service.work.advance

    async def counted() -> int:
        turns.append("turn")
        return await advance()

    monkeypatch.setattr(hooks.service.work, "advance", counted)

    async def repeat(turn) -> None:
        while True:
            await turn()

    await listening(hooks.database)
    running = [asyncio.create_task(repeat(each)) for each in (hooks.service.work.schedule, hooks.service.work.fire)]
    try:
        await asleep(hooks.clock, 2)
        assert len(turns) == 1
        hooks.clock.advance(loops.LONGEST)
        await eventually(lambda: len(turns) == 2)
        await asleep(hooks.clock, 2)
        monkeypatch.setattr(loops, "LONGEST", clocks.DAY)
        hooks.clock.advance(loops.LONGEST)  # they look once more, and then not again for a day
        await eventually(lambda: len(turns) == 3)
        await asleep(hooks.clock, 2)
        await hooks.create(schedule=["* * * * * *"])
        for count, passes in ((1, clocks.SECOND), (2, clocks.HOUR)):
            await asleep(hooks.clock, within=clocks.SECOND)
            hooks.clock.advance(passes)

            async def fired(count: int = count) -> bool:
                return len(await hooks.tasks()) == count

            await eventually(fired)
        assert len(turns) < 12
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_loops_in_another_process_are_told(clock: clocks.VirtualClock, tmp_path, monkeypatch) -> None:  # noqa: F811
    """A hook that one process makes, and a message that one process takes, are seen to at once by the loops of another."""
    monkeypatch.setattr(loops, "LONGEST", clocks.DAY)  # they do not come to look by themselves
    async with two(migrations, clock, tmp_path) as (one, other), support.started(one, clock) as api, support.started(other, clock) as loop:
        await listening(other)
        async with repeated(clock, loop.service.work.schedule, loop.service.work.fire):
            await api.create(schedule=["* * * * * *"])
            await asleep(clock, within=clocks.SECOND)
            clock.advance(clocks.SECOND)
            await eventually(api.tasks)
            await api("updateHook", "g", "h", payload=hook(schedule=[]))
            made = firing.decided(await api.service.store.get(model.Name("g", "h")), model.MESSAGE, {"payload": {}}, ids.slugid(), clock.now(), due=0)
            await one.transaction(lambda tx: firing.add(tx, made))
            api.service.work.waiting.ring()

            async def carried_out() -> bool:
                return made.task_id in await api.tasks()

            await eventually(carried_out)


async def test_a_removed_hook_fires_no_more(hooks: Hooks) -> None:
    """What was decided before a hook was removed, and not yet carried out, is not carried out."""
    await hooks.create(schedule=["* * * * * *"])
    hooks.clock.advance(2000)
    assert await hooks.service.work.advance() == 1
    await hooks("removeHook", "g", "h")
    await hooks.settle()
    assert await hooks.tasks() == []


STEPS = ["before the decision", "after the decision", "before createTask", "after createTask", "before the record"]


@pytest.mark.parametrize("step", STEPS)
async def test_no_kill_has_a_hook_fire_twice_or_not_at_all(hooks: Hooks, monkeypatch, step) -> None:
    """When the process ends between any two steps of a firing, the next one finishes it: one task, one firing, success."""
    await hooks.create(schedule=["0 0 * * *"], task=task(extra={"id": "${taskId}"}))
    await move_to(hooks, await due(hooks))
    transactions = 0
    real = hooks.database.transaction

    async def dying(fn, **keywords):
        nonlocal transactions
        transactions += 1
        if step == "before the record" and fn.__qualname__.endswith("_finish.<locals>.finish"):
            raise Killed
        if step == "before the decision" and fn.__qualname__.endswith("move_on"):
            raise Killed
        return await real(fn, **keywords)

    monkeypatch.setattr(hooks.database, "transaction", dying)
    hooks.others.before += [Killed()] if step == "before createTask" else []
    hooks.others.after += [Killed()] if step == "after createTask" else []
    if step == "after the decision":
        await hooks.service.work.advance()
    else:
        with pytest.raises(Killed):
            await hooks.settle()
    monkeypatch.undo()
    async with restarted(hooks) as after:
        for _ in range(5):
            await after.settle()
            hooks.clock.advance(firing.LEASE)
    assert len(await hooks.tasks()) == 1
    fires = await hooks.fires()
    assert [(fire["result"], fire["taskId"]) for fire in fires] == [("success", (await hooks.tasks())[0])]
    assert len(set(hooks.others.calls)) <= 1


class restarted:
    """Another process's service on the same database."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks
        self.service = Service(
            database=hooks.database, bus=hooks.bus, sealer=support.SEALER, clock=hooks.clock, caller=hooks.others, root_url="http://x", sandbox=hooks.sandbox,
        )  # fmt: skip

    async def __aenter__(self) -> restarted:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def settle(self) -> None:
        while await self.service.work.advance() or await self.service.work.carry_out():
            pass


async def test_a_kill_in_a_trigger_is_made_good(hooks: Hooks) -> None:
    """A trigger whose process ends after the task was created is recorded later, and creates no second task."""
    await hooks.create()
    hooks.others.after.append(Killed())
    with pytest.raises(Killed):
        await hooks("triggerHook", "g", "h", payload={})
    assert await hooks.fires() == []
    await hooks("updateHook", "g", "h", payload=hook(task=task(extra={"changed": True})))
    hooks.clock.advance(firing.LEASE + 1000)
    await hooks.settle()
    assert len(await hooks.tasks()) == 1
    assert [(fire["result"], fire["firedBy"]) for fire in await hooks.fires()] == [("success", "triggerHook")]


async def test_a_kill_after_which_nothing_ran_for_long(hooks: Hooks) -> None:
    """When the next process comes only hours after a kill, a task that was created counts, and one that was not is created as of then."""
    await hooks.create(schedule=["0 0 * * *"])
    for fails in ("after", "before"):
        await move_to(hooks, await due(hooks))
        getattr(hooks.others, fails).append(Killed())
        with pytest.raises(Killed):
            await hooks.settle()
        hooks.clock.advance(5 * clocks.HOUR)
        await hooks.settle()
    fires = await hooks.fires()
    assert [fire["result"] for fire in fires] == ["success", "success"]
    assert {fire["taskId"] for fire in fires} == set(await hooks.tasks()) and len(await hooks.tasks()) == 2
    late = clocks.from_wire((await hooks.task(fires[0]["taskId"]))["created"])
    assert late > hooks.clock.now() - clocks.MINUTE


async def test_two_processes_fire_once(hooks: Hooks) -> None:
    """Two processes that run the loops on one database at the same moment create one task for each time."""
    for number in range(5):
        await hooks.create("g", f"h{number}", schedule=["0 0 * * * *"])
    async with restarted(hooks) as other:
        for turn in range(1, 4):
            await move_to(hooks, await due(hooks, "h0"))
            await asyncio.gather(hooks.settle(), other.settle(), hooks.settle(), other.settle())
            await asyncio.gather(hooks.settle(), other.settle())
            created = await hooks.tasks()
            assert len(created) == len(set(created)) == 5 * turn
    for number in range(5):
        assert [fire["result"] for fire in await hooks.fires("g", f"h{number}")] == ["success"] * 3


async def test_while_the_queue_does_not_answer_it_is_tried_again(hooks: Hooks) -> None:
    """A scheduled task is created as soon as the queue answers again, once; the error stands there until then, and nobody is mailed."""
    await hooks.create(schedule=["0 0 1 * *"])
    await move_to(hooks, await due(hooks))
    hooks.others.before += [errors.Unavailable(), errors.InternalServerError("lost")]
    await hooks.settle()
    assert [fire["result"] for fire in await hooks.fires()] == ["error"]
    for _ in range(4):
        hooks.clock.advance(10 * clocks.SECOND)
        await hooks.settle()
    assert [(fire["result"], fire["error"]) for fire in await hooks.fires()] == [("success", "")]
    assert len(await hooks.tasks()) == 1 and len(hooks.others.calls) == 3 and len(set(hooks.others.calls)) == 1
    assert hooks.others.mails == []


async def test_a_queue_that_never_answers_is_given_up(hooks: Hooks) -> None:
    """After a day without an answer a firing is given up, and the owner is told."""
    await hooks.create(schedule=["0 0 1 1 *"])
    await move_to(hooks, await due(hooks))
    hooks.others.before += [errors.Unavailable() for _ in range(2000)]
    for _ in range(600):
        await hooks.settle()
        hooks.clock.advance(5 * clocks.MINUTE)
        if hooks.others.mails:
            break
    assert len(hooks.others.mails) == 1
    assert [fire["result"] for fire in await hooks.fires()] == ["error"]
    hooks.others.before.clear()
    hooks.clock.advance(clocks.DAY)
    await hooks.settle()
    assert await hooks.tasks() == []


async def test_failures_are_mailed_to_the_owner(hooks: Hooks) -> None:
    """A scheduled hook that cannot create its task mails its owner what is wrong, and goes on with its next time."""
    await hooks.create(schedule=["0 0 * * *"], task=task(scopes=["x:```y"]))
    hooks.others.roles = {"hook-id:*": ["queue:create-task:*", "queue:scheduler-id:*"]}
    await move_to(hooks, await due(hooks))
    await hooks.settle()
    (message,) = hooks.others.mails
    assert (message["address"], message["subject"]) == ("owner@example.com", "[Taskcluster Hooks] Scheduled Hook failure: g/h")
    assert "x:```y" in message["content"] and "````" in message["content"] and "http://localhost/hooks/g/h" in message["content"]
    assert [fire["result"] for fire in await hooks.fires()] == ["error"]
    assert await due(hooks) > hooks.clock.now()
    hooks.clock.advance(clocks.DAY)
    await hooks.settle()
    assert len(hooks.others.mails) == 2


async def test_an_owner_is_not_flooded(hooks: Hooks) -> None:
    """A hook that fails at every minute mails once in half an hour; one without emailOnError never does."""
    broken = task(extra={"x": {"$eval": "nothing"}})
    await hooks.create(schedule=["* * * * *"], task=broken)
    await hooks.create("g", "quiet", schedule=["* * * * *"], task=broken, metadata={**METADATA, "emailOnError": False})
    for _ in range(5):
        await move_to(hooks, await due(hooks))
        await hooks.settle()
    assert len(hooks.others.mails) == 1
    hooks.clock.advance(mail.PAUSE)
    await hooks.settle()
    assert len(hooks.others.mails) == 2 and all("g/h" in each["subject"] for each in hooks.others.mails)
    assert len(await hooks.fires("g", "quiet")) == 6


@pytest.mark.parametrize("refusal", [errors.Unavailable("The service notify does not run in this instance"), errors.InputError("denylisted address")])
async def test_when_mail_fails_the_error_is_kept_and_told(hooks: Hooks, caplog, refusal) -> None:
    """Without a notify service, or when it refuses, the error of the firing is kept, and the log says that no mail went out."""
    hooks.others.notify = refusal
    await hooks.create(schedule=["0 0 * * *"], task=task(extra={"x": {"$eval": "nothing"}}))
    await move_to(hooks, await due(hooks))
    await hooks.settle()
    fire = (await hooks.fires())[0]
    assert fire["result"] == "error" and "unknown context value" in fire["error"]
    assert str(refusal) in caplog.text
    assert (await hooks("getHookStatus", "g", "h")).body["lastFire"]["error"] == {"message": fire["error"]}


async def test_errors_that_are_huge_are_cut(hooks: Hooks) -> None:
    """An error of a megabyte, of letters that JSON writes as two, is kept in part, and still is JSON."""
    hooks.others.before.append(errors.InputError('"' * 1_000_000))
    await hooks.create()
    await hooks("triggerHook", "g", "h", payload={})
    kept = (await hooks.fires())[0]["error"]
    assert len(kept) <= 128 * 1024 and json.loads(kept)["code"] == "InputError"


async def test_task_ids_cannot_be_told_beforehand(database: db.Database, clock) -> None:  # noqa: F811
    """The task id of a time is another for each hook, also for one of the same name that was removed and made again."""
    async with support.started(database, clock) as hooks:
        found = set()
        for _ in range(3):
            await hooks.create(schedule=["0 0 1 1 *"])
            row = await hooks.service.store.get(support.store.model.Name("g", "h"))
            assert row is not None
            found.add(row.task_id("schedule/1"))
            assert row.task_id("schedule/1") != row.task_id("schedule/2")
            await hooks("removeHook", "g", "h")
        assert len(found) == 3
        from tcbox import ids

        assert all(ids.is_slugid(each) and not each.startswith("-") for each in found)
