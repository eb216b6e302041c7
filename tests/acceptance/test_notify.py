"""Notifications from a whole instance: by the published client, and by the routes of tasks that really run."""

import json
import sqlite3
import time
from contextlib import ExitStack
from email import message_from_bytes, policy

import pytest
import taskcluster

from tests.support import definitions, events_stream, proof, shared
from tests.support.mail_server import PASSWORD
from tests.support.messengers import BOT, CHANNEL, ENTRY, ROOM, TOKEN, Messengers
from tests.support.waiting import until

PUBLISHED = "exchange/taskcluster-notify/v1/notification"


@pytest.fixture
def servers(tmp_path):
    with ExitStack() as stack:
        yield shared.shared().vendors.messengers.forget() if shared.WANTED else Messengers(stack, tmp_path)


def log_of(box):
    """What the instance logged."""
    return "\n".join(path.read_text() for path in box.logs)


@pytest.mark.contract
def test_the_published_client(make_box, servers, request):
    """The client from PyPI calls every method, and each message arrives where it was sent to; no secret is in the log."""
    box = make_box(servers.config)
    notify = taskcluster.Notify(box.options)
    word = taskcluster.slugId()  # what was sent a moment ago, by whomever, is not sent again
    mail = {"address": "me@example.com", "subject": "Hello", "content": f"**{word}**", "link": {"text": "Go", "href": "https://example.com"}}
    with events_stream.following(box.root_url, PUBLISHED) as published, proof.by("taskcluster (PyPI)", box.root_url, request, beside_workers=True):
        assert notify.ping()["alive"]
        assert "version" in notify.version()
        assert (notify.lbheartbeat(), notify.heartbeat()) == ({}, {})
        assert notify.email(mail) == {}
        assert notify.email(mail) is None
        notify.pulse({"routingKey": "a.b", "message": {"x": word}})
        notify.matrix({"roomId": ROOM, "body": word, "formattedBody": "<b>b</b>", "format": "org.matrix.custom.html"})
        notify.slack({"channelId": CHANNEL, "text": word, "blocks": [{"type": "divider"}], "attachments": [{"text": "a"}]})
        notify.addDenylistAddress(ENTRY)
        assert notify.listDenylist() == {"addresses": [ENTRY]}
        with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="denied@example.com is denylisted") as refused:
            notify.email(mail | {"address": "denied@example.com"})
        assert (refused.value.status_code, refused.value.body["code"]) == (400, "DenylistedAddress")
        notify.deleteDenylistAddress(ENTRY)
        assert notify.listDenylist() == {"addresses": []}
        until(published)
    [(address, message)] = servers.mail.mails
    assert (address, message["Subject"], message["From"]) == ("me@example.com", "Hello", "Taskcluster <tc@example.com>")
    assert servers.mail.private == [True]
    assert [(event["cc"], event["payload"]) for event in published()] == [(["route.a.b"], {"message": {"x": word}, "version": 1})]
    assert servers.matrix.rooms[ROOM][0]["formatted_body"] == "<b>b</b>"
    assert servers.slack.posted[CHANNEL][0]["blocks"] == [{"type": "divider"}]
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="must be invited to !other:example.com"):
        notify.matrix({"roomId": "!other:example.com", "body": "b"})
    assert not [secret for secret in (PASSWORD, TOKEN, BOT) if secret in log_of(box)]


@pytest.mark.contract
def test_the_routes_of_a_task(make_box, servers):
    """A task on the host worker has a mail, a pulse message, a Matrix and a Slack message sent when it ends, and no others."""
    box = make_box(servers.config)
    task_id = taskcluster.slugId()
    routes = [
        "notify.email.me@example.com.on-completed", "notify.email.me@example.com.on-failed", "notify.pulse.my.topic.on-resolved",
        f"notify.matrix-room.{ROOM}.on-any", f"notify.slack-channel.{CHANNEL}.on-transition",
    ]  # fmt: skip
    extra = {"notify": {"email": {"subject": "${task.metadata.name} is ${status.state}"}, "matrixBody": "done ${taskId}"}}
    with events_stream.following(box.root_url, PUBLISHED) as published:
        taskcluster.Queue(box.options).createTask(task_id, definitions.host("true", routes=routes, extra=extra))
        until(published)
        until(lambda: servers.mail.mails and servers.matrix.rooms[ROOM] and len(servers.slack.posted[CHANNEL]) == 4)
    [(address, message)] = servers.mail.mails
    assert (address, message["Subject"]) == ("me@example.com", "test is completed")
    assert f"{box.root_url}/tasks/{task_id}" in message.get_body(("plain",)).get_content()
    assert [event["body"] for event in servers.matrix.rooms[ROOM]] == [f"done {task_id}"]
    states = [each["text"].rpartition("transitioned to ")[2].strip("_") for each in servers.slack.posted[CHANNEL]]
    assert states == ["unscheduled", "pending", "running", "completed"]
    (event,) = published()
    assert event["cc"] == ["route.my.topic"]
    assert (event["payload"]["message"]["taskId"], event["payload"]["message"]["state"]) == (task_id, "completed")


def test_nothing_is_lost(make_box, servers):
    """A mail that is due while its server is away survives the end of the process, and arrives once when the server is there."""
    box = make_box(servers.config)
    servers.mail.answers["me@example.com"] = "451 4.3.0 come back"
    routes = ["notify.email.me@example.com.on-completed", f"notify.slack-channel.{CHANNEL}.on-completed"]
    taskcluster.Queue(box.options).createTask(taskcluster.slugId(), definitions.task("built-in/succeed", routes=routes))
    until(lambda: servers.slack.posted[CHANNEL])
    until(lambda: "come back" in box.log_tail(500))
    box.kill()
    servers.mail.answers.clear()
    box.start()
    until(lambda: servers.mail.mails)
    with sqlite3.connect(f"file:{box.data / 'tcbox.db'}?mode=ro", uri=True) as database:
        until(lambda: database.execute("SELECT count(*) FROM notify_outbox").fetchone() == (0,))  # what stays there is sent again after minutes
    database.close()
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
    until(lambda: len(list((box.data / "mail").glob("*.eml"))) == 2)
    until(lambda: "services.notify.slack.access_token" in box.log_tail(500))
