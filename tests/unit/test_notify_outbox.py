"""What tasks ask for by their routes: accepted with the queue's message, delivered once, tried again, given up in the end."""

import asyncio
import logging

import pytest

from tcbox import clock as clocks
from tcbox import errors
from tcbox.events import bus as buses
from tcbox.services.notify import model
from tcbox.services.notify import outbox as outboxes
from tcbox.services.notify.channels import Later, Refused, Rejected, Unreachable
from tcbox.services.notify.model import Limits
from tcbox.services.notify.outbox import HOLD, Missing
from tcbox.services.notify.sandbox import Sandbox
from tcbox.services.notify.store import migrations as own
from tests.support.databases import database, listening, repeated, two  # noqa: F401
from tests.support.notify import ROOT, TASK_ID, Notify, definition, exchange, started, task_status
from tests.support.waiting import eventually

migrations = [buses.migrations, own]
MAIL = "notify.email.me@example.com.on-any"
EVERYTHING = (MAIL, "notify.pulse.a.b.on-any", "notify.matrix-room.!r:example.com.on-any", "notify.slack-channel.C1.on-any")


@pytest.fixture
async def notify(database, clock):
    made = Notify(database, clock)
    yield made
    await made.sandbox.close()


async def test_every_kind_of_route(notify):
    """A task that ends has its mail, its pulse message, its Matrix and its Slack message sent, each to its address."""
    await notify.say("completed", *EVERYTHING, "notify.irc-user.x.on-any", "index.a.b")
    assert await notify.waiting() == 3
    await notify.turn()
    assert await notify.waiting() == 0
    assert notify.mail.addresses + notify.matrix.addresses + notify.slack.addresses == ["me@example.com", "!r:example.com", "C1"]
    assert notify.mail.contents[0]["subject"] == f"Task completed: build <x> - {TASK_ID}"
    [event] = await notify.published()
    assert (event.cc, event.payload) == (("a.b",), {"message": task_status("completed"), "version": 1})


@pytest.mark.parametrize("step", ["defined", "pending", "running", "completed", "failed", "exception"])
async def test_conditions(notify, step):
    """At each step just those are told who asked for it."""
    conditions = ["any", "resolved", "transition", "defined", "pending", "running", "completed", "failed", "exception"]
    await notify.say(step, *(f"notify.pulse.{condition}.on-{condition}" for condition in conditions))
    told = {event.cc[0] for event in await notify.published()}
    assert told == {step, "transition"} | ({"any", "resolved"} if step in ("completed", "failed", "exception") else set())


@pytest.mark.parametrize("reason", ["canceled", "deadline-exceeded"])
async def test_nobody_is_told_of_what_was_meant(notify, reason):
    """A task that was cancelled sends nothing, and its definition is not even asked for."""
    await notify.say("exception", *EVERYTHING, status=task_status("exception", reason))
    assert (await notify.waiting(), await notify.published(), notify.queue.calls) == (0, [], 0)


async def test_the_same_message_again(notify):
    """A message of the queue's that comes twice sends nothing twice, before the delivery or after."""
    await notify.say("completed", *EVERYTHING)
    await notify.say("completed", *EVERYTHING)
    await notify.turn()
    await notify.say("completed", *EVERYTHING)
    await notify.turn()
    assert [len(channel.taken) for channel in (notify.mail, notify.matrix, notify.slack)] == [1, 1, 1]
    assert len(await notify.published()) == 1


async def test_a_mail_server_that_is_down(notify, clock, caplog):
    """While mail fails, Matrix, Slack and pulse go on; each mail is kept, and arrives once when the server is back."""
    caplog.set_level(logging.INFO, "tcbox.notify")
    notify.mail.fault = Unreachable("connection refused")
    for number in range(10):
        await notify.say("completed", *EVERYTHING, metadata=definition()["metadata"] | {"name": f"n{number}"}, status=task_status("completed") | {"n": number})
    await notify.turn()
    assert (len(notify.matrix.taken), len(notify.slack.taken), len(await notify.published())) == (10, 10, 10)
    assert await notify.waiting() == 10
    assert notify.mail.tried <= 4
    notify.mail.fault = None
    clock.advance(model.LONGEST_PAUSE)
    await notify.turn()
    assert sorted(content["subject"] for content in notify.mail.contents) == sorted(f"Task completed: n{number} - {TASK_ID}" for number in range(10))
    assert await notify.waiting() == 0
    assert "mail.example.com:587 fails, notifications wait: connection refused" in caplog.text
    assert "mail.example.com:587 takes notifications again" in caplog.text


async def test_one_address_that_fails_holds_up_no_other(notify, clock):
    """A mail that is not taken just now waits by itself."""
    notify.mail.faults["me@example.com"] = Later("450 greylisted")
    await notify.say("completed", MAIL, "notify.email.you@example.com.on-any")
    await notify.turn()
    assert notify.mail.addresses == ["you@example.com"]
    notify.mail.faults.clear()
    await notify.turn()
    assert len(notify.mail.taken) == 1
    clock.advance(model.FIRST_PAUSE)
    await notify.turn()
    assert notify.mail.addresses == ["you@example.com", "me@example.com"]


async def test_one_address_gets_things_in_order(notify):
    """Messages to one address go out one after another, in the order in which they were asked for."""
    under_way, most = set(), 0

    async def deliver(delivery, deliver=notify.slack.deliver):
        nonlocal most
        address = delivery.notification.address
        assert address not in under_way
        under_way.add(address)
        most = max(most, len(under_way))
        await asyncio.sleep(0.001)
        await deliver(delivery)
        under_way.remove(address)

    notify.slack.deliver = deliver
    for step in ("defined", "pending", "running", "completed"):
        await notify.say(step, "notify.slack-channel.C1.on-transition", "notify.slack-channel.C2.on-transition")
    await notify.turn()
    assert most == 2
    for channel in ("C1", "C2"):
        texts = [each.notification.content["text"] for each in notify.slack.taken if each.notification.address == channel]
        assert [text.rpartition("transitioned to ")[2] for text in texts] == ["_unscheduled_", "_pending_", "_running_", "_completed_"]


async def test_a_server_that_hangs(notify, monkeypatch, clock):
    """A server that neither takes nor refuses is given up on for this time, and what is behind it in its lane waits untried."""
    monkeypatch.setattr("tcbox.services.notify.outbox.SECONDS", 0.05)

    async def hang(delivery):
        notify.mail.tried += 1
        await asyncio.sleep(60)

    deliver, notify.mail.deliver = notify.mail.deliver, hang
    for step in ("completed", "failed"):
        await notify.say(step, MAIL)
    await notify.turn()
    assert (notify.mail.tried, await notify.waiting()) == (1, 2)
    notify.mail.deliver = deliver
    clock.advance(model.FIRST_PAUSE)
    await notify.turn()
    assert len(notify.mail.taken) == 2


async def test_the_server_says_when(notify, clock):
    """A server that asks to wait longer than the usual pause is given that time."""
    notify.mail.fault = Later("slow down", after=clocks.HOUR)
    await notify.say("completed", MAIL)
    await notify.turn()
    notify.mail.fault = None
    clock.advance(59 * clocks.MINUTE)
    await notify.turn()
    assert notify.mail.taken == []
    clock.advance(2 * clocks.MINUTE)
    await notify.turn()
    assert len(notify.mail.taken) == 1


async def test_pauses(notify, clock):
    """A server that fails for a day is tried ever more slowly, and some hundred times at most."""
    notify.mail.fault = Unreachable("down")
    await notify.say("completed", MAIL)
    tried = []
    for _ in range(24 * 60 * 6):
        before = notify.mail.tried
        await notify.turn(model.EMAIL)
        if notify.mail.tried > before:
            tried.append(clock.now())
        if not await notify.waiting():
            break
        clock.advance(10 * clocks.SECOND)
        if len(tried) > 12:
            break
    pauses = [round((after - before) / 10_000) * 10 for before, after in zip(tried, tried[1:], strict=False)]
    assert pauses[:7] == [10, 20, 40, 80, 160, 320, 640]
    assert set(pauses[7:]) <= {900, 910}


async def test_giving_up(notify, clock, caplog):
    """What could not be delivered within a day is given up, with a line in the log that says to whom and why."""
    notify.mail.fault = Unreachable("connection refused")
    await notify.say("completed", MAIL)
    await notify.turn()
    clock.advance(clocks.DAY - 10 * clocks.SECOND)
    await notify.service.outbox.sweep()
    assert await notify.waiting() == 1
    await notify.turn()
    assert await notify.waiting() == 0
    assert "gave up a notification that could not be delivered within 24 h: connection refused" in caplog.text
    assert any(getattr(record, "address", "") == "me@example.com" for record in caplog.records)
    assert notify.service.meter.counted("email", "given-up") == 1


async def test_giving_up_what_was_never_tried(notify, clock, caplog):
    """Deliveries of a kind that is configured no more are given up too."""
    await notify.say("completed", MAIL)
    clock.advance(clocks.DAY + 1)
    await notify.service.outbox.sweep()
    assert await notify.waiting() == 0
    assert "it was never its turn" in caplog.text


@pytest.mark.parametrize("fault", [Refused("550 no such user"), Refused("must be invited")])
async def test_what_is_refused_is_not_tried_again(notify, clock, caplog, fault):
    """A message that the server will never take is given up at once, and the log says why."""
    notify.mail.fault = fault
    await notify.say("completed", MAIL)
    await notify.turn()
    clock.advance(clocks.DAY)
    await notify.turn()
    assert (notify.mail.tried, await notify.waiting()) == (1, 0)
    assert f"mail.example.com:587 refused a notification, which is given up: {fault}" in caplog.text


async def test_a_fault_of_our_own_is_tried_again(notify, clock, caplog):
    """A delivery that breaks by a fault of our own is kept, tried again, and keeps no other from its turn."""
    notify.mail.faults["me@example.com"] = KeyError("boom")
    await notify.say("completed", MAIL, "notify.email.you@example.com.on-any")
    await notify.turn()
    assert notify.mail.addresses == ["you@example.com"]
    assert await notify.waiting() == 1
    assert "boom" in caplog.text


async def test_a_process_that_ends_in_the_middle(notify, clock, database):
    """What was on its way when the process was killed is delivered by the next one, after the time that a delivery may take."""
    await notify.say("completed", MAIL)
    assert len(await notify.service.store.take(model.EMAIL, 10, HOLD)) == 1  # and then the power goes
    other = Notify(database, clock)
    await other.turn()
    assert other.mail.taken == []
    clock.advance(HOLD)
    await other.turn()
    assert len(other.mail.taken) == 1


async def test_two_processes(notify, clock, database):
    """Two processes on one database deliver each notification once."""
    others = [notify, Notify(database, clock), Notify(database, clock)]
    for number in range(40):
        await notify.say("completed", MAIL.replace("me", f"m{number}"))
    await asyncio.gather(*(each.turn(model.EMAIL) for each in others))
    delivered = [address for each in others for address in each.mail.addresses]
    assert sorted(delivered) == sorted(f"m{number}@example.com" for number in range(40))


async def test_loops_in_another_process_are_told(clock, tmp_path, monkeypatch):
    """What one process accepts is delivered at once by the loop of another."""
    monkeypatch.setattr(outboxes, "LONGEST", clocks.DAY)  # it does not come to look by itself
    async with two(migrations, clock, tmp_path) as (one, other), started(Notify(other, clock)) as loops:
        taker = Notify(one, clock)
        await listening(other)
        async with repeated(clock, lambda: loops.service.outbox.deliver(model.EMAIL)):
            await taker.say("completed", MAIL)
            await eventually(lambda: loops.mail.addresses == ["me@example.com"])
        await taker.sandbox.close()


async def test_one_process_of_two_ends_in_order(notify, clock):
    """A delivery that is cut off by a shutdown is due again at once."""
    notify.mail.fault = asyncio.CancelledError()
    await notify.say("completed", MAIL)
    with pytest.raises(asyncio.CancelledError):
        await notify.turn(model.EMAIL)
    notify.mail.fault = None
    await notify.turn(model.EMAIL)
    assert len(notify.mail.taken) == 1


async def test_denied_and_limited_routes(database, clock, caplog):
    """Routes to denied addresses, and mails above the rate limit, are passed over without a fault."""
    caplog.set_level(logging.INFO, "tcbox.notify")
    notify = Notify(database, clock, limits=Limits(count=2))
    await notify.call("addDenylistAddress", payload={"notificationType": "slack-channel", "notificationAddress": "C1"})
    for number in range(4):
        await notify.say("completed", *EVERYTHING, metadata=definition()["metadata"] | {"name": str(number)})
    await notify.turn()
    assert (len(notify.mail.taken), len(notify.slack.taken), len(notify.matrix.taken)) == (2, 0, 4)
    assert "not sent, for it is limited" in caplog.text
    assert "not sent, for it is denied" in caplog.text


async def test_denied_while_it_waits(notify, clock):
    """What waits for an address that is put on the denylist is dropped; what waits for others stays."""
    notify.mail.fault = Unreachable("down")
    await notify.say("completed", MAIL, "notify.email.you@example.com.on-any")
    await notify.turn()
    await notify.call("addDenylistAddress", payload={"notificationType": "email", "notificationAddress": "me@example.com"})
    notify.mail.fault = None
    clock.advance(clocks.HOUR)
    await notify.turn()
    assert notify.mail.addresses == ["you@example.com"]


async def test_what_is_not_configured(database, clock, caplog):
    """A task that asks for what is not configured gets the rest; the log warns once, and names the setting."""
    caplog.set_level(logging.INFO, "tcbox.notify")
    notify = Notify(database, clock, channels={model.SLACK: Missing("Slack", "services.notify.slack.access_token")})
    await notify.say("completed", *EVERYTHING)
    await notify.say("failed", *EVERYTHING)
    await notify.turn()
    assert (len(notify.mail.taken), len(await notify.published())) == (2, 2)
    lines = [record for record in caplog.records if "services.notify.slack.access_token" in record.getMessage()]
    assert [record.levelname for record in lines] == ["WARNING", "INFO"]
    assert await notify.waiting() == 0


async def test_health(notify, clock):
    """A server that fails three times in a row makes the service unhealthy, in words; it is well again with the first success."""
    notify.mail.fault = Rejected("535 bad password")
    await notify.say("completed", MAIL)
    for _ in range(3):
        assert notify.health.faults() == []
        await notify.turn()
        clock.advance(model.LONGEST_PAUSE)
    notify.service.meter.wait(model.EMAIL, await notify.service.store.waiting(model.EMAIL))
    assert notify.health.faults() == ["email: mail.example.com:587 failed 3 times in a row, last with: 535 bad password; 1 deliveries wait"]
    notify.mail.fault = None
    await notify.turn()
    assert notify.health.faults() == []
    assert len(notify.mail.taken) == 1


async def test_loops_deliver_by_themselves(database, clock):
    """The loop of a kind sleeps until something is asked for, or an attempt is due."""
    notify = Notify(database, clock)
    notify.mail.fault = Unreachable("down")

    async def loop():
        while True:
            await notify.service.outbox.deliver(model.EMAIL)

    looping = asyncio.create_task(loop())
    await asyncio.sleep(0.05)
    await notify.say("completed", MAIL)
    await eventually(lambda: notify.mail.tried == 1)
    await asyncio.sleep(0.05)
    assert notify.mail.tried == 1
    notify.mail.fault = None
    await eventually(lambda: notify.service.meter.waiting(model.EMAIL) == 1)
    clock.advance(model.FIRST_PAUSE + 1000)
    await eventually(lambda: len(notify.mail.taken) == 1)
    await eventually(lambda: notify.service.meter.waiting(model.EMAIL) == 0)
    looping.cancel()


async def test_a_task_that_is_gone(notify):
    """A message about a task that has expired is passed over."""
    notify.queue.fault = errors.ResourceNotFound("gone")
    await notify.say("completed", *EVERYTHING)
    assert await notify.waiting() == 0


async def test_a_queue_that_does_not_run(notify):
    """While the queue does not answer, its message is asked for again, however often."""
    notify.queue.fault = errors.Unavailable("restarting")
    for _ in range(20):
        with pytest.raises(errors.Unavailable):
            await notify.say("completed", *EVERYTHING)
    notify.queue.fault = None
    await notify.say("completed", *EVERYTHING)
    assert await notify.waiting() == 3


async def test_a_message_that_cannot_be_handled(notify, caplog):
    """A message that fails by a fault of our own is passed over in the end, so that those behind it have their turn."""
    notify.queue.fault = KeyError("boom")
    for _ in range(4):
        with pytest.raises(KeyError):
            await notify.say("completed", *EVERYTHING)
    await notify.say("completed", *EVERYTHING)
    assert "given up: they failed 5 times" in caplog.text


async def test_messages_of_the_queue_arrive(database, clock):
    """What the queue publishes with a route for us is handled, also what it published while the service did not run."""
    notify = Notify(database, clock)
    notify.queue.tasks[TASK_ID] = definition()

    async def publish(step, *routes):
        message = {"version": 1, "status": task_status(step)}
        await database.transaction(lambda tx: notify.bus.publish(tx, exchange(step), message, routes=routes))

    async with started(notify):
        await publish("completed", MAIL, "other.x")
        await eventually(lambda: notify.waiting())
    await publish("failed", MAIL)
    await publish("running", "index.a.b")
    later = Notify(database, clock)
    later.queue.tasks[TASK_ID] = definition()
    async with started(later):

        async def both():
            return await later.waiting() == 2

        await eventually(both)
    assert (notify.queue.calls, later.queue.calls) == (1, 1)


async def test_a_template_beyond_bounds(database, clock):
    """A task whose template would take all memory has a mail sent that says so."""
    sandbox = Sandbox(seconds=0.2)
    notify = Notify(database, clock, sandbox=sandbox)
    try:
        await notify.say("completed", MAIL, extra={"notify": {"email": {"content": {"$eval": "9 ** 9 ** 9"}}}})
    finally:
        await sandbox.close()
    await notify.turn()
    assert "The message that the task asks for cannot be made: it takes more than" in notify.mail.contents[0]["content"]
    assert f"{ROOT}/tasks/{TASK_ID}" in notify.mail.contents[0]["content"]


async def test_what_was_sent_is_forgotten(notify, clock, database):
    """The record of what was accepted is kept as long as duplicates are told by it, and no longer."""
    from tcbox.services.notify.store import sql

    await notify.say("completed", MAIL)
    await notify.turn()
    clock.advance(clocks.DAY - 1000)
    await notify.service.outbox.sweep()
    assert await database.value(sql.count_accepted, kind="email", address="me@example.com", since=0, limit=10) == 1
    clock.advance(2000)
    await notify.service.outbox.sweep()
    assert await database.value(sql.count_accepted, kind="email", address="me@example.com", since=0, limit=10) == 0
