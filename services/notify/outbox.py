"""Takes notifications, and sees to it that each arrives once: now for a caller who waits, else until it succeeds or is given up.

A notification is written down before it is sent, with the change that it comes from. So it survives the end of the
process at any moment; it may then be sent a second time, under the same id. Each kind of server has a loop of its
own, and a server that fails is tried with one round of deliveries after ever longer pauses, so that it holds up no other.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.events import Bus
from tcbox.runtime import LoopSpec
from tcbox.runtime.alarm import Alarm
from tcbox.services.notify import model
from tcbox.services.notify.channels import Channel, Refused, Rejected, Undelivered, Unreachable
from tcbox.services.notify.events import notification as exchange
from tcbox.services.notify.meter import Meter, Trouble, Troubles
from tcbox.services.notify.model import Delivery, Limits, Notification, Outcome
from tcbox.services.notify.store import Accepted, Store

TOGETHER = 4
"""Deliveries of one kind that are under way at once; those to one address go one after another, in their order."""
SECONDS = 50.0
"""How long one may take."""
HOLD = 4 * clocks.MINUTE
"""For how long deliveries under way are kept from others; more than all of them may take."""
LONGEST = 10 * clocks.SECOND
_ACCEPTED = "notify.accepted."
"""The topic of hints between processes, followed by a kind: that there is something of it to deliver."""
SWEEP = clocks.MINUTE


class Missing(NamedTuple):
    """Why there is no channel for a kind: what it is called, and the settings that would make one."""

    name: str
    settings: str


class Outbox:
    """Sends what it is given.

    Args:
        channels: by kind; for a kind without server what is missing instead.
    """

    def __init__(
        self, *, database: db.Database, bus: Bus, clock: clocks.Clock, store: Store, channels: Mapping[str, Channel | Missing],
        limits: Limits, meter: Meter, troubles: Troubles,
    ) -> None:  # fmt: skip
        self._db = database
        self._bus = bus
        self._clock = clock
        self._store = store
        self._limits = limits
        self._meter = meter
        self._troubles = troubles
        self._log = log.get("notify")
        self._channels = {kind: channel for kind, channel in channels.items() if not isinstance(channel, Missing)}
        self._missing = {kind: missing for kind, missing in channels.items() if isinstance(missing, Missing)}
        self._told: set[str] = set()
        self._alarms = {kind: Alarm(clock, database, _ACCEPTED + kind) for kind in self._channels}
        self.loops = [LoopSpec(f"deliver-{kind}", 0, functools.partial(self.deliver, kind)) for kind in self._channels]
        self.loops.append(LoopSpec("give-up", SWEEP, self.sweep))

    def start(self, stack: AsyncExitStack) -> None:
        """Hear what other processes have accepted."""
        for alarm in self._alarms.values():
            stack.callback(alarm.hear())

    async def send(self, notification: Notification) -> Outcome:
        """Send now, for a caller who waits; when it fails, nothing of it is kept.

        Raises InputError when there is no server for it, or the server refuses it; Unavailable when the server does
        not answer; InternalServerError when the server does not take this instance.
        """
        kind = notification.kind
        if kind in self._missing:
            missing = self._missing[kind]
            raise errors.InputError("{name} is not configured: an administrator can set {settings} in tcbox.yml.", **missing._asdict())
        taken = await self._db.transaction(lambda tx: self._accept(tx, notification, hold=HOLD))
        self._count(notification, taken.outcome)
        if taken.delivery is not None:
            await self._send(taken.delivery, taken.digest)
        return taken.outcome

    async def _send(self, delivery: Delivery, digest: str) -> None:
        kind = delivery.notification.kind
        try:
            await self._hand_over(delivery)
        except Undelivered as fault:
            await self._store.withdraw(delivery.id, digest)
            self._meter.count(kind, "failed")
            raise _answer(fault, self._channels[kind].server) from None
        except BaseException as error:  # whoever waits may have gone away: the loop goes on with it, unless it is at fault itself
            if isinstance(error, Exception):
                await self._store.withdraw(delivery.id, digest)
            else:
                await asyncio.shield(self._store.release(delivery.id, self._clock.now()))
            raise
        await self._delivered(delivery)

    async def take(self, notifications: Sequence[Notification]) -> None:
        """Accept what a task asks for; it is delivered by itself."""
        wanted = [each for each in notifications if each.kind not in self._missing]
        for each in notifications:
            if each.kind in self._missing:
                self._pass_over(each)

        async def take(tx: db.Tx) -> list[Outcome]:
            return [(await self._accept(tx, each, hold=0)).outcome for each in wanted]

        outcomes = await self._db.transaction(take) if wanted else []
        for each, outcome in zip(wanted, outcomes, strict=True):
            self._count(each, outcome)
            if outcome is Outcome.ACCEPTED and each.kind in self._alarms:
                self._alarms[each.kind].ring()

    async def _accept(self, tx: db.Tx, notification: Notification, *, hold: int) -> Accepted:
        if notification.kind != model.PULSE:
            return await self._store.accept(tx, notification, due=tx.now + hold)
        taken, key = await self._store.accept(tx, notification, due=None), notification.address
        if taken.outcome is Outcome.ACCEPTED:
            message = {"message": notification.content["message"], "version": 1}
            await self._bus.publish(tx, exchange, message, routes=[key], topic=key)
        return taken

    def _count(self, notification: Notification, outcome: Outcome) -> None:
        kind = notification.kind
        published = kind == model.PULSE and outcome is Outcome.ACCEPTED
        self._meter.count(kind, "delivered" if published else outcome.value)
        if published:
            self._log.info("published a pulse message", extra={"routingKey": model.one_line(notification.address)})
        elif outcome is not Outcome.ACCEPTED:
            self._log.info("not sent, for it is %s", outcome.value, extra={"kind": kind, "address": model.one_line(notification.address)})

    def _pass_over(self, notification: Notification) -> None:
        kind, missing = notification.kind, self._missing[notification.kind]
        self._meter.count(kind, "not-configured")
        level = 20 if kind in self._told else 30
        self._told.add(kind)
        self._log.log(
            level, "a task asks for a notification by %s, which is not configured: set %s in tcbox.yml", missing.name, missing.settings,
            extra={"address": model.one_line(notification.address)},
        )  # fmt: skip

    async def deliver(self, kind: str) -> None:
        """One turn of a kind's loop: deliver all that is due, then sleep until more is."""
        alarm = self._alarms[kind]
        alarm.reset()
        await self.deliver_due(kind)
        self._meter.wait(kind, await self._store.waiting(kind))
        due = await self._store.next_due(kind)
        trouble, now = self._troubles.of(kind), self._clock.now()
        latest = now + LONGEST
        await alarm.sleep(latest if due is None else min(latest, max(due, trouble.until)))

    async def deliver_due(self, kind: str) -> None:
        """Deliver what is due of a kind, unless, or until, its server fails."""
        while self._troubles.of(kind).until <= self._clock.now():
            taken = await self._store.take(kind, TOGETHER, HOLD)
            if not taken:
                return
            lanes: dict[str, list[Delivery]] = {}
            for delivery in taken:
                lanes.setdefault(delivery.notification.address, []).append(delivery)
            results = await asyncio.gather(*map(self._lane, lanes.values()), return_exceptions=True)
            for fault in filter(None, results):
                raise fault

    async def _lane(self, deliveries: list[Delivery]) -> None:
        """Deliver to one address, one after another."""
        left = list(deliveries)
        try:
            while left and self._troubles.of(left[0].notification.kind).until <= self._clock.now():
                await self._try(left.pop(0))
        finally:
            if left:
                now = self._clock.now()
                await asyncio.shield(asyncio.gather(*(self._store.release(each.id, now) for each in left)))

    async def _hand_over(self, delivery: Delivery) -> None:
        channel = self._channels[delivery.notification.kind]
        try:
            async with asyncio.timeout(SECONDS):
                await channel.deliver(delivery)
        except TimeoutError:
            raise Unreachable("it does not answer in time") from None

    async def _try(self, delivery: Delivery) -> None:
        notification = delivery.notification
        kind = notification.kind
        try:
            await self._hand_over(delivery)
        except Undelivered as fault:
            await self._failed(delivery, fault)
        except asyncio.CancelledError:
            await asyncio.shield(self._store.release(delivery.id, self._clock.now()))
            raise
        except Exception as error:
            self._log.exception("a delivery failed", extra={"kind": kind, "id": delivery.id}, exc_info=error)
            await self._failed(delivery, Undelivered(f"{type(error).__name__}: {error}"))
        else:
            await self._delivered(delivery)

    async def _delivered(self, delivery: Delivery) -> None:
        kind, address = delivery.notification.kind, delivery.notification.address
        await self._store.end(delivery.id)
        self._meter.count(kind, "delivered")
        if self._troubles.works(kind):
            self._log.info("%s takes notifications again", self._channels[kind].server)
            if kind in self._alarms:
                self._alarms[kind].ring()
        self._log.info("sent", extra={"kind": kind, "address": model.one_line(address), "attempts": delivery.attempts + 1})

    async def _failed(self, delivery: Delivery, fault: Undelivered) -> None:
        notification, channel = delivery.notification, self._channels[delivery.notification.kind]
        kind, now, attempts = notification.kind, self._clock.now(), delivery.attempts + 1
        facts = {"kind": kind, "address": model.one_line(notification.address), "attempts": attempts}
        due = now + max(model.pause(attempts), fault.after)
        if fault.final:
            await self._store.end(delivery.id)
            self._meter.count(kind, "refused")
            self._log.warning("%s refused a notification, which is given up: %s", channel.server, fault, extra=facts)
            return
        if due > delivery.accepted + self._limits.give_up:
            await self._store.end(delivery.id)
            self._gave_up(kind, notification.address, attempts, str(fault))
            return
        await self._store.put_off(delivery.id, due=due, attempts=attempts, error=str(fault))
        self._meter.count(kind, "put-off")
        if fault.everywhere:
            self._trouble(kind, channel.server, fault)
        else:
            self._log.info("%s did not take a notification, which is tried again: %s", channel.server, fault, extra={**facts, "retry_ms": due - now})

    def _trouble(self, kind: str, server: str, fault: Undelivered) -> None:
        before, now = self._troubles.of(kind), self._clock.now()
        if before.until > now:
            return  # another delivery of the same round has told of it
        failures = before.failures + 1
        wait = max(model.pause(failures), fault.after)
        self._troubles.failed(kind, server, Trouble(failures, now + wait, str(fault)))
        self._log.warning("%s fails, notifications wait: %s", server, fault, extra={"kind": kind, "failures": failures, "retry_ms": wait})

    async def sweep(self) -> None:
        """Give up what has been tried for too long, and forget what is needed no more."""
        now = self._clock.now()
        while gone := await self._store.give_up(now - self._limits.give_up):
            for each in gone:
                self._gave_up(*each)
        await self._store.forget(now - max(self._limits.same, self._limits.window))

    def _gave_up(self, kind: str, address: str, attempts: int, reason: str) -> None:
        self._meter.count(kind, "given-up")
        hours = self._limits.give_up / clocks.HOUR
        facts = {"kind": kind, "address": model.one_line(address), "attempts": attempts}
        self._log.error("gave up a notification that could not be delivered within %.4g h: %s", hours, reason or "it was never its turn", extra=facts)

    async def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            await channel.close()


def _answer(fault: Undelivered, server: str) -> errors.ApiError:
    if isinstance(fault, Refused):
        return errors.InputError("{server} refused it: {reason}", server=server, reason=str(fault))
    if isinstance(fault, Rejected):
        text = "{server} does not take notifications from this instance: {reason}. An administrator must look at services.notify in tcbox.yml."
        return errors.InternalServerError(text, server=server, reason=str(fault))
    return errors.Unavailable("{server} did not take it: {reason}. Try again.", server=server, reason=str(fault))
