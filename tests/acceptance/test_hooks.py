"""Hooks of a running instance, by the published client: every method, schedules, messages, kills, and tasks that really run."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest
import taskcluster

from tcbox import clock as clocks
from tests.support import shared
from tests.support.box import Box
from tests.support.waiting import until

CONFIG = "workers:\n  docker: {enabled: false}\n"
QUIET = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n"
METADATA = {"name": "n", "description": "d", "owner": "owner@example.com"}
FREE = {"type": "object", "additionalProperties": True}


def host(script: str, **changes) -> dict:
    """A template of a task that runs a shell script on this machine."""
    return {
        "taskQueueId": "local/host",
        "created": {"$fromNow": "0 seconds"}, "deadline": {"$fromNow": "1 hour"}, "expires": {"$fromNow": "1 day"},
        "payload": {"command": [["/bin/sh", "-c", script]], "maxRunTime": 60},
        "metadata": {"name": "a hook's", "description": "d", "owner": "o@example.com", "source": "https://example.com/"},
        **changes,
    }  # fmt: skip


class Calls:
    """Clients of the instance."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.hooks = taskcluster.Hooks(box.options)
        self.queue = taskcluster.Queue(box.options)
        self.auth = taskcluster.Auth(box.options)

    def allow(self, role: str, *scopes: str) -> None:
        self.auth.createRole(role, {"description": "", "scopes": ["queue:create-task:*", "queue:scheduler-id:*", *scopes]})

    def fires(self, name: str) -> list[dict]:
        try:
            return self.hooks.listLastFires("g", name)["lastFires"]
        except taskcluster.exceptions.TaskclusterRestFailure as refused:
            assert refused.status_code == 404
            return []

    def log(self, task_id: str) -> str:
        """The log of a task that has completed."""
        until(lambda: self.queue.status(task_id)["status"]["state"] not in ("unscheduled", "pending", "running"))
        status = self.queue.status(task_id)["status"]
        assert status["state"] == "completed", status
        url = self.queue.buildUrl("getLatestArtifact", task_id, "public/logs/live.log")
        import requests

        return requests.get(url, timeout=10).text


@pytest.fixture
def calls(make_box):
    made = Calls(make_box(CONFIG))
    shared.restored()
    return made


@pytest.mark.contract
def test_every_method(calls: Calls):
    """The published client makes, reads, changes, fires and removes hooks; the created tasks run."""
    hooks = calls.hooks
    assert hooks.ping()["alive"] and hooks.heartbeat() == {} and hooks.lbheartbeat() == {} and "version" in hooks.version()
    assert hooks.listHookGroups() == {"groups": []}
    definition = {"metadata": METADATA, "task": host("echo for ${payload.who} by ${firedBy}"), "triggerSchema": FREE, "schedule": ["0 0 1 1 *"]}
    made = hooks.createHook("g", "a/b", definition)
    assert made["task"] == definition["task"] and made == hooks.hook("g", "a/b") and hooks.listHooks("g") == {"hooks": [made]}
    assert hooks.listHookGroups() == {"groups": ["g"]}
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure) as refused:
        hooks.triggerHook("g", "a/b", {"who": "me"})
    assert refused.value.status_code == 403 and "The role `hook-id:g/a/b` does not have sufficient scopes" in str(refused.value)
    assert "queue:create-task:lowest:local/host" in refused.value.body["message"]
    calls.allow("hook-id:g/*")
    first = hooks.triggerHook("g", "a/b", {"who": "me"})
    assert first == {"taskId": first["taskId"], "status": {"taskId": first["taskId"]}}
    assert "for me by triggerHook\n" in calls.log(first["taskId"])
    token = hooks.getTriggerToken("g", "a/b")["token"]
    stranger = taskcluster.Hooks({"rootUrl": calls.box.root_url})
    second = stranger.triggerHookWithToken("g", "a/b", token, {"who": "you"})
    assert "for you by triggerHookWithToken\n" in calls.log(second["taskId"])
    assert hooks.resetTriggerToken("g", "a/b")["token"] != token
    with pytest.raises(taskcluster.exceptions.TaskclusterAuthFailure):
        stranger.triggerHookWithToken("g", "a/b", token, {})
    assert [(fire["taskId"], fire["result"], fire["taskState"]) for fire in hooks.listLastFires("g", "a/b")["lastFires"][:2]] == [
        (second["taskId"], "success", "completed"), (first["taskId"], "success", "completed"),
    ]  # fmt: skip
    status = hooks.getHookStatus("g", "a/b")
    assert status["lastFire"]["taskId"] == second["taskId"] and status["nextScheduledDate"].endswith("-01-01T00:00:00.000Z")
    changed = hooks.updateHook("g", "a/b", {**definition, "schedule": []})
    assert changed["schedule"] == [] and "nextScheduledDate" not in hooks.getHookStatus("g", "a/b")
    hooks.removeHook("g", "a/b")
    assert hooks.listHookGroups() == {"groups": []} and calls.fires("a/b") == []
    history = calls.auth.getEntityHistory("hook", "g/a/b")["auditHistory"]
    assert [entry["actionType"] for entry in history] == ["created", "updated", "deleted"]


@pytest.mark.contract
def test_a_schedule_and_a_message(calls: Calls):
    """A hook fires within seconds of its time, its task runs, and its end fires another hook, whose task runs too."""
    calls.allow("hook-id:g/*")
    after = {"$if": "payload.status.state == 'completed'", "then": host("echo after ${payload.status.taskId} by ${firedBy}")}
    bindings = [{"exchange": "exchange/taskcluster-queue/v1/task-completed", "routingKeyPattern": "primary.#.local.host.tick.#"}]
    calls.hooks.createHook("g", "follow", {"metadata": METADATA, "task": after, "triggerSchema": FREE, "bindings": bindings})
    calls.hooks.createHook("g", "tick", {"metadata": METADATA, "task": host("echo tick ${taskId}", schedulerId="tick"), "schedule": ["*/2 * * * * *"]})
    until(lambda: calls.fires("tick"))
    calls.hooks.updateHook("g", "tick", {"metadata": METADATA, "task": host("true"), "schedule": []})
    tick = calls.fires("tick")[-1]
    assert (tick["firedBy"], tick["result"]) == ("schedule", "success")
    scheduled = calls.queue.status(tick["taskId"])["status"]["runs"][0]["scheduled"]
    assert 0 <= clocks.from_wire(scheduled) - clocks.from_wire(tick["taskCreateTime"]) < clocks.MINUTE
    assert f"tick {tick['taskId']}\n" in calls.log(tick["taskId"])
    follow = until(lambda: [fire for fire in calls.fires("follow") if fire["result"] == "success"])[-1]
    assert follow["firedBy"] == "pulseMessage"
    assert f"after {tick['taskId']} by pulseMessage\n" in calls.log(follow["taskId"])


def test_a_schedule_of_virtual_time(tmp_path: Path):
    """With virtual time a daily hook fires when the day is moved on, and after most of a year it fires once."""
    (tmp_path / "box").mkdir()
    box = Box(tmp_path / "box", QUIET)  # workers go by the machine's time
    done = box.command("up", "--port", "0", "--config", str(box.config), "--ephemeral", "--virtual-time", "--detach", "--json")
    box.info = json.loads(done.stdout)
    try:
        calls = Calls(box)
        calls.allow("hook-id:g/*")
        calls.hooks.createHook("g", "daily", {"metadata": METADATA, "task": host("echo good morning"), "schedule": ["0 0 6 * * *"]})
        calls.hooks, calls.queue = taskcluster.Hooks({"rootUrl": box.root_url}), taskcluster.Queue({"rootUrl": box.root_url})  # a signature would be of today
        for number, hours in ((1, 24), (2, 24), (3, 24 * 300)):
            _advance(box, hours * 3_600_000)
            until(lambda number=number: len(calls.fires("daily")) == number)
            assert calls.queue.status(calls.fires("daily")[0]["taskId"])["status"]["state"] == "pending"
        assert [fire["result"] for fire in calls.fires("daily")] == ["success"] * 3
    finally:
        box.command("down", "--data", box.info["data"])


def _advance(box: Box, milliseconds: int) -> None:
    """Move an instance's clock on, as its own command line would ask it to."""
    import requests

    token = json.loads((Path(box.info["data"]) / "run" / "instance.json").read_text())["token"]
    reply = requests.post(f"{box.root_url}/instance/advance", json={"milliseconds": milliseconds}, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert reply.ok, reply.text


def test_kills_neither_lose_nor_double_a_firing(make_box):
    """Killed again and again while hooks fire by the second and by messages, an instance creates one task for each firing."""
    box = make_box(QUIET)
    calls = Calls(box)
    calls.allow("hook-id:g/*")
    template = {key: value for key, value in host("true", taskQueueId="no/body", extra={"of": "${taskId}"}).items() if key != "payload"} | {"payload": {}}
    for number in range(3):
        calls.hooks.createHook("g", f"s{number}", {"metadata": METADATA, "task": template, "schedule": ["* * * * * *"]})
    said = [{"exchange": "exchange/taskcluster-queue/v1/task-defined", "routingKeyPattern": "primary.*.*.*.*.no.said.#"}]
    echo = {**template, "extra": {"of": "${payload.status.taskId}"}}
    calls.hooks.createHook("g", "m", {"metadata": METADATA, "task": echo, "triggerSchema": FREE, "bindings": said})
    sent = []
    for _ in range(6):
        for _ in range(10):
            task_id = taskcluster.slugId()
            now = taskcluster.fromNowJSON
            calls.queue.createTask(
                task_id, {"taskQueueId": "no/said", "created": now("0 seconds"), "deadline": now("1 hour"), "payload": {}, "metadata": template["metadata"]}
            )
            sent.append(task_id)
        time.sleep(0.3)
        box.kill()
        box.start()
        calls = Calls(box)
    until(lambda: len([fire for fire in calls.fires("m") if fire["result"] == "success"]) >= len(sent), 60)
    for number in range(3):
        calls.hooks.updateHook("g", f"s{number}", {"metadata": METADATA, "task": template, "schedule": []})
    database = sqlite3.connect(f"file:{box.data}/tcbox.db?mode=ro", uri=True)
    until(lambda: not database.execute("SELECT 1 FROM hooks_firings").fetchall(), 45)  # what a kill left half-done is taken up after half a minute
    fires = {name: calls.fires(name) for name in ("m", "s0", "s1", "s2")}
    box.stop()
    created = [
        json.loads(row[0])
        for row in database.execute("SELECT d.definition FROM queue_definitions d JOIN queue_tasks t ON t.id = d.id WHERE t.task_queue_id = 'no/body'")
    ]
    ids = {row[0] for row in database.execute("SELECT task_id FROM queue_tasks WHERE task_queue_id = 'no/body'")}
    database.close()
    assert {fire["result"] for each in fires.values() for fire in each} == {"success"}
    assert {fire["taskId"] for each in fires.values() for fire in each} == ids and len(created) == len(ids)
    assert sorted(each["extra"]["of"] for each in created if each["extra"]["of"] in sent) == sorted(sent), "a message fired twice, or never"
    for number in range(3):
        times = [fire["taskCreateTime"] for fire in fires[f"s{number}"]]
        assert len(times) == len(set(times)) > 3, "a time fired twice"
