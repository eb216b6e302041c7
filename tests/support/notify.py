"""A notify service for tests, with channels that the test may make fail, and a queue that knows the tasks it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tcbox import clock as clocks
from tcbox import db, errors, events
from tcbox.events import Exchange, Key
from tcbox.runtime import Health
from tcbox.services.notify import model
from tcbox.services.notify.channels import Undelivered
from tcbox.services.notify.model import Delivery, Limits
from tcbox.services.notify.sandbox import Sandbox
from tcbox.services.notify.service import Service
from tests.support import outbox
from tests.support.service import Caller

TASK_ID, GROUP_ID = "DKPZPsvvQEiw67Pb3rkdNg", "NA3wajh1SQ-yVPlNUO8OYw"
ROOT = "https://tc.example.com"


class Channel:
    """Delivers into a list, unless the test has it fail."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.taken: list[Delivery] = []
        self.tried = 0
        self.fault: BaseException | None = None
        self.faults: dict[str, BaseException] = {}

    async def deliver(self, delivery: Delivery) -> None:
        self.tried += 1
        fault = self.faults.get(delivery.notification.address, self.fault)
        if fault is not None:
            raise fault
        self.taken.append(delivery)

    async def close(self) -> None:
        pass

    @property
    def contents(self) -> list[dict[str, Any]]:
        return [delivery.notification.content for delivery in self.taken]

    @property
    def addresses(self) -> list[str]:
        return [delivery.notification.address for delivery in self.taken]


class Queue:
    """Knows tasks by id."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.fault: Exception | None = None
        self.calls = 0

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Any = None) -> Any:
        assert (service, method) == ("queue", "task")
        self.calls += 1
        if self.fault is not None:
            raise self.fault
        if args[0] not in self.tasks:
            raise errors.ResourceNotFound("no task")
        return self.tasks[args[0]]


class Notify:
    """The service, started or not, with all around it."""

    def __init__(
        self,
        database: db.Database,
        clock: clocks.VirtualClock,
        *,
        channels: dict[str, Any] | None = None,
        limits: Limits | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.bus = events.Bus(database, clock)
        self.queue = Queue()
        self.sandbox = sandbox or Sandbox()
        self.health = Health("notify")
        self.mail, self.matrix, self.slack = Channel("mail.example.com:587"), Channel("https://matrix.example.com"), Channel("https://slack.example.com")
        made = {model.EMAIL: self.mail, model.MATRIX: self.matrix, model.SLACK: self.slack} | (channels or {})
        self.service = Service(
            database=database, bus=self.bus, clock=clock, caller=self.queue, channels=made, root_url=f"{ROOT}/", limits=limits, health=self.health, sandbox=self.sandbox,
        )  # fmt: skip
        self.call = Caller(self.service, clock, check_replies=True)

    async def turn(self, *kinds: str) -> None:
        """Deliver what is due of each kind, without the sleep after it."""
        for kind in kinds or (model.EMAIL, model.MATRIX, model.SLACK):
            await self.service.outbox.deliver_due(kind)

    async def say(self, step: str, *routes: str, state: str | None = None, status: dict[str, Any] | None = None, **task: Any) -> None:
        """Have the queue's message of a step handled, of a task with these routes."""
        self.queue.tasks[TASK_ID] = definition(routes=list(routes), **task)
        event = events.Event(
            id=1, exchange=f"exchange/taskcluster-queue/v1/task-{step}", routing_key="primary.x", cc=routes,
            payload={"version": 1, "status": status or task_status(state or step)}, time=self.clock.now(),
        )  # fmt: skip
        await self.service._handler.handle(event)

    async def waiting(self) -> int:
        return sum([await self.service.store.waiting(kind) for kind in (model.EMAIL, model.MATRIX, model.SLACK)])

    async def published(self) -> list[events.Event]:
        return [event for event in await outbox.read(self.bus) if event.exchange.startswith("exchange/taskcluster-notify/")]


@asynccontextmanager
async def started(notify: Notify) -> AsyncIterator[Notify]:
    """The service listening to the queue's messages."""
    async with AsyncExitStack() as stack:
        await notify.service.start(stack)
        yield notify
    await notify.bus.close()


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "taskGroupId": GROUP_ID, "routes": [], "extra": {},
        "metadata": {"name": "build <x>", "description": "it *builds*", "owner": "o@example.com", "source": "https://example.com/s"},
        **changes,
    }  # fmt: skip


def task_status(state: str, reason: str | None = None, **changes: Any) -> dict[str, Any]:
    runs = [] if state in ("defined", "unscheduled") else [{"runId": 0, "state": state, "reasonCreated": "scheduled"}]
    if state in ("completed", "failed", "exception"):
        runs[0]["reasonResolved"] = reason or ("internal-error" if state == "exception" else state)
    return {"taskId": TASK_ID, "taskGroupId": GROUP_ID, "state": "unscheduled" if state == "defined" else state, "runs": runs, **changes}


def exchange(step: str) -> Exchange:
    """The queue's exchange of a step, for messages that a test publishes."""
    return Exchange("queue", f"task-{step}", f"task-{step}", "t", "d", "task-message", (Key("reserved", "Anything.", multiple_words=True),))


__all__ = ["Undelivered"]
