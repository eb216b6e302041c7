"""Hooks that messages fire: those of any exchange, each once, from the moment that they are bound, over restarts too."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.hooks.service import Service
from tests.support import hooks as support
from tests.support import outbox
from tests.support.databases import database  # noqa: F401
from tests.support.hooks import NEWS_SAID, Hooks, clock, hook, hooks, task  # noqa: F401

migrations = support.MIGRATIONS
FREE = {"type": "object"}


def bound(pattern: str = "#", exchange: str = NEWS_SAID.address, **changes):
    return {"triggerSchema": FREE, "bindings": [{"exchange": exchange, "routingKeyPattern": pattern}], **changes}


async def said(hooks: Hooks, payload=None, word: str = "hello", **more) -> None:
    """Publish a message, and do all that follows from it."""
    await hooks.publish({"text": "x"} if payload is None else payload, word, **more)
    await hooks.delivered()
    await hooks.settle()


async def test_a_message_fires_those_that_are_bound_to_it(hooks: Hooks) -> None:
    """A message of any exchange fires the hooks whose bindings take its routing key; its body fills their templates in."""
    await hooks.create("g", "h", **bound("hel*".replace("*", "lo"), task=task(extra={"said": "${payload.text}", "by": "${firedBy}", "id": "${taskId}"})))
    await hooks.create("g", "all", **bound())
    await hooks.create("g", "other", **bound("bye"))
    await hooks.create("g", "elsewhere", **bound(exchange="exchange/elsewhere"))
    await hooks.delivered()
    await said(hooks, {"text": "what"})
    fire = (await hooks.fires())[0]
    assert (fire["firedBy"], fire["result"]) == ("pulseMessage", "success")
    assert (await hooks.task(fire["taskId"]))["extra"] == {"said": "what", "by": "pulseMessage", "id": fire["taskId"]}
    assert [len(await hooks.fires("g", name)) for name in ("all", "other", "elsewhere")] == [1, 0, 0]


async def test_two_bindings_that_take_a_message_fire_once(hooks: Hooks) -> None:
    """A message that several bindings of a hook take, by its key and its routes, fires it once."""
    await hooks.create(triggerSchema=FREE, bindings=[{"exchange": NEWS_SAID.address, "routingKeyPattern": each} for each in ("#", "hello", "route.a.#")])
    await hooks.create("g", "route", **bound("route.a.*"))
    await said(hooks, routes=["a.b"])
    assert len(await hooks.fires()) == len(await hooks.fires("g", "route")) == 1


async def test_tasks_fire_hooks(hooks: Hooks) -> None:
    """The end of a task, as the queue announces it, fires a hook, whose task knows of the first."""
    await hooks.create(
        **bound("primary.#.proj.first.#", "exchange/taskcluster-queue/v1/task-completed", task=task(extra={"after": "${payload.status.taskId}"}))
    )
    first = await hooks.queue.create(taskQueueId="proj/first")
    await hooks.queue.run(first)
    await hooks.delivered()
    await hooks.settle()
    assert [(await hooks.task(fire["taskId"]))["extra"] for fire in await hooks.fires()] == [{"after": first}]


async def test_bindings_count_from_when_they_are_made_until_they_are_changed(hooks: Hooks) -> None:
    """Messages from before a hook, or from before its bindings, do not fire it; after they are taken away, none does."""
    await said(hooks)
    await hooks.create(**bound())
    await said(hooks)
    assert len(await hooks.fires()) == 1
    await hooks("updateHook", "g", "h", payload=hook(**bound("bye")))
    await said(hooks)
    await said(hooks, word="bye")
    assert len(await hooks.fires()) == 2
    await hooks("updateHook", "g", "h", payload=hook(bindings=[]))
    await said(hooks, word="bye")
    assert len(await hooks.fires()) == 2
    await hooks("updateHook", "g", "h", payload=hook(**bound()))
    await said(hooks)
    assert len(await hooks.fires()) == 3
    await hooks("removeHook", "g", "h")
    await said(hooks)
    assert len(await hooks.tasks()) == 3


async def test_a_message_that_the_schema_refuses_is_passed_over(hooks: Hooks, caplog) -> None:
    """A body that the triggerSchema does not take fires nothing, which the log says once for many; the next one does."""
    await hooks.create(**bound(triggerSchema={"type": "object", "properties": {"text": {"enum": ["go"]}}}))
    await hooks.create("g", "default", bindings=bound()["bindings"])
    for _ in range(5):
        await said(hooks, {"text": "stop"})
    assert await hooks.fires() == [] and await hooks.fires("g", "default") == []
    told = [record for record in caplog.records if "does not fire a hook" in record.getMessage()]
    assert len(told) == 2 and any("/text must be" in record.getMessage() for record in told)
    await said(hooks, {"text": "go"})
    assert len(await hooks.fires()) == 1


async def test_a_template_may_decline_a_message_and_errors_are_kept_and_mailed(hooks: Hooks) -> None:
    """A template that comes to nothing creates no task; one that fails is kept with the firing, and its owner told."""
    await hooks.create(**bound(task={"$if": "payload.text == 'go'", "then": support.TASK}))
    await hooks.create("g", "broken", **bound(task=task(extra={"$eval": "payload.none"})))
    await said(hooks)
    assert await hooks.fires() == []
    assert [fire["result"] for fire in await hooks.fires("g", "broken")] == ["error"]
    (mail,) = hooks.others.mails
    assert mail["subject"] == "[Taskcluster Hooks] g/broken could not create its task"


async def test_messages_come_through_a_restart(database: db.Database, clock) -> None:  # noqa: F811
    """Messages that were published while the service did not run fire hooks when it runs again, each once."""
    hooks = Hooks(database, clock)
    async with AsyncExitStack() as stack:
        await hooks.service.start(stack)
        await hooks.create(**bound(task=task(extra={"n": {"$eval": "payload.n"}})))
        await hooks.publish({"n": 0})
        await hooks.delivered()
    for number in (1, 2):
        await hooks.publish({"n": number})
    async with AsyncExitStack() as stack:
        await hooks.service.start(stack)
        await hooks.publish({"n": 3})
        await hooks.delivered()
        await hooks.settle()
    found = [(await hooks.task(fire["taskId"]))["extra"]["n"] for fire in await hooks.fires()]
    assert sorted(found) == [0, 1, 2, 3]
    await hooks.bus.close()


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_message_that_is_delivered_again_fires_once(hooks: Hooks, carried_out) -> None:
    """When the process ends before its place was saved, the messages come again, and the hook does not fire again for them."""
    await hooks.create(**bound())
    await hooks.publish({"text": "x"})
    await hooks.delivered()
    if carried_out:
        await hooks.settle()
    event = (await outbox.read(hooks.bus))[-1] if not carried_out else next(e for e in await outbox.read(hooks.bus) if e.exchange == NEWS_SAID.address)
    for _ in range(2):
        await hooks.service.messages.handle(event)
        await hooks.settle()
    assert len(await hooks.tasks()) == len(await hooks.fires()) == 1


async def test_two_processes_fire_once_for_a_message(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with the same subscription, on one database or each hearing all, create one task for each message."""
    from tcbox.events import Bus, tail

    monkeypatch.setattr(tail, "SAFETY", 0.05)  # a second bus on a database of one process hears of nothing
    bus = Bus(hooks.database, hooks.clock)
    other = Service(
        database=hooks.database, bus=bus, sealer=support.SEALER, clock=hooks.clock, caller=hooks.others, root_url="http://x", sandbox=hooks.sandbox,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        await other.messages.start(stack)
        stack.push_async_callback(bus.close)
        await hooks.create(**bound())
        for number in range(5):
            await hooks.publish({"n": number})
        last = await outbox.newest(hooks.bus)
        async with asyncio.timeout(20):
            reached = max if hooks.database.shared else min  # one at a time delivers, where the database is for several processes
            while reached(hooks.service.messages._subscription.position, other.messages._subscription.position) < last:
                await asyncio.sleep(0.01)
        while await other.work.carry_out() + await hooks.service.work.carry_out():
            pass
    assert len(await hooks.tasks()) == len(await hooks.fires()) == 5


async def test_many_bound_hooks_are_found_again_at_a_start(database: db.Database, clock) -> None:  # noqa: F811
    """A service that starts knows the bindings of all hooks, however many."""
    async with support.started(database, clock) as hooks:
        for number in range(7):
            await hooks.create("g", f"h{number}", **bound())
        await hooks.create("z", "unbound")
    import tcbox.services.hooks.messages as module

    module._BATCH, before = 3, module._BATCH
    try:
        async with support.started(database, clock) as hooks:
            assert len(hooks.service.messages._bound) == 7
            await said(hooks)
            assert len(await hooks.tasks()) == 7
    finally:
        module._BATCH = before
    clock.advance(clocks.SECOND)
