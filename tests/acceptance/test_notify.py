"""Notifications from a whole instance: by the published client, and by the routes of tasks that really run."""

import json
import sqlite3
import time
from contextlib import ExitStack
from email import message_from_bytes, policy

import pytest
import taskcluster

from tests.simulators import matrix, slack
from tests.simulators.serving import served
from tests.support import definitions, proof
from tests.support.background import running
from tests.support.mail_server import PASSWORD, USER, mail_server

ROOM, CHANNEL, TOKEN, BOT = "!room:example.com", "C0PUBLIC", "syt_matrix_token", "xoxb-slack-token"
ENTRY = {"notificationType": "email", "notificationAddress": "denied@example.com"}


class Servers:
    """A mail server, a Matrix homeserver and a Slack workspace, and the settings that name them."""

    def __init__(self, stack, folder):
        self.mail = stack.enter_context(running(mail_server(tls="starttls", sign_in=True)))
        self.matrix, self.slack = matrix.Matrix(TOKEN), slack.Slack(BOT)
        self.matrix.invited.add(ROOM)
        matrix_url = stack.enter_context(running(served(self.matrix.app)))
        slack_url = stack.enter_context(running(served(self.slack.app)))
        for name, text in (("ca.pem", self.mail.certificate), ("mail", PASSWORD), ("matrix", TOKEN), ("slack", BOT)):
            (folder / name).write_text(text)
        self.config = f"""
workers: {{docker: {{enabled: false}}}}
services:
  notify:
    email:
      host: 127.0.0.1
      port: {self.mail.port}
      certificates: "${{file:{folder}/ca.pem}}"
      user: {USER}
      password: "${{file:{folder}/mail}}"
      source: Taskcluster <tc@example.com>
    matrix: {{base_url: "{matrix_url}", access_token: "${{file:{folder}/matrix}}", user_id: "{matrix.ME}"}}
    slack: {{api_url: "{slack_url}/api/", access_token: "${{file:{folder}/slack}}"}}
"""


@pytest.fixture
def servers(tmp_path):
    with ExitStack() as stack:
        yield Servers(stack, tmp_path)


def eventually(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def published(box):
    """The notifications in the instance's outbox of events."""
    with sqlite3.connect(f"file:{box.data}/tcbox.db?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT cc, payload FROM events WHERE exchange LIKE '%taskcluster-notify%' ORDER BY id").fetchall()
    connection.close()
    return [(json.loads(cc), json.loads(payload)) for cc, payload in rows]


def test_the_published_client(make_box, servers, request):
    """The client from PyPI calls every method, and each message arrives where it was sent to; no secret is in the log."""
    box = make_box(servers.config)
    notify = taskcluster.Notify(box.options)
    mail = {"address": "me@example.com", "subject": "Hello", "content": "**hi**", "link": {"text": "Go", "href": "https://example.com"}}
    with proof.by("taskcluster (PyPI)", box.root_url, request, beside_workers=True):
        assert notify.ping()["alive"]
        assert "version" in notify.version()
        assert (notify.lbheartbeat(), notify.heartbeat()) == ({}, {})
        assert notify.email(mail) == {}
        assert notify.email(mail) is None
        notify.pulse({"routingKey": "a.b", "message": {"x": 1}})
        notify.matrix({"roomId": ROOM, "body": "b", "formattedBody": "<b>b</b>", "format": "org.matrix.custom.html"})
        notify.slack({"channelId": CHANNEL, "text": "t", "blocks": [{"type": "divider"}], "attachments": [{"text": "a"}]})
        notify.addDenylistAddress(ENTRY)
        assert notify.listDenylist() == {"addresses": [ENTRY]}
        with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="denied@example.com is denylisted") as refused:
            notify.email(mail | {"address": "denied@example.com"})
        assert (refused.value.status_code, refused.value.body["code"]) == (400, "DenylistedAddress")
        notify.deleteDenylistAddress(ENTRY)
        assert notify.listDenylist() == {"addresses": []}
    [(address, message)] = servers.mail.mails
    assert (address, message["Subject"], message["From"]) == ("me@example.com", "Hello", "Taskcluster <tc@example.com>")
    assert servers.mail.private == [True]
    assert published(box) == [(["a.b"], {"message": {"x": 1}, "version": 1})]
    assert servers.matrix.rooms[ROOM][0]["formatted_body"] == "<b>b</b>"
    assert servers.slack.posted[CHANNEL][0]["blocks"] == [{"type": "divider"}]
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="must be invited to !other:example.com"):
        notify.matrix({"roomId": "!other:example.com", "body": "b"})
    log = (box.data / "logs" / "tcbox.log").read_text()
    assert not [secret for secret in (PASSWORD, TOKEN, BOT) if secret in log]


def test_the_routes_of_a_task(make_box, servers):
    """A task on the host worker has a mail, a pulse message, a Matrix and a Slack message sent when it ends, and no others."""
    box = make_box(servers.config)
    task_id = taskcluster.slugId()
    routes = [
        "notify.email.me@example.com.on-completed", "notify.email.me@example.com.on-failed", "notify.pulse.my.topic.on-resolved",
        f"notify.matrix-room.{ROOM}.on-any", f"notify.slack-channel.{CHANNEL}.on-transition",
    ]  # fmt: skip
    extra = {"notify": {"email": {"subject": "${task.metadata.name} is ${status.state}"}, "matrixBody": "done ${taskId}"}}
    taskcluster.Queue(box.options).createTask(task_id, definitions.host("true", routes=routes, extra=extra))
    eventually(lambda: servers.mail.mails and servers.matrix.rooms[ROOM] and len(servers.slack.posted[CHANNEL]) == 4)
    [(address, message)] = servers.mail.mails
    assert (address, message["Subject"]) == ("me@example.com", "test is completed")
    assert f"{box.root_url}/tasks/{task_id}" in message.get_body(("plain",)).get_content()
    assert [event["body"] for event in servers.matrix.rooms[ROOM]] == [f"done {task_id}"]
    states = [each["text"].rpartition("transitioned to ")[2].strip("_") for each in servers.slack.posted[CHANNEL]]
    assert states == ["unscheduled", "pending", "running", "completed"]
    [(cc, payload)] = published(box)
    assert cc == ["my.topic"]
    assert (payload["message"]["taskId"], payload["message"]["state"]) == (task_id, "completed")


def test_nothing_is_lost(make_box, servers):
    """A mail that is due while its server is away survives the end of the process, and arrives once when the server is there."""
    box = make_box(servers.config)
    servers.mail.answers["me@example.com"] = "451 4.3.0 come back"
    routes = ["notify.email.me@example.com.on-completed", f"notify.slack-channel.{CHANNEL}.on-completed"]
    taskcluster.Queue(box.options).createTask(taskcluster.slugId(), definitions.task("built-in/succeed", routes=routes))
    eventually(lambda: servers.slack.posted[CHANNEL])
    eventually(lambda: "come back" in box.log_tail(500))
    box.kill()
    servers.mail.answers.clear()
    box.start()
    eventually(lambda: servers.mail.mails, 60)
    time.sleep(0.5)
    assert len(servers.mail.mails) == 1
    assert len(servers.slack.posted[CHANNEL]) == 1


def test_without_any_server(box):
    """An instance that knows no server keeps mails in a folder, and says what is missing for the rest; tasks run all the same."""
    notify = taskcluster.Notify(box.options)
    notify.email({"address": "me@example.com", "subject": "Hello", "content": "hi"})
    [file] = (box.data / "mail").glob("*.eml")
    assert message_from_bytes(file.read_bytes(), policy=policy.default)["Subject"] == "Hello"
    for method, payload, setting in (
        ("matrix", {"roomId": ROOM, "body": "b"}, "services.notify.matrix.base_url"),
        ("slack", {"channelId": CHANNEL, "text": "t"}, "services.notify.slack.access_token"),
    ):
        with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match=setting) as refused:
            getattr(notify, method)(payload)
        assert refused.value.status_code == 400
    routes = ["notify.email.me@example.com.on-resolved", f"notify.slack-channel.{CHANNEL}.on-resolved"]
    taskcluster.Queue(box.options).createTask(taskcluster.slugId(), definitions.task("built-in/fail", routes=routes))
    eventually(lambda: len(list((box.data / "mail").glob("*.eml"))) == 2)
    eventually(lambda: "services.notify.slack.access_token" in box.log_tail(500))
