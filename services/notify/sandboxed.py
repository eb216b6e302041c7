"""What is done apart for notify: tasks' own messages are rendered, Markdown is made HTML. `sandbox` asks for it."""

from __future__ import annotations

from typing import Any

import jsone  # noqa: F401 - `render` imports it when it is first used, and here nothing can be imported then

from tcbox.services.notify import markdown, messages
from tcbox.services.notify.messages import Subject
from tcbox.services.notify.routes import Route


def notifications(question: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What routes ask for, as kind, address and content."""
    subject = Subject(question["task"], question["status"], question["root_url"])
    made = messages.notifications(subject, [Route(*each) for each in question["asked"]])
    return [(each.kind, each.address, each.content) for each in made]


def html(question: dict[str, Any]) -> str:
    """Markdown as harmless HTML."""
    return markdown.to_html(question["markdown"])


DOES = {"notifications": notifications, "html": html}
