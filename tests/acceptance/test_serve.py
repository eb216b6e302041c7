"""`tcbox serve` and `tcbox migrate` as commands: what they refuse, what they wait for, how they end, what they tell."""

from __future__ import annotations

import base64
import http.server
import json
import os
import secrets
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
import taskcluster

from tcbox.box import identity
from tests.support import definitions, ports, postgres_server
from tests.support.cluster import Replica, clean_env
from tests.support.waiting import until

KEY = base64.b64encode(os.urandom(32)).decode()


def command(*words, timeout=60, **env):
    return subprocess.run([sys.executable, "-m", "tcbox", *words], env=clean_env(**env), capture_output=True, text=True, timeout=timeout)


class Few:
    """A database, and processes on it without a front door."""

    def __init__(self, folder):
        self.folder = folder
        self.postgres = postgres_server.own()
        self.postgres.run("CREATE DATABASE tc")
        self.token = secrets.token_hex(22)
        self.env = {
            "TCBOX_DATABASE": self.postgres.url("tc"), "TCBOX_ROOT_URL": "http://127.0.0.1:1", "TCBOX_SERVICES_SECRETS_KEY": KEY, "TCBOX_INSTANCE_KEY": KEY,
            "TCBOX_ROOT_ACCESS_TOKEN": self.token, "TCBOX_SERVE_NOTICE_SECONDS": "0.3",
        }  # fmt: skip
        self.made = []

    def replica(self, *words, without=(), **env):
        made = Replica(self, f"p{len(self.made)}", list(words), **env)
        self.made.append(made)
        self.env = {name: value for name, value in self.env.items() if name not in without}
        return made

    def options(self, url):
        return {"rootUrl": url, "credentials": {"clientId": identity.ROOT, "accessToken": self.token}, "maxRetries": 0}

    def stop(self):
        for each in self.made:
            if each.alive:
                each.kill()
        self.postgres.stop()


@pytest.fixture
def few(tmp_path):
    made = Few(tmp_path)
    yield made
    made.stop()


def secret(number=1):
    return {"secret": {"n": number}, "expires": definitions.wire(days=1)}


def test_what_several_processes_need_is_refused_at_once():
    """Without PostgreSQL, root URL, keys and a shared place for bytes each is named, with what to write."""
    done = command("serve", "auth", "queue")
    assert done.returncode == 1
    for key in ("database", "root_url", "services.secrets.key", "root_access_token", "instance_key", "blobs"):
        assert f": {key}: expected" in done.stderr, done.stderr
    assert "postgresql://" in done.stderr and "openssl rand" in done.stderr
    needs = {"TCBOX_DATABASE": "postgresql://u@h/n", "TCBOX_ROOT_URL": "http://x", "TCBOX_INSTANCE_KEY": KEY}
    assert "blobs.shared" in command("serve", "queue", **needs, TCBOX_BLOBS="file:///somewhere").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nothing"], "no nothing to serve"), (["queue/x"], "with /api or /loops"), (["front", "queue"], "process of its own"), (["front"], "serve.replicas")],
)
def test_what_is_no_part_is_refused(words, said):
    """A service that is none, a half that is none, and a front door without processes are refused in words."""
    done = command("serve", *words)
    assert done.returncode == 1 and said in done.stderr, done.stderr


def test_migrate_may_run_twice_at_once_and_is_waited_for(few):
    """Two migrations at once both end well; one that waits ends when they have; a process without the right waits too."""
    env = clean_env(**few.env)
    waiting = subprocess.Popen([sys.executable, "-m", "tcbox", "migrate", "secrets", "--wait"], env=env, stderr=subprocess.DEVNULL)
    serving = few.replica("secrets", "auth", "--no-migrate").start(wait=False)
    time.sleep(2.5)
    assert waiting.poll() is None and not serving.answers("/__lbheartbeat__")
    migrations = [subprocess.Popen([sys.executable, "-m", "tcbox", "migrate"], env=env, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [each.wait(60) for each in migrations] == [0, 0]
    assert waiting.wait(20) == 0
    serving.ready()
    again = command("migrate", **few.env)
    assert again.returncode == 0
    assert json.loads(again.stderr.splitlines()[-1])["service"] == "migrate"


def test_a_database_that_is_away_is_waited_for(few):
    """A process that starts without its database serves when it comes; its API says so meanwhile, and when it goes again."""
    few.postgres.halt()
    hopeless = few.replica("secrets").start(wait=False)
    replica = few.replica("auth", "secrets").start(wait=False)

    def refuses():
        try:
            urllib.request.urlopen(f"{replica.url}/api/secrets/v1/ping")
        except urllib.error.HTTPError as error:
            assert (error.code, error.headers["Retry-After"]) == (503, "5")
            return True
        except OSError:
            return False

    until(refuses)
    until(lambda: "trying again" in hopeless.tail())
    assert hopeless.stop() == 0  # it can be ended while it waits
    few.postgres.resume()
    replica.ready()
    client = taskcluster.Secrets(few.options(replica.url))
    client.set("a", secret())
    few.postgres.halt(crash=True)
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure) as refused:
        client.get("a")
    assert refused.value.status_code == 503
    assert replica.answers("/__lbheartbeat__") and not replica.answers("/__heartbeat__")
    few.postgres.resume()
    until(lambda: replica.answers("/__heartbeat__"))
    assert client.get("a")["secret"] == {"n": 1}


def test_a_process_ends_as_it_is_asked_to(few):
    """On SIGTERM it is not ready any more, still takes requests for its notice, and ends with 0; each line of its log is JSON."""
    replica = few.replica("auth", "secrets", TCBOX_SERVE_NOTICE_SECONDS="15").start()
    ends = []
    asked = threading.Thread(target=lambda: ends.append(replica.stop()))
    asked.start()
    until(lambda: not replica.answers("/__lbheartbeat__"), 10)
    request = urllib.request.Request(f"{replica.url}/api/auth/v1/ping")
    with urllib.request.urlopen(request) as reply:
        assert json.load(reply)["alive"] is True
    asked.join(20)
    assert ends == [0]
    entries = [json.loads(line) for line in replica.log.read_text().splitlines()]
    assert [entry["message"] for entry in entries if entry["service"] == "serve"] == ["serving", "asked to end", "ended"]


def test_a_process_of_one_service_needs_no_key_of_all(few):
    """With its own token and nothing else a service serves, asking auth elsewhere who calls; without auth it answers 503."""
    token = identity.service_client(base64.b64decode(KEY), "purge-cache").access_token
    auth = few.replica("auth").start()
    own = few.replica(
        "purge-cache", without=("TCBOX_INSTANCE_KEY", "TCBOX_SERVICES_SECRETS_KEY", "TCBOX_ROOT_ACCESS_TOKEN"),
        TASKCLUSTER_ACCESS_TOKEN=token, TCBOX_SERVE_URLS=json.dumps({"auth": auth.url}),
    ).start()  # fmt: skip
    client = taskcluster.PurgeCache(few.options(own.url))
    client.purgeCache("a/b", {"cacheName": "c"})
    assert [each["cacheName"] for each in client.purgeRequests("a/b")["requests"]] == ["c"]
    wrong = few.options(own.url)
    wrong["credentials"]["accessToken"] = "x" * 22
    with pytest.raises(taskcluster.exceptions.TaskclusterAuthFailure):
        taskcluster.PurgeCache(wrong).purgeCache("a/b", {"cacheName": "c"})
    with pytest.raises(urllib.error.HTTPError) as elsewhere:
        urllib.request.urlopen(f"{own.url}/api/auth/v1/ping")
    assert elsewhere.value.code == 404
    auth.kill()
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure) as refused:
        client.purgeCache("a/b", {"cacheName": "d"})
    assert refused.value.status_code == 503


def test_services_sign_for_the_addresses_at_which_they_find_each_other(few, tmp_path):
    """Where nobody answers at the root URL, a hook still creates its task: each call is signed for, and taken at, a name within."""
    few.env["TCBOX_BLOBS"] = json.dumps({"url": f"file://{tmp_path}/blobs", "shared": True})
    replicas = {name: few.replica(name) for name in ("auth", "queue", "hooks")}
    few.env["TCBOX_SERVE_URLS"] = json.dumps({name: f"http://localhost:{replica.port}" for name, replica in replicas.items()})
    for replica in replicas.values():
        replica.start()
    wanted = {**definitions.task("proj/ci"), "created": {"$fromNow": "0 seconds"}, "deadline": {"$fromNow": "1 hour"}}
    hook = {
        "metadata": {"name": "a hook", "description": "of a test", "owner": "test@example.com"},
        "task": {key: wanted[key] for key in ("taskQueueId", "payload", "metadata", "created", "deadline")},
    }
    hooks = taskcluster.Hooks(few.options(replicas["hooks"].url))
    hooks.createHook("group", "hook", hook)
    taskcluster.Auth(few.options(replicas["auth"].url)).createRole("hook-id:group/hook", {"description": "", "scopes": ["queue:*"]})
    task_id = hooks.triggerHook("group", "hook", {})["taskId"]
    assert taskcluster.Queue(few.options(replicas["queue"].url)).status(task_id)["status"]["state"] == "pending"


def test_first_roles_are_made_once(few):
    """The roles that a new instance begins with are made by the first auth, and not again when their owner has removed them."""
    first = few.replica("auth").start()
    client = taskcluster.Auth(few.options(first.url))
    assert "anonymous" in client.listRoleIds()["roleIds"]
    client.deleteRole("anonymous")
    second = few.replica("auth").start()
    assert client.listRoleIds()["roleIds"] == ["login-identity:*"]
    assert taskcluster.Auth(few.options(second.url)).listRoleIds()["roleIds"] == ["login-identity:*"]


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as a collector does."""

    spans: list = []

    def do_POST(self):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        told = ExportTraceServiceRequest.FromString(body)
        self.spans += [(resource.resource, span) for resource in told.resource_spans for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", ports.free()[0]), Collector)
    Collector.spans = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_each_call_is_a_span_of_its_callers_trace(few, collector):
    """With a collector named, a call is a span with service, method and status below the caller's, and so is what it asks of auth."""
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
    auth = few.replica("auth", **otel).start()
    other = few.replica("secrets", **otel, TCBOX_SERVE_URLS=json.dumps({"auth": auth.url})).start()
    trace, above = secrets.token_hex(16), secrets.token_hex(8)
    request = urllib.request.Request(f"{other.url}/api/secrets/v1/secret/none", headers={"traceparent": f"00-{trace}-{above}-01"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
    assert [other.stop(), auth.stop()] == [0, 0]  # sends what is left
    ours = {span.name: span for _, span in Collector.spans if span.trace_id.hex() == trace}
    assert set(ours) == {"secrets.get", "auth.authenticateHawk"}
    assert ours["secrets.get"].parent_span_id.hex() == above
    assert ours["auth.authenticateHawk"].parent_span_id == ours["secrets.get"].span_id
    said = {each.key: each.value.string_value or each.value.int_value for each in ours["secrets.get"].attributes}
    assert (said["rpc.service"], said["rpc.method"], said["http.response.status_code"]) == ("secrets", "get", 403)
    assert "none" not in said.values(), "names of secrets are no attributes"
