"""Events reach an AMQP server, whatever happens to it or to the instance meanwhile: real RabbitMQ, another maker's client."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
import urllib.request

import pika
import pytest
import taskcluster

from tests.support import definitions, rabbitmq_server
from tests.support.amqp import Listener
from tests.support.waiting import until

QUIET = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n"
DEFINED = "exchange/taskcluster-queue/v1/task-defined"
PENDING = "exchange/taskcluster-queue/v1/task-pending"


@pytest.fixture
def broker():
    made = rabbitmq_server.own()
    yield made
    made.stop()


@pytest.fixture
def listener(broker):
    made = Listener(broker, [(DEFINED, "#"), (PENDING, "#")])
    yield made
    made.stop()


class Load:
    """Creates tasks whatever happens, and remembers those whose creation was answered."""

    def __init__(self, box):
        self.answered: list[str] = []
        self._box = box
        self._stopping = False
        self._threads = [threading.Thread(target=self._create, daemon=True) for _ in range(2)]

    def _create(self):
        queue = taskcluster.Queue({**self._box.options, "maxRetries": 0})
        while not self._stopping:
            task_id = taskcluster.slugId()
            try:
                queue.createTask(task_id, definitions.task("load/events", routes=[f"index.x.{task_id}"]))
            except Exception:
                time.sleep(0.05)
            else:
                self.answered.append(task_id)
            time.sleep(0.004)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopping = True
        for thread in self._threads:
            thread.join(30)


def outbox(box):
    """The ids of the outbox's messages of the two exchanges, in order, read after the instance has stopped."""
    database = sqlite3.connect(f"file:{box.data}/tcbox.db?mode=ro", uri=True)
    rows = database.execute("SELECT id, exchange, routing_key FROM events WHERE exchange IN (?, ?) ORDER BY id", (DEFINED, PENDING)).fetchall()
    database.close()
    return rows


def check(box, listener, load, seconds=40):
    """All has arrived that the outbox has, in its order; and the outbox has all that was answered."""
    with urllib.request.urlopen(f"{box.root_url}/__lbheartbeat__"):
        pass
    listener.until(lambda got: set(load.answered) <= {each["key"].split(".")[1] for each in got if each["exchange"] == PENDING}, seconds)
    box.stop()
    rows = outbox(box)
    listener.until(lambda got: {str(row[0]) for row in rows} <= {each["id"] for each in got}, 10)
    first = listener.first()
    assert [each["id"] for each in first] == [str(row[0]) for row in rows]
    assert [(each["exchange"], each["key"]) for each in first] == [row[1:] for row in rows]
    assert len(load.answered) > 50, "the load was too small to prove anything"


def health(box):
    try:
        with urllib.request.urlopen(f"{box.root_url}/__heartbeat__") as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        return json.load(error)


def metric(box, name):
    with urllib.request.urlopen(f"{box.root_url}/metrics") as reply:
        lines = [line for line in reply.read().decode().splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_messages_are_as_pulse_has_them(make_box, broker, listener):
    """A message comes by its exchange, persistent, as JSON, under its routing key and its routes, with what the outbox has."""
    by_route = Listener(broker, [(DEFINED, "route.index.*.x.#")], "queue/outsider/route")
    box = make_box(f"events: {broker.url}\n{QUIET}")
    assert "s3cret" not in json.dumps(box.info) and f"127.0.0.1:{broker.port}" in box.info["events"]
    queue = taskcluster.Queue(box.options)
    task_id, other = taskcluster.slugId(), taskcluster.slugId()
    queue.createTask(other, definitions.task("pulse/task"))
    queue.createTask(task_id, definitions.task("pulse/task", routes=["index.a.x.b", "other"]))
    listener.until(lambda got: len(got) == 4)
    by_route.until(lambda got: len(got) == 1)
    by_route.stop()
    assert [each["exchange"] for each in listener.got] == [DEFINED, PENDING] * 2
    (found,) = by_route.got
    assert found["key"].startswith(f"primary.{task_id}.") and found["cc"] == ["route.index.a.x.b", "route.other"]
    assert (found["type"], found["mode"]) == ("application/json", 2)
    assert found["body"]["status"] == {**queue.status(task_id)["status"], "state": "unscheduled", "runs": []}
    with broker.channel() as channel:  # as durable topic exchanges, else this is refused
        for name in ("queue/v1/task-exception", "queue/v1/artifact-created", "auth/v1/client-created"):
            channel.exchange_declare(f"exchange/taskcluster-{name}", exchange_type="topic", durable=True)
    assert metric(box, "tcbox_amqp_connected") == 1 and metric(box, "tcbox_amqp_published_total") >= 4
    assert "s3cret" not in (box.data / "logs/tcbox.log").read_text()


def test_a_broker_that_restarts_under_load_misses_nothing(make_box, broker, listener):
    """The broker is shut down, and once killed, under load: the instance serves on, says so, and every event arrives in order."""
    box = make_box(f"events: {broker.url}\n{QUIET}")
    with Load(box) as load:
        for crash in (False, True, False):
            time.sleep(0.7)
            broker.halt(crash=crash)
            before = len(load.answered)
            end = time.monotonic() + 20
            while health(box)["healthy"]:
                assert time.monotonic() < end, "the instance is healthy without its broker"
                time.sleep(0.1)
            assert f"127.0.0.1:{broker.port}" in " ".join(health(box)["faults"]["events"])
            time.sleep(0.3)
            assert len(load.answered) > before, "the instance does not serve while the broker is away"
            broker.resume()
        time.sleep(0.5)
    check(box, listener, load)
    assert "Traceback" not in (box.data / "logs/tcbox.log").read_text()


def test_an_instance_that_is_killed_under_load_misses_nothing(make_box, broker, listener):
    """`kill -9` under load, again and again: every event arrives, the first time in the outbox's order."""
    box = make_box(f"events: {broker.url}\n{QUIET}")
    with Load(box) as load:
        for _ in range(6):
            time.sleep(0.6)
            box.kill()
            box.start()
        time.sleep(0.5)
    check(box, listener, load)


def test_events_of_the_time_without_a_broker_arrive_later(make_box, broker, listener):
    """An instance starts without its broker, says what waits, and publishes it when the broker comes, after a restart too."""
    broker.halt()
    box = make_box(f"events: {broker.url}\n{QUIET}")
    queue = taskcluster.Queue(box.options)
    for _ in range(5):
        queue.createTask(taskcluster.slugId(), definitions.task("later/task"))
    end = time.monotonic() + 20
    while metric(box, "tcbox_amqp_waiting") < 10:
        assert time.monotonic() < end
        time.sleep(0.1)
    shown = box.command("status", "--data", str(box.data), check=False)
    assert shown.returncode == 1 and "events wait to be published" in shown.stdout
    doctor = box.command("doctor", "--data", str(box.data), "--config", str(box.config), check=False).stdout
    assert f"127.0.0.1:{broker.port}" in doctor and "cannot be reached: Connection refused" in doctor and "s3cret" not in doctor
    box.stop()
    broker.resume()
    box.start()
    listener.until(lambda got: len(got) == 10)
    assert listener.first() == listener.got


def test_a_hook_fires_on_what_another_system_announces(make_box, broker):
    """A hook that is bound to another system's exchange, before or after that is there, fires on its messages, over a restart too."""
    box = make_box(f"events: {broker.url}\n{QUIET}")
    hooks, exchange = taskcluster.Hooks(box.options), "exchange/other-system/v1/built"
    taskcluster.Auth(box.options).createRole("hook-id:group/far", {"description": "d", "scopes": ["queue:create-task:*", "queue:scheduler-id:*"]})
    with broker.channel() as channel:
        channel.exchange_declare(exchange, exchange_type="topic", durable=True)
        hooks.createHook("group", "far", {
            "metadata": {"name": "n", "description": "d", "owner": "o@example.com"}, "bindings": [{"exchange": exchange, "routingKeyPattern": "main.#"}],
            "task": definitions.task("hooks/far") | {"created": {"$fromNow": "0 seconds"}, "deadline": {"$fromNow": "1 hour"}, "expires": {"$fromNow": "1 day"}},
            "triggerSchema": {"type": "object"},
        })  # fmt: skip
        until(lambda: _bound(channel, exchange, "main.x"))
        until(lambda: len(fired(hooks)) >= 1)
        before = len(fired(hooks))
        box.stop()
        channel.basic_publish(exchange, "main.y", b'{"n":2}')
        with contextlib.suppress(pika.exceptions.UnroutableError):
            channel.basic_publish(exchange, "other.y", b'{"n":3}')
        box.start()
        until(lambda: len(fired(hooks)) == before + 1)
        fires = fired(hooks)
        assert {fire["firedBy"] for fire in fires} == {"pulseMessage"} and {fire["result"] for fire in fires} == {"success"}, [fire["error"] for fire in fires]
        hooks.removeHook("group", "far")


def fired(hooks):
    """The hook's firings, none when it has never fired."""
    try:
        return hooks.listLastFires("group", "far")["lastFires"]
    except taskcluster.exceptions.TaskclusterRestFailure as error:
        assert error.status_code == 404
        return []


def _bound(channel, exchange, key):
    """Whether a message under this key reaches some queue; if so, it has."""
    channel.confirm_delivery()
    try:
        channel.basic_publish(exchange, key, b'{"n":1}', mandatory=True)
        return True
    except pika.exceptions.UnroutableError:
        return False


def test_a_missing_client_library_is_named(make_box, tmp_path):
    """Without the library the start says which command installs it."""
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(
        "import sys\nclass Hide:\n def find_spec(self, name, path=None, target=None):\n  if name == 'aiormq': raise ModuleNotFoundError(name)\n"
        "import importlib.util as u\nold=u.find_spec\nu.find_spec=lambda name, package=None: None if name == 'aiormq' else old(name, package)\n"
    )
    import os

    box = make_box("events: amqp://u:pw@mq/v\n", start=False)
    env = {**box.env, "PYTHONPATH": f"{tmp_path / 'hide'}:{os.environ.get('PYTHONPATH', os.getcwd())}"}
    import subprocess

    from tests.support.box import TCBOX

    done = subprocess.run(
        [*TCBOX, "up", "--data", str(box.data), "--port", "0", "--config", str(box.config), "--detach"], capture_output=True, text=True, env=env
    )
    assert done.returncode == 1 and "pip install 'tcbox[amqp]'" in done.stderr and "pw" not in done.stderr
