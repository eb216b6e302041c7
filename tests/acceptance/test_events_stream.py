"""`/events` as outsiders use it: curl, a browser's EventSource, the command line, and the page; over restarts and kills."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
import taskcluster

from tests.acceptance.test_ui import chromium, sign_in_as_root  # noqa: F401
from tests.support import definitions
from tests.support.box import TCBOX
from tests.support.events_stream import running
from tests.support.waiting import until

QUIET = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n"
DEFINED = "exchange/taskcluster-queue/v1/task-defined"
PAGE = """<!doctype html><meta charset="utf-8"><script>
  window.got = []; window.gaps = [];
  const source = new EventSource(%s);
  source.onmessage = (event) => window.got.push([event.lastEventId, JSON.parse(event.data)]);
  source.addEventListener("gap", (event) => window.gaps.push(event.data));
  source.addEventListener("ready", () => { window.ready = true; });
</script>"""


def create(queue, count=1, **more):
    made = [taskcluster.slugId() for _ in range(count)]
    for task_id in made:
        queue.createTask(task_id, definitions.task("stream/events", **more))
    return made


@pytest.mark.contract
def test_curl_follows_and_resumes(quiet_box):
    """Anybody can follow with curl, and go on with the id of the last event."""
    queue = taskcluster.Queue(quiet_box.options)
    url = f"{quiet_box.root_url}/events?binding={DEFINED}"
    with running("curl", "-sN", url) as lines:
        until(lambda: "event: ready\n" in lines)
        made = create(queue, 5)
        until(lambda: sum(line.startswith("data: {") and DEFINED in line for line in lines) == 5)
    events = [json.loads(line[6:]) for line in lines if DEFINED in line]
    assert [event["routingKey"].split(".")[1] for event in events] == made
    assert events[0]["payload"]["status"]["taskId"] == made[0]
    with running("curl", "-sN", "-H", f"Last-Event-ID: {events[1]['id']}", url) as lines:
        until(lambda: sum(DEFINED in line for line in lines) == 3)
    assert [json.loads(line[6:])["id"] for line in lines if DEFINED in line] == [event["id"] for event in events[2:]]
    done = subprocess.run(["curl", "-s", "-w", "%{http_code}", f"{url}&since=999999999999999999"], capture_output=True, text=True)
    assert done.stdout.endswith("410") and '"oldest":"' in done.stdout


def test_a_browser_of_another_origin_goes_on_over_a_kill(chromium, quiet_box):  # noqa: F811
    """A page of another origin follows with EventSource, and misses nothing when the instance is killed and started again."""
    html = (PAGE % json.dumps(f"{quiet_box.root_url}/events?binding={DEFINED}:primary.%23")).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, *_):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{site.server_port}/")
        page.wait_for_function("window.ready")
        queue = taskcluster.Queue(quiet_box.options)
        made = create(queue, 5)
        page.wait_for_function("window.got.length === 5")
        quiet_box.kill()
        quiet_box.start()
        made += create(taskcluster.Queue(quiet_box.options), 5)
        page.wait_for_function("window.got.length >= 10", timeout=30_000)
        made += create(queue, 2)
        page.wait_for_function("window.got.length >= 12", timeout=30_000)
        got = page.evaluate("window.got")
        assert [event["payload"]["status"]["taskId"] for _, event in got] == made
        assert [event["id"] for _, event in got] == [last for last, _ in got]
        assert page.evaluate("window.gaps") == []
    finally:
        context.close()
        site.shutdown()
        site.server_close()


def test_the_command_follows_for_people_and_for_scripts(quiet_box):
    """`tcbox events` prints a calm line for each event, or JSON; goes on over a restart; and says what cannot be followed."""
    queue = taskcluster.Queue(quiet_box.options)
    data = str(quiet_box.data)
    with (
        running(*TCBOX, "events", "--data", data, "--binding", "queue/task-defined", env=quiet_box.env) as people,
        running(*TCBOX, "events", "--data", data, "--json", "--since", "0", "--binding", f"{DEFINED}:route.index.#", env=quiet_box.env) as scripts,
    ):
        until(lambda: metric(quiet_box, "tcbox_event_streams") == 2)
        (first,) = create(queue, 1, routes=["index.a.b"])
        until(lambda: told(people) and told(scripts))
        quiet_box.stop()
        quiet_box.start()
        (second,) = create(taskcluster.Queue(quiet_box.options), 1, routes=["index.c"])
        until(lambda: len(told(people)) >= 2 and len(told(scripts)) >= 2)
    people, scripts = told(people), told(scripts)
    assert [re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} queue/task-defined +(\S+) .*\n", line)[1] for line in people] == [first, second]
    assert people[0].endswith("route.index.a.b\n") and "\x1b" not in people[0]
    assert [json.loads(line)["cc"] for line in scripts] == [["route.index.a.b"], ["route.index.c"]]
    refused = (
        (("--binding", "queue/nothing"), "no exchange exchange/taskcluster-queue/v1/nothing: queue has queue/task-defined"),
        (("--binding", "queue/task-complted"), "did you mean queue/task-completed?"),
        (("--binding", "exchange/taskcluster-nobody/v1/x"), "no exchange exchange/taskcluster-nobody/v1/x"),
        (("--since", "99999999"), "begin with since="),
    )
    for words, said in refused:
        done = quiet_box.command("events", "--data", data, *words, check=False)
        assert done.returncode == 1 and said in done.stderr


def told(lines):
    """What came, without a word on how long the restart took."""
    return [line for line in lines if not line.endswith("; trying again\n")]


def metric(box, name):
    with urllib.request.urlopen(f"{box.root_url}/metrics") as reply:
        return next(float(line.rpartition(" ")[2]) for line in reply.read().decode().splitlines() if line.startswith(f"{name} "))


def test_who_may_follow(quiet_box, chromium):  # noqa: F811
    """Without web:read-pulse in the anonymous role, only those who sign with it may follow: by command, and by the page's own URL."""
    auth = taskcluster.Auth(quiet_box.options)
    role = auth.role("anonymous")
    auth.updateRole("anonymous", {"description": role["description"], "scopes": [scope for scope in role["scopes"] if scope != "web:read-pulse"]})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{quiet_box.root_url}/events")
    assert refused.value.code == 403 and "web:read-pulse" in refused.value.read().decode()
    queue = taskcluster.Queue(quiet_box.options)
    with running(*TCBOX, "events", "--data", str(quiet_box.data), env=quiet_box.env) as lines:
        until(lambda: metric(quiet_box, "tcbox_event_streams") == 1)
        (made,) = create(queue)
        until(lambda: any(made in line for line in lines))
    context = chromium.new_context(base_url=quiet_box.root_url)
    try:
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.goto("/events")
        page.get_by_text("InsufficientScopes (403)").wait_for()
        sign_in_as_root(page, quiet_box)
        page.get_by_text("live", exact=True).wait_for()
        (made,) = create(queue)
        page.get_by_role("listitem").filter(has_text=made).first.wait_for()
    finally:
        context.close()


def test_the_page_shows_what_happens(chromium, quiet_box):  # noqa: F811
    """The page shows events as they happen, the newest first, filters them, pauses, shows them whole, and goes on over a restart."""
    queue = taskcluster.Queue(quiet_box.options)
    context = chromium.new_context(base_url=quiet_box.root_url)
    wrong = []
    try:
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.set_default_timeout(15_000)
        page.goto("/")
        page.get_by_role("navigation").get_by_role("link", name="Events").click()
        page.get_by_text("live", exact=True).wait_for()
        rows = page.get_by_role("list", name="Events, the newest first").get_by_role("listitem")
        (first,) = create(queue)
        rows.nth(1).wait_for()
        assert "task-pending" in rows.nth(0).inner_text() and "task-defined" in rows.nth(1).inner_text()
        assert rows.nth(0).get_by_role("link", name=first).get_attribute("href") == f"/tasks/{first}"
        rows.nth(1).locator("summary").click()
        rows.nth(1).get_by_text('"routingKey"').wait_for()
        page.get_by_label("Exchange", exact=True).select_option(DEFINED)
        until(lambda: rows.count() == 0)
        assert DEFINED in page.url.replace("%2F", "/")
        page.get_by_text("live", exact=True).wait_for()
        (second,) = create(queue)
        rows.filter(has_text=second).wait_for()
        time.sleep(0.3)
        assert rows.count() == 1
        page.get_by_role("button", name="Pause").click()
        (third,) = create(queue)
        page.get_by_role("button", name="Go on (1)").click()
        rows.filter(has_text=third).wait_for()
        quiet_box.stop()
        page.get_by_text("connecting").wait_for()
        quiet_box.start()
        (fourth,) = create(taskcluster.Queue(quiet_box.options))
        rows.filter(has_text=fourth).wait_for(timeout=30_000)
        page.get_by_role("button", name="From the oldest").click()
        rows.filter(has_text=first).first.wait_for()
        page.reload()
        page.get_by_text("live", exact=True).wait_for()
        assert page.get_by_label("Exchange", exact=True).input_value() == DEFINED
        page.goto(f"/events?binding={DEFINED}:route.x.%23")
        page.get_by_text("live", exact=True).wait_for()
        assert page.get_by_label("Pattern of routing keys").input_value() == "route.x.#"
        assert wrong == []
    finally:
        context.close()


def test_nothing_secret_goes_out(make_box):
    """No token, secret, certificate or environment of a task stands in any event of an instance in which all of these were used."""
    box = make_box("workers: {docker: {enabled: false}}\n")
    auth, queue, secrets = (kind(box.options) for kind in (taskcluster.Auth, taskcluster.Queue, taskcluster.Secrets))
    made = auth.createClient("secretive", {"expires": definitions.wire(days=1), "description": "d", "scopes": ["queue:*"]})
    hush = [made["accessToken"], auth.resetAccessToken("secretive")["accessToken"], box.options["credentials"]["accessToken"]]
    secrets.set("s", {"secret": {"password": "hush-hush-1"}, "expires": definitions.wire(days=1)})
    task_id = taskcluster.slugId()
    queue.createTask(
        task_id, definitions.host("env > env.txt", env={"TOKEN": "hush-hush-2"}, artifacts=[{"name": "private/env.txt", "type": "file", "path": "env.txt"}])
    )
    until(lambda: queue.status(task_id)["status"]["state"] == "completed")
    other = taskcluster.slugId()
    queue.createTask(other, definitions.task("secret/work"))
    claim = queue.claimWork("secret/work", {"workerGroup": "g", "workerId": "w", "tasks": 1})["tasks"][0]
    hush += [claim["credentials"]["accessToken"], json.loads(claim["credentials"]["certificate"])["signature"], "hush-hush"]
    queue.createArtifact(
        other,
        "0",
        "public/x",
        {
            "storageType": "reference",
            "expires": definitions.wire(hours=1),
            "contentType": "text/plain",
            "url": "https://u:hush-hush-3@x.example/?sig=hush-hush-4",
        },
    )
    box.stop()
    database = sqlite3.connect(f"file:{box.data}/tcbox.db?mode=ro", uri=True)
    rows = database.execute("SELECT exchange, routing_key, cc, payload FROM events").fetchall()
    database.close()
    assert {row[0].rpartition("/")[2] for row in rows} >= {"client-created", "client-updated", "task-running", "artifact-created", "task-completed"}
    for row in rows:
        assert not [word for word in hush if any(word in text for text in row)], row
