"""Where what tasks' authors wrote becomes messages: in processes apart, by `sandboxed`."""

from __future__ import annotations

from tcbox.sandbox import Limits, Pool
from tcbox.services.notify import messages
from tcbox.services.notify.messages import Subject
from tcbox.services.notify.model import Notification
from tcbox.services.notify.routes import Route

SECONDS = 5.0
"""For one task's messages, or one mail."""
LARGEST = 2 * 1024 * 1024
"""Bytes of them."""
_PROGRAM = "tcbox.services.notify.sandboxed"


class Sandbox:
    """Makes messages. All of it raises tcbox.sandbox.Fault, or Unavailable when there is too much of it."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._pool = Pool(_PROGRAM, Limits(seconds=seconds, answer=LARGEST))
        self.close = self._pool.close

    async def notifications(self, subject: Subject, asked: list[Route]) -> list[Notification]:
        """What the routes of a task ask for."""
        if not subject.wishes:
            return messages.notifications(subject, asked)  # in the instance's own words, which take no time
        made = await self._pool.ask("notifications", task=subject.task, status=subject.status, root_url=subject.root_url, asked=asked)
        return [Notification(*each) for each in made]

    async def html(self, markdown: str) -> str:
        """Markdown as HTML with nothing harmful in it."""
        made: str = await self._pool.ask("html", markdown=markdown)
        return made
