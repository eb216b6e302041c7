"""Each service can be switched off by itself: the others serve, and everybody is told what is off, by which key, and what goes missing."""

import json
import urllib.error
import urllib.request

import pytest
import taskcluster

from tcbox.config import checks
from tests.support import definitions
from tests.support.waiting import until

NAMES = [name for name in checks.REQUIRES if name != "auth"]
WORKERS = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n"


def with_dependants(name):
    """The service, and all that strictly need it."""
    off = {name}
    while more := {other for other, needs in checks.REQUIRES.items() if off & set(needs)} - off:
        off |= more
    return off


def config(off):
    return "services:\n" + "".join(f"  {name.replace('-', '_')}: {{enabled: false}}\n" for name in sorted(off)) + WORKERS


def get(box, path):
    try:
        with urllib.request.urlopen(f"{box.root_url}{path}") as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("name", NAMES)
def test_the_others_serve_without_it(make_box, name):
    """Without one service, and those that strictly need it, all others are healthy and serve, and tasks run if there is a queue."""
    off = with_dependants(name)
    box = make_box(config(off))
    on = [each for each in checks.REQUIRES if each not in off]
    assert box.info["services"] == on
    assert set(box.info["switchedOff"]) == off
    for each in on:
        assert get(box, f"/api/{each}/v1/ping")[0] == 200, each
        assert get(box, f"/api/{each}/v1/__heartbeat__")[0] == 200, each
        assert get(box, f"/references/{each}/v1/api.json")[0] == 200, each
    for each in off:
        key = f"services.{each.replace('-', '_')}.enabled"
        for path in (f"/api/{each}/v1/ping", f"/api/{each}/v1/any/thing"):
            status, body = get(box, path)
            assert (status, body["code"]) == (404, "ResourceNotFound") and f"{key} is false" in body["message"], body
        assert any(note.startswith(f"{each} is switched off ({key})") for note in box.info["notes"])
    assert get(box, "/__heartbeat__") == (200, {"healthy": True, "faults": {}})
    status = json.loads(box.command("status", "--data", str(box.data), "--json").stdout)
    assert status["notes"] == box.info["notes"] and status["switchedOff"] == box.info["switchedOff"]
    assert {service["state"] for service in status["services"].values()} == {"healthy"}
    shown = box.command("status", "--data", str(box.data)).stdout
    assert all(note in shown for note in box.info["notes"])
    if "queue" in on:
        queue = taskcluster.Queue(box.options)
        task_id = taskcluster.slugId()
        queue.createTask(task_id, definitions.task("built-in/succeed", routes=["index.a.b", "notify.email.x@example.com.on-any"]))
        until(lambda: queue.status(task_id)["status"]["state"] == "completed")
    else:
        assert status["workers"] == {}
    log = (box.data / "logs/tcbox.log").read_text()
    assert '"level":"error"' not in log and "Traceback" not in log, log


def test_the_banner_says_it(make_box):
    """The banner names each service that is off, with its key and what goes missing."""
    box = make_box(config({"secrets"}), start=False)
    assert "note: secrets is switched off" in box.command("config", "check", "--config", str(box.config)).stdout
    done = box.command("up", "--data", str(box.data), "--port", "0", "--config", str(box.config), "--detach")
    note = next(line for line in done.stdout.splitlines() if "secrets is switched off (services.secrets.enabled): " in line)
    assert "tasks cannot fetch secrets through the workers' proxy" in note
    box.command("down", "--data", str(box.data))


@pytest.mark.parametrize("name", sorted({need for needs in checks.REQUIRES.values() for need in needs} - {"auth"}))
def test_what_others_strictly_need_is_refused(make_box, name):
    """A service that another one strictly needs cannot be switched off alone; the check says which needs it."""
    box = make_box(config({name}), start=False)
    done = box.command("config", "check", "--config", str(box.config), check=False)
    needing = next(other for other, needs in checks.REQUIRES.items() if name in needs)
    assert done.returncode == 1 and f"{needing} needs {name}" in done.stderr


def test_a_service_that_is_switched_on_again_serves(make_box):
    """What was stored before a service was switched off is there when it is on again."""
    box = make_box(WORKERS)
    secrets = taskcluster.Secrets(box.options)
    secrets.set("kept", {"secret": {"a": 1}, "expires": definitions.wire(days=1)})
    box.stop()
    box.config.write_text(config({"secrets"}))
    box.start()
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure, match="services.secrets.enabled"):
        secrets.get("kept")
    box.stop()
    box.config.write_text(WORKERS)
    box.start()
    assert secrets.get("kept")["secret"] == {"a": 1}
