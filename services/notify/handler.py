"""Listens to the steps of tasks, and hands over what their routes ask for."""

from __future__ import annotations

from tcbox import errors, log
from tcbox.client import Caller
from tcbox.events import Event
from tcbox.sandbox import Fault, Late
from tcbox.services.notify import messages, routes
from tcbox.services.notify.messages import Subject
from tcbox.services.notify.model import Notification
from tcbox.services.notify.outbox import Outbox
from tcbox.services.notify.routes import Route
from tcbox.services.notify.sandbox import Sandbox

TRIES = 5
"""Attempts at one message that fails by a fault of our own, until it is passed over for the sake of the others."""


class Handler:
    """Handles the queue's messages.

    Args:
        root_url: under which the instance's pages are found.
        ignored: reasons of an exception for which nobody is told.
    """

    def __init__(self, *, caller: Caller, outbox: Outbox, sandbox: Sandbox, root_url: str, ignored: frozenset[str]) -> None:
        self._caller = caller
        self._outbox = outbox
        self._sandbox = sandbox
        self._root_url = root_url.rstrip("/")
        self._ignored = ignored
        self._log = log.get("notify")
        self._failed = (0, 0)

    async def handle(self, event: Event) -> None:
        """Take up one message; what it raises has it delivered again."""
        try:
            await self._handle(event)
        except errors.Unavailable:
            raise
        except Exception:
            last, tries = self._failed
            self._failed = (event.id, tries + 1 if last == event.id else 1)
            if self._failed[1] < TRIES:
                raise
            self._log.exception("a task's notifications are given up: they failed %s times", TRIES, extra={"event": event.id, "exchange": event.exchange})

    async def _handle(self, event: Event) -> None:
        status, step = event.payload["status"], event.exchange.rpartition("/task-")[2]
        asked = routes.asked(event.cc, step, status["state"])
        if not asked or routes.ignored(status, self._ignored):
            return
        try:
            task = await self._caller.call("queue", "task", status["taskId"])
        except errors.ResourceNotFound:
            self._log.info("a task is gone, and nobody is told of it any more", extra={"taskId": status["taskId"]})
            return
        await self._outbox.take(await self._notifications(Subject(task, status, self._root_url), asked))

    async def _notifications(self, subject: Subject, asked: list[Route]) -> list[Notification]:
        try:
            return await self._sandbox.notifications(subject, asked)
        except Fault as fault:
            reason = "it takes more than the time that there is for it" if isinstance(fault, Late) else str(fault)
            self._log.warning("a task's own messages are not used: %s", reason, extra={"taskId": subject.task_id})
            return messages.notifications(subject.plain(f"The message that the task asks for cannot be made: {reason}."), asked)
