"""The published generic-worker, unchanged, takes its tasks from an instance: mounts, artifacts, live logs, proxy, ends."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import sys
import tarfile
import textwrap
import threading
import time
import urllib.error
import urllib.request

import pytest
import taskcluster

from tests.support import definitions, generic_worker, proof
from tests.support.blobs import s3_endpoint  # noqa: F401
from tests.support.box import Box
from tests.support.generic_worker import Worker, download, log, raw, wait

pytestmark = [pytest.mark.slow, pytest.mark.contract]

QUEUE = "test/generic"
TEXT = b"a line that repeats itself\n" * 5000
NOISE = os.urandom(300_000)
RENEWED = 35
"""Seconds after which the worker renews a claim: three minutes before its end, and never within half a minute."""
CONFIG = f"""\
services: {{queue: {{claim_timeout: {180 + RENEWED}}}}}
workers:
  docker: {{enabled: false}}
  host: {{enabled: false}}
  builtin: {{enabled: false}}
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here."""
    made = Box(tmp_path_factory.mktemp("box"), CONFIG).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def queue(box):
    return taskcluster.Queue(box.options)


@pytest.fixture(scope="module")
def worker(box, tmp_path_factory):
    """A worker that stores artifacts as most do."""
    made = Worker(tmp_path_factory.mktemp("generic") / "worker", box, QUEUE)
    yield made
    made.stop()
    assert not made.asked_for_shutdown.exists()


OURS = frozenset(
    f"queue.{name}"
    for name in (
        "createTask", "status", "task", "cancelTask", "listLatestArtifacts", "latestArtifactInfo", "listTaskQueues", "getWorker",
        "artifact", "latestArtifact", "getLatestArtifact", "listClaimedTasks",
    )
) | {"object.startDownload", "auth.createClient", "index.insertTask", "purge-cache.purgeCache"}  # fmt: skip
"""What the tests, and services in their loops, call themselves."""


@pytest.fixture
def proven(box, request, worker):
    """What the worker does in a test is what it proves."""
    with proof.by("generic-worker", box.root_url, request, without=OURS):
        yield


@pytest.fixture
def proven_by_proxy(box, request, worker):
    """What a task does through the proxy is what that proves."""
    beside = OURS - {"queue.task"} | {"secrets.set", "queue.claimWork", "queue.reportCompleted", "purge-cache.purgeRequests"}
    with proof.by("taskcluster-proxy", box.root_url, request, without=beside):
        yield


create = functools.partial(generic_worker.create, task_queue=QUEUE)


def tarball(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture
def site(tmp_path):
    """A web site of one folder."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("proven")
def test_mounts(queue, worker, site):
    """Files, read-only directories and writable caches come from artifacts, URLs and literal content; a cache keeps what was put in it."""
    folder, url = site
    archive = tarball(**{"deep/one.txt": "one", "two.txt": "two"})
    (folder / "a.tar.gz").write_bytes(archive)
    source = create(
        queue,
        "mkdir o; printf 'from a task' > o/plain.txt; mkdir t; echo inside > t/f; tar -czf o/t.tar.gz t",
        artifacts=[{"type": "directory", "path": "o", "name": "public/o"}],
    )
    wait(queue, source, "completed", worker=worker)
    mounts = [
        {"file": "raw.txt", "content": {"raw": "as it stands"}},
        {"file": "url.tar.gz", "content": {"url": f"{url}/a.tar.gz", "sha256": hashlib.sha256(archive).hexdigest()}},
        {"file": "artifact.txt", "content": {"taskId": source, "artifact": "public/o/plain.txt", "sha256": hashlib.sha256(b"from a task").hexdigest()}},
        {"directory": "ro-url", "content": {"url": f"{url}/a.tar.gz"}, "format": "tar.gz"},
        {"directory": "ro-artifact", "content": {"taskId": source, "artifact": "public/o/t.tar.gz"}, "format": "tar.gz"},
        {"directory": "cache", "cacheName": "test-cache"},
        {"directory": "filled", "cacheName": "test-filled", "content": {"url": f"{url}/a.tar.gz"}, "format": "tar.gz"},
    ]
    look = """
        mkdir o; cat raw.txt > o/raw; cat url.tar.gz > o/url; cat artifact.txt > o/artifact
        cat ro-url/deep/one.txt ro-url/two.txt ro-artifact/t/f filled/two.txt > o/directories
        (cat cache/count || true) > o/before; echo again >> cache/count; echo more >> filled/two.txt
    """
    found = {}
    for _ in range(2):
        task_id = create(
            queue, textwrap.dedent(look), mounts=mounts, artifacts=[{"type": "directory", "path": "o", "name": "public/o"}],
            task={"dependencies": [source], "scopes": ["generic-worker:cache:test-cache", "generic-worker:cache:test-filled"]},
        )  # fmt: skip
        wait(queue, task_id, "completed", "failed", "exception", worker=worker)
        found = {name: download(queue, task_id, f"public/o/{name}") for name in ("raw", "url", "artifact", "directories", "before")}
    assert found == {
        "raw": b"as it stands", "url": archive, "artifact": b"from a task",
        "directories": b"onetwoinside\ntwomore\n", "before": b"again\n",
    }  # fmt: skip


def test_a_mount_needs_its_scope(queue, worker):
    """A cache whose scope the task lacks makes the payload malformed, and the log says which scope."""
    task_id = create(queue, "true", mounts=[{"directory": "cache", "cacheName": "forbidden"}])
    status = wait(queue, task_id, "exception", worker=worker)
    assert status["runs"][-1]["reasonResolved"] == "malformed-payload"
    assert "generic-worker:cache:forbidden" in log(queue, task_id)


@pytest.mark.usefixtures("proven")
def test_indexed_content(box, queue, worker):
    """A mount of indexed content finds the artifact of the task that was indexed there."""
    source = create(queue, "printf indexed > f", artifacts=[{"type": "file", "path": "f", "name": "public/f"}])
    wait(queue, source, "completed", worker=worker)
    taskcluster.Index(box.options).insertTask("test.generic.latest", {"taskId": source, "rank": 1, "data": {}, "expires": taskcluster.fromNow("1 day")})
    task_id = create(
        queue, "cat got", mounts=[{"file": "got", "content": {"namespace": "test.generic.latest", "artifact": "public/f"}}], task={"dependencies": [source]}
    )
    wait(queue, task_id, "completed", "failed", "exception", worker=worker)
    assert "indexed" in log(queue, task_id)


@pytest.mark.usefixtures("proven")
def test_purged_caches(box, queue, worker):
    """A cache that was asked to be purged is new to the next task, and another cache is not."""
    caches = ["purge-this", "keep-this"]
    mounts = [{"directory": name, "cacheName": name} for name in caches]
    scopes = [f"generic-worker:cache:{name}" for name in caches]
    filling = create(queue, "touch purge-this/x keep-this/x", mounts=mounts, task={"scopes": scopes})
    wait(queue, filling, "completed", worker=worker)
    taskcluster.PurgeCache(box.options).purgeCache(QUEUE, {"cacheName": "purge-this"})
    looking = create(queue, "[ ! -e purge-this/x ]; [ -e keep-this/x ]", mounts=mounts, task={"scopes": scopes})
    assert wait(queue, looking, "completed", "failed", "exception", worker=worker)["state"] == "completed", log(queue, looking)


ARTIFACTS = {
    "text.txt": (TEXT, "gzip", "text/plain"),
    "page.html": (b"<p>\xc3\xa4</p>", "gzip", "text/html"),
    "noise.bin": (NOISE, "gzip", None),
    "empty.txt": (b"", "gzip", "text/plain"),
    "deep/er/picture.png": (NOISE[:5000], "", "image/png"),
    "packed.gz": (gzip.compress(TEXT), "", None),
}


def make_artifacts(folder) -> None:
    for name, (content, _, _) in ARTIFACTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def check_artifacts(queue, task_queue, worker, folder) -> None:
    """Files and folders come back byte for byte, each as it should be stored."""
    make_artifacts(folder)
    task_id = create(
        queue, f"cp -r {folder} o; printf plain > f; printf kept > k", task_queue=task_queue,
        artifacts=[
            {"type": "directory", "path": "o", "name": "public/o"},
            {"type": "file", "path": "f", "name": "private/f.custom", "contentType": "application/x-own", "contentEncoding": "identity", "expires": definitions.wire(hours=2)},
            {"type": "file", "path": "k"},
        ],
    )  # fmt: skip
    wait(queue, task_id, "completed", "failed", "exception", worker=worker)
    listed = {each["name"]: each for each in queue.listLatestArtifacts(task_id)["artifacts"]}
    assert set(listed) == {f"public/o/{name}" for name in ARTIFACTS} | {"private/f.custom", "k", "public/logs/live.log", "public/logs/live_backing.log"}
    for name, (content, encoding, kind) in ARTIFACTS.items():
        assert download(queue, task_id, f"public/o/{name}") == content, name
        stored, is_encoding, is_kind = raw(queue, task_id, f"public/o/{name}")
        assert (is_encoding, is_kind) == (encoding, kind or is_kind), name
        assert (gzip.decompress(stored) if encoding else stored) == content, name
        assert listed[f"public/o/{name}"].get("contentLength", 0) == len(content), name  # the worker does not tell a length of 0
    assert raw(queue, task_id, "private/f.custom") == (b"plain", "", "application/x-own")
    assert listed["public/o/text.txt"]["storageType"] == "s3"
    assert listed["public/logs/live.log"]["storageType"] == "link"
    assert listed["private/f.custom"]["expires"] < listed["k"]["expires"]


@pytest.mark.usefixtures("proven")
def test_artifacts(queue, worker, tmp_path):
    """Files and folders come back byte for byte, text stored packed and what is packed already as it is, each with its type."""
    check_artifacts(queue, QUEUE, worker, tmp_path / "made")


@pytest.mark.alone
def test_artifacts_in_s3(make_box, tmp_path, s3_endpoint):  # noqa: F811
    """The same when bytes are kept in a bucket, to which the worker sends them straight."""
    request = urllib.request.Request(f"{s3_endpoint}/generic-worker", method="PUT")
    with urllib.request.urlopen(request, timeout=30):
        pass
    where = f"blobs: {{url: 's3://generic-worker/prod', endpoint: '{s3_endpoint}', region: us-east-1, access_key_id: test, secret_access_key: test}}\n"
    box = make_box(CONFIG + where)
    worker = Worker(tmp_path / "worker", box, "test/bucket")
    try:
        check_artifacts(taskcluster.Queue(box.options), "test/bucket", worker, tmp_path / "made")
    finally:
        worker.stop()


def test_an_artifact_that_is_not_there(queue, worker):
    """A promised file that the task did not make fails the task, and asking for it says why."""
    task_id = create(queue, "true", artifacts=[{"type": "file", "path": "never", "name": "public/never"}])
    status = wait(queue, task_id, "failed", worker=worker)
    assert status["state"] == "failed"
    assert queue.latestArtifactInfo(task_id, "public/never")["storageType"] == "error"
    with pytest.raises(taskcluster.TaskclusterFailure, match="Could not read file"):
        download(queue, task_id, "public/never")


@pytest.mark.alone  # the worker uploads objects without saying how long they are, which a bucket does not take
@pytest.mark.usefixtures("proven")
def test_object_artifacts(box, queue, tmp_path):
    """A worker that is told to store objects does, inline or by URL, and they come back byte for byte."""
    make_artifacts(tmp_path / "made")
    worker = Worker(tmp_path / "objects", box, "test/objects", createObjectArtifacts=True)
    try:
        task_id = create(queue, f"cp -r {tmp_path}/made o", task_queue="test/objects", artifacts=[{"type": "directory", "path": "o", "name": "public/o"}])
        wait(queue, task_id, "completed", "failed", "exception", worker=worker)
        listed = {each["name"]: each for each in queue.listLatestArtifacts(task_id)["artifacts"]}
        for name, (content, _, kind) in ARTIFACTS.items():
            assert listed[f"public/o/{name}"]["storageType"] == "object"
            assert download(queue, task_id, f"public/o/{name}") == content, name
            stored, encoding, is_kind = raw(queue, task_id, f"public/o/{name}")
            assert (stored, encoding, is_kind) == (content, "", kind or is_kind), name
        assert "public/logs/live_backing.log" in listed
    finally:
        worker.stop()


def test_a_live_log(box, queue, worker, tmp_path):
    """While a task runs its log streams through the queue's address; afterwards the same address has the whole of it."""
    gate = tmp_path / "gate"
    task_id = create(queue, f"echo first words; while [ ! -e {gate} ]; do sleep 0.1; done; echo last words")
    url, until = queue.buildUrl("getLatestArtifact", task_id, "public/logs/live.log"), time.monotonic() + 60
    while True:
        try:
            reply = urllib.request.urlopen(url, timeout=30)
            break
        except urllib.error.HTTPError as error:
            assert error.code == 404
            assert time.monotonic() < until, worker.said()
            time.sleep(0.2)
    with reply:
        assert not reply.geturl().startswith(box.root_url)
        lines = iter(reply)
        assert any(b"first words" in line for line in lines)
        assert queue.status(task_id)["status"]["state"] == "running"
        gate.touch()
        assert any(b"last words" in line for line in lines)
    wait(queue, task_id, "completed", worker=worker)
    with urllib.request.urlopen(url, timeout=30) as reply:
        assert reply.geturl().startswith(box.root_url)
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    text = download(queue, task_id, "public/logs/live.log").decode()
    assert text.index("first words") < text.index("last words")
    assert text == log(queue, task_id)


PROXIED = """
import json, os, sys, urllib.request, urllib.error
base = os.environ["TASKCLUSTER_PROXY_URL"]
def call(path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data=data, method=method, headers={"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
task = os.environ["TASK_ID"]
made = call(f"/api/queue/v1/task/{task}/runs/{os.environ['RUN_ID']}/artifacts/public%2Fown", {"storageType": "reference", "url": "http://example.com/x", "contentType": "text/plain", "expires": sys.argv[1]})
print(json.dumps({
    "old": call(f"/queue/v1/task/{task}")[1]["metadata"]["name"],
    "task": call(f"/api/queue/v1/task/{task}")[1]["metadata"]["name"],
    "secret": call("/api/secrets/v1/secret/proxied%2Fone"),
    "other": call("/api/secrets/v1/secret/proxied%2Ftwo")[0],
    "scopes": call("/api/auth/v1/scopes/current")[1]["scopes"],
    "made": made[0],
}), file=open("out.json", "w"))
"""


@pytest.mark.usefixtures("proven_by_proxy")
def test_the_proxy(box, queue, worker):
    """A task calls services through the proxy with its own scopes and no others, and may make artifacts of its own run."""
    secrets = taskcluster.Secrets(box.options)
    for name in ("one", "two"):
        secrets.set(f"proxied/{name}", {"secret": {"is": name}, "expires": taskcluster.fromNow("1 hour")})
    expires = definitions.wire(hours=1)
    task_id = create(
        queue, f"{sys.executable} code.py {expires}", features={"taskclusterProxy": True}, mounts=[{"file": "code.py", "content": {"raw": PROXIED}}],
        artifacts=[{"type": "file", "path": "out.json", "name": "public/out.json"}], task={"scopes": ["secrets:get:proxied/one"]},
    )  # fmt: skip
    status = wait(queue, task_id, "completed", "failed", "exception", worker=worker)
    assert status["state"] == "completed", log(queue, task_id)
    out = json.loads(download(queue, task_id, "public/out.json"))
    assert (out["old"], out["task"], out["other"], out["made"]) == ("test", "test", 403, 200)
    assert out["secret"][1]["secret"] == {"is": "one"}
    assert {"secrets:get:proxied/one", f"queue:create-artifact:{task_id}/0"} <= set(out["scopes"])
    assert not [
        scope
        for scope in out["scopes"]
        if scope.startswith(("secrets:", "queue:create-")) and scope not in ("secrets:get:proxied/one", f"queue:create-artifact:{task_id}/0")
    ]
    assert queue.latestArtifactInfo(task_id, "public/own")["storageType"] == "reference"


@pytest.mark.usefixtures("proven")
def test_how_tasks_end(queue, worker, tmp_path):
    """A failure, a payload that is none, a task that takes too long and one that is canceled end as they should."""
    failing = create(queue, "exit 3")
    malformed = create(queue, "true", osGroups=["nobody"], mystery=1)
    slow = create(queue, "sleep 50", maxRunTime=1)
    reasons = {}
    for name, task_id in {"failing": failing, "malformed": malformed, "slow": slow}.items():
        status = wait(queue, task_id, "failed", "exception", worker=worker)
        reasons[name] = (status["state"], status["runs"][-1]["reasonResolved"])
    assert reasons == {"failing": ("failed", "failed"), "malformed": ("exception", "malformed-payload"), "slow": ("failed", "failed")}
    canceled = create(queue, f"touch {tmp_path}/runs; sleep 50; touch {tmp_path}/ended")
    until = time.monotonic() + 60
    while not (tmp_path / "runs").exists():
        assert time.monotonic() < until, worker.said()
        time.sleep(0.1)
    assert queue.cancelTask(canceled)["status"]["runs"][-1]["reasonResolved"] == "canceled"
    follower = create(queue, "true")
    wait(queue, follower, "completed", worker=worker)
    assert not (tmp_path / "ended").exists()


def test_a_worker_is_seen(queue, worker):
    """The worker is listed with its queue, and with what it ran last."""
    task_id = create(queue, "true")
    wait(queue, task_id, "completed", worker=worker)
    provisioner, _, kind = QUEUE.partition("/")
    assert QUEUE in [each["taskQueueId"] for each in queue.listTaskQueues()["taskQueues"]]
    until = time.monotonic() + 20
    while {"taskId": task_id, "runId": 0} not in queue.getWorker(provisioner, kind, worker.group, worker.worker_id)["recentTasks"]:
        assert time.monotonic() < until, "the worker's last task is not listed"  # another process of the queue tells a moment later
        time.sleep(0.1)


@pytest.mark.usefixtures("proven")
def test_a_claim_is_renewed(queue, worker):
    """A task that runs past the time for renewing has its claim renewed, and completes in its first run."""
    long = create(queue, f"sleep {RENEWED + 3}; echo still here", maxRunTime=120)
    status = wait(queue, long, "completed", "exception", seconds=RENEWED + 60, worker=worker)
    assert [run["reasonResolved"] for run in status["runs"]] == ["completed"]
    assert f"Successfully reclaimed task {long}" in worker.log.read_text(errors="replace")
    assert "still here" in log(queue, long)


@pytest.mark.usefixtures("proven")
def test_another_try_and_an_end(box, queue, tmp_path):
    """A task that asks for it is tried again; a worker that gets SIGTERM gives its task back for another run, and ends."""
    worker = Worker(tmp_path / "ending", box, "test/ending")
    try:
        again = create(queue, f"[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; exit 42; }}", task_queue="test/ending", onExitStatus={"retry": [42]})
        status = wait(queue, again, "completed", run=1, worker=worker)
        assert [(run["state"], run["reasonResolved"]) for run in status["runs"]] == [("exception", "intermittent-task"), ("completed", "completed")]
        assert status["runs"][1]["reasonCreated"] == "task-retry"
        task_id = create(queue, f"touch {tmp_path}/runs; sleep 50", task_queue="test/ending")
        until = time.monotonic() + 60
        while not (tmp_path / "runs").exists():
            assert time.monotonic() < until, worker.said()
            time.sleep(0.1)
        worker.terminate()
        assert worker.wait(30) == 72
        status = queue.status(task_id)["status"]
        assert [(run["state"], run.get("reasonResolved")) for run in status["runs"]] == [("exception", "worker-shutdown"), ("pending", None)]
        assert status["runs"][1]["reasonCreated"] == "retry"
    finally:
        worker.stop()
