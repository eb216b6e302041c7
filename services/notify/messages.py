"""What a task's notifications say: the instance's own words, or what the task itself asks for in `extra.notify`.

Source: the published usage page of notify, on custom messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tcbox.api.faults import is_email
from tcbox.services.notify import model
from tcbox.services.notify.model import Notification
from tcbox.services.notify.render import TemplateError, render
from tcbox.services.notify.routes import Route

_EMOJI = {
    "pending": ":hourglass:", "running": ":hammer_and_wrench:", "completed": ":heavy_check_mark:", "failed": ":x:", "exception": ":heavy_exclamation_mark:",
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """The task that notifications are about, as it stood when its step was announced.

    Attributes:
        task, status: the definition and the status, as the API gives them.
        root_url: under which the instance's pages are found.
    """

    task: dict[str, Any]
    status: dict[str, Any]
    root_url: str

    def plain(self, explanation: str) -> Subject:
        """The same with no wishes of its own, and an explanation in its description."""
        metadata = {**self.task["metadata"], "description": f"{self.task['metadata']['description']}\n\n{explanation}"}
        return Subject({**self.task, "extra": {}, "metadata": metadata}, self.status, self.root_url)

    @property
    def task_id(self) -> str:
        """Its id."""
        return str(self.status["taskId"])

    @property
    def state(self) -> str:
        """Its state."""
        return str(self.status["state"])

    @property
    def url(self) -> str:
        """Its page."""
        return f"{self.root_url}/tasks/{self.task_id}"

    @property
    def group_url(self) -> str:
        """The page of its group."""
        return f"{self.root_url}/tasks/groups/{self.status['taskGroupId']}/tasks"

    @property
    def name(self) -> str:
        """Its name, in one line."""
        return model.one_line(str(self.task["metadata"]["name"]))

    @property
    def wishes(self) -> dict[str, Any]:
        """What it asks for in `extra.notify`."""
        return _object(_object(self.task.get("extra")).get("notify"))

    def render(self, template: Any) -> Any:
        """What a template of the task's comes to. Raises TemplateError."""
        return render(template, {"task": self.task, "status": self.status, "taskId": self.task_id, "rootUrl": self.root_url})

    def text(self, wishes: dict[str, Any], name: str, default: str, *, least: bool = False) -> str:
        """A wish that comes to a text, an explanation where it cannot be rendered, and the default where there is none.

        Args:
            least: an empty wish is none.
        """
        if name not in wishes or (least and not wishes[name]):
            return default
        try:
            value = self.render(wishes[name])
        except TemplateError as error:
            return f"Error parsing custom message: {error}"
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def notifications(subject: Subject, asked: list[Route]) -> list[Notification]:
    """What the routes ask for; addresses that cannot be written to are left out."""
    return list(_notifications(subject, asked))


def _notifications(subject: Subject, asked: list[Route]) -> Iterator[Notification]:
    contents: dict[str, dict[str, Any]] = {}
    makers = {model.EMAIL: _email, model.PULSE: _pulse, model.MATRIX: _matrix, model.SLACK: _slack}
    for kind, address, _ in asked:
        if "\0" in address or (kind == model.EMAIL and not (is_email(address) and model.plain_address(address))):
            continue
        if kind not in contents:
            contents[kind] = makers[kind](subject)
        yield Notification(kind, address, contents[kind])


def _pulse(subject: Subject) -> dict[str, Any]:
    return {"message": subject.status}


def _email(subject: Subject) -> dict[str, Any]:
    wishes = _object(subject.wishes.get("email"))
    runs = len(subject.status["runs"])
    metadata = subject.task["metadata"]
    content = (
        f"Task [`{subject.task_id}`]({subject.url}) of the group [`{subject.status['taskGroupId']}`]({subject.group_url}) is {subject.state}.\n\n"
        f"**Status:** {subject.state} (in {runs} run{'' if runs == 1 else 's'})\n"
        f"**Name:** {subject.name}\n"
        f"**Description:** {metadata['description']}\n"
        f"**Owner:** {metadata['owner']}\n"
        f"**Source:** {metadata['source']}\n"
    )
    title = subject.text(wishes, "subject", f"Task {subject.state}: {subject.name} - {subject.task_id}", least=True)
    return {
        "subject": model.one_line(title),
        "content": subject.text(wishes, "content", content, least=True),
        "link": _link(subject, wishes.get("link")),
        "template": _look(subject, wishes.get("template")),
    }


def _link(subject: Subject, wish: Any) -> dict[str, str] | None:
    default = {"text": "Inspect Task", "href": subject.url}
    if not wish:
        return default
    try:
        link = subject.render(wish)
    except TemplateError:
        return default
    if link is None:
        return None
    text, href = (_object(link).get(name) for name in ("text", "href"))
    if not (isinstance(text, str) and isinstance(href, str) and text and model.harmless(href)):
        return default
    return {"text": model.one_line(text), "href": href}


def _look(subject: Subject, wish: Any) -> str:
    try:
        look = subject.render(wish)
    except TemplateError:
        look = None
    return look if look in model.LOOKS else model.LOOKS[0]


def _matrix(subject: Subject) -> dict[str, Any]:
    wishes = subject.wishes
    content: dict[str, Any] = {
        "body": subject.text(wishes, "matrixBody", f"'{subject.name}' resolved as '{subject.state}': {subject.url}"),
        "msgtype": wishes["matrixMsgtype"] if isinstance(wishes.get("matrixMsgtype"), str) and wishes["matrixMsgtype"] else "m.notice",
    }
    if isinstance(wishes.get("matrixFormat"), str):
        content["format"] = wishes["matrixFormat"]
    if "matrixFormattedBody" in wishes:
        content["formattedBody"] = subject.text(wishes, "matrixFormattedBody", "")
    return content


def _slack(subject: Subject) -> dict[str, Any]:
    wishes = subject.wishes
    emoji = _EMOJI.get(subject.state, ":question:")
    text = subject.text(wishes, "slackText", f"{emoji} *<{subject.url}|{_mrkdwn(subject.name)}>* transitioned to _{subject.state}_")
    group = f"Part of task group *<{subject.group_url}|{subject.status['taskGroupId']}>*"
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": group}]},
    ]
    return {
        "text": text,
        "blocks": _list(subject, wishes, "slackBlocks", blocks),
        "attachments": _list(subject, wishes, "slackAttachments", []),
        "unfurlLinks": wishes.get("slackUnfurlLinks") is True,
        "unfurlMedia": wishes.get("slackUnfurlMedia") is True,
    }


def _list(subject: Subject, wishes: dict[str, Any], name: str, default: list[Any]) -> list[Any]:
    """A wish that comes to a list; an explanation as the only block where it cannot be rendered."""
    if name not in wishes:
        return default
    try:
        value = subject.render(wishes[name])
    except TemplateError as error:
        said = f"Error parsing custom message: {_mrkdwn(str(error))}"
        return [*default, {"type": "section", "text": {"type": "mrkdwn", "text": said}}] if name == "slackBlocks" else default
    return value if isinstance(value, list) else default


def _mrkdwn(text: str) -> str:
    """A text in which Slack sees no mentions, links or channels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
