"""The host worker runs generic-worker payloads as processes, and leaves nothing of them behind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
import zipfile
from pathlib import Path

import aiohttp
import pytest

from tests.support.fake_queue import FakeQueue
from tests.support.waiting import eventually
from tests.support.workers import gated, running, says
from tcbox import clock as clocks
from tcbox.client.http import Credentials, Http
from tcbox.workers.host import leftovers
from tcbox.workers.ledger import Ledger
from tcbox.workers.settings import WorkerSettings

SHELL = ["sh", "-c"]


def shell(*scripts: str, **more) -> dict:
    return {"command": [[*SHELL, script] for script in scripts], "maxRunTime": 60, **more}


def alive(marker: str) -> list[int]:
    """Processes whose command line has the marker, but for this one and its tests."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes() and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


async def gone(marker: str) -> bool:
    return await eventually(lambda: not alive(marker), pause=0.05)


async def emptied(folder: Path) -> bool:
    return await eventually(lambda: not list(folder.iterdir()))


def marker() -> str:
    """An argument of sleep that no other process has."""
    return f"86{int.from_bytes(os.urandom(4)) % 10**7:07d}.25"


@pytest.fixture
async def host(tmp_path):
    async with running(tmp_path, "host", capacity=3) as here:
        yield here


async def test_a_task_runs_in_a_folder_of_its_own_with_its_environment(host, tmp_path, monkeypatch):
    """Commands run in order in one folder, with the payload's and the standard variables, and the folder is removed after."""
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", "topsecret")
    task = await host.do(
        shell("pwd; echo one > f", "cat f; echo $A/$TASK_ID/$RUN_ID/$TASK_GROUP_ID/$TASKCLUSTER_ROOT_URL; test $PWD = $TASK_WORKDIR; env", env={"A": "b c"})
    )
    assert (task.state, task.reason) == ("completed", "completed")
    assert f"b c/{task.id}/0/{task.definition['taskGroupId']}/{host.queue.root_url}" in task.log
    assert "topsecret" not in task.log
    assert await emptied(tmp_path / "runs")


@pytest.mark.parametrize(
    ("payload", "state", "reason", "says"),
    [
        (shell("exit 3"), "failed", "failed", "exit status 3"),
        (shell("exit 3", "echo never"), "failed", "failed", "exit status 3"),
        (shell("kill -9 $$"), "failed", "failed", "signal 9"),
        (shell("exit 3", onExitStatus={"retry": [3]}), "exception", "intermittent-task", "onExitStatus.retry"),
        ({"command": [["/no/such/program"]], "maxRunTime": 5}, "failed", "failed", "no such program"),
        ({"command": [], "maxRunTime": "x", "what": 1}, "exception", "malformed-payload", "payload/what"),
        (shell("true", features={"loopbackVideo": True}), "exception", "malformed-payload", "payload.features.loopbackVideo: a loopback video device"),
        (shell("true", features={"loopbackAudio": True}), "exception", "malformed-payload", "payload.features.loopbackAudio: a loopback sound device"),
        (shell("true", osGroups=["no-such-group"]), "exception", "malformed-payload", "payload.osGroups: tasks run as the worker's own user"),
        (shell("true", features={"runTaskAsCurrentUser": True}), "exception", "malformed-payload", "generic-worker:run-task-as-current-user:local/host"),
        (
            shell("true", features={"runTaskAsCurrentUser": True, "chainOfTrust": True}),
            "exception",
            "malformed-payload",
            "payload.features.chainOfTrust: a task that runs as the worker's user on purpose",
        ),
        (shell("true", logs={"live": "public/l", "backing": "public/l"}), "exception", "malformed-payload", "payload.logs"),
        (shell("true", supersederUrl="https://example.com"), "exception", "malformed-payload", "payload.supersederUrl: Taskcluster no longer supersedes"),
        (shell("true", maxRunTime=10**9), "exception", "malformed-payload", "payload.maxRunTime"),
        (
            shell("true", mounts=[{"file": "f", "format": "mz", "content": {"raw": "x"}}]),
            "exception",
            "malformed-payload",
            "payload.mounts[0].format: mz cannot be unpacked here: install mz on this machine",
        ),
        (shell("true", mounts=[{"directory": "d", "format": "zip", "content": {"raw": "x"}}]), "failed", "failed", "not a zip archive"),
        (shell("true", mounts=[{"cacheName": "c", "directory": "d"}]), "exception", "malformed-payload", "generic-worker:cache:c"),
        (
            shell("true", mounts=[{"file": "f", "content": {"taskId": "fN1SbArXTPSVFNUvaOlinQ", "artifact": "a"}}]),
            "exception",
            "malformed-payload",
            "task.dependencies",
        ),
        (shell("true", artifacts=[{"type": "file", "path": "nope"}]), "failed", "failed", "file-missing-on-worker"),
        (shell("mkdir nope", artifacts=[{"type": "file", "path": "nope"}]), "failed", "failed", "invalid-resource-on-worker"),
        (shell("true", artifacts=[{"type": "file", "path": "nope", "optional": True}]), "completed", "completed", "does not fail"),
        (shell("exit 2", artifacts=[{"type": "file", "path": "nope"}]), "failed", "failed", "exit status 2"),
    ],
)
async def test_how_a_task_ends(host, payload, state, reason, says):
    """Each way to end is reported as generic-worker reports it, and the log says why."""
    task = await host.do(payload)
    assert (task.state, task.reason) == (state, reason)
    assert says in task.log
    assert task.artifacts["public/logs/live.log"]["storageType"] == "link"


async def test_all_faults_of_a_payload_are_in_the_log(host):
    """A malformed payload is told all its faults at once."""
    task = await host.do({"command": "x", "maxRunTime": 0, "huh": True})
    assert all(part in task.log for part in ("payload/command", "payload/maxRunTime", "payload/huh"))
    task = await host.do({"command": "x", "maxRunTime": 5, "rdpInfo": "a", "features": {"runAsAdministrator": True, "hideCmdWindow": False}})
    assert all(part in task.log for part in ("payload/command", "payload.rdpInfo", "payload.features.runAsAdministrator", "payload.features.hideCmdWindow"))
    task = await host.do(shell("true", rdpInfo="a"))
    assert (task.reason, "payload.rdpInfo: remote desktops are had on Windows only" in task.log) == ("malformed-payload", True)
    task = await host.do(shell("true", osGroups=["no-such"], features={"loopbackAudio": True}, maxRunTime=10**9))
    assert all(part in task.log for part in ("payload.osGroups", "payload.features.loopbackAudio", "payload.maxRunTime"))


async def test_artifacts(host):
    """Files and folders are uploaded with name, content type, encoding and expiry as the payload or the file's name says."""
    script = 'mkdir -p out/deep; printf a > out/a.txt; printf "{}" > out/deep/b.json; printf zip > out/c.zip; head -c 700000 /dev/zero > big; ln -s a.txt out/link.txt'
    task = await host.do(
        shell(
            script,
            artifacts=[
                {"type": "directory", "path": "out", "name": "public/out"},
                {"type": "file", "path": "big", "contentType": "x/y", "contentEncoding": "identity"},
                {"type": "file", "path": "out/a.txt", "name": "private/a"},
                {"type": "file", "path": "big", "name": "public/packed"},
            ],
        )
    )
    assert task.state == "completed"
    kinds = {name: (task.artifacts[name]["contentType"], task.content[name][1].get("Content-Encoding"), task.body(name)[:3]) for name in task.content}
    assert kinds["public/out/a.txt"] == ("text/plain", "gzip", b"a")
    assert kinds["public/out/deep/b.json"] == ("application/json", "gzip", b"{}")
    assert kinds["public/out/c.zip"] == ("application/zip", None, b"zip")
    assert kinds["public/out/link.txt"][2] == b"a"
    assert kinds["big"][:2] == ("x/y", None)
    assert kinds["private/a"][2] == b"a"
    assert task.body("public/packed") == bytes(700000)
    assert len(task.content["public/packed"][0]) < 10000
    assert {each["expires"] for each in task.artifacts.values()} == {task.definition["expires"]}


async def test_max_run_time_ends_the_whole_tree(host):
    """When maxRunTime has passed, every process that the task started is gone, also those that detached themselves; artifacts are kept."""
    mark = marker()
    script = f"echo x > f; (setsid sh -c 'setsid sleep {mark} & sleep {mark}' &) ; sleep {mark}"
    started = time.monotonic()
    task = await host.do(shell(script, maxRunTime=2, artifacts=[{"type": "file", "path": "f"}]))
    assert (task.state, task.reason) == ("failed", "failed")
    assert "maxRunTime of 2 seconds" in task.log
    assert task.body("f") == b"x\n"
    assert time.monotonic() - started < 30
    assert alive(mark) == []


async def test_what_a_task_leaves_running_is_ended(host):
    """A daemon that a command leaves behind serves the next command, and is gone after the task."""
    mark = marker()
    task = await host.do(shell(f"setsid sleep {mark} & true", f"grep -l {mark} /proc/[0-9]*/cmdline | wc -l"))
    assert task.state == "completed"
    assert alive(mark) == []


async def test_a_cancelled_task_is_stopped(host):
    """A task that is cancelled stops within moments, its log is kept, and nothing is reported."""
    mark = marker()
    task = host.add(shell(f"echo begun; sleep {mark}"))
    await says(task, "begun")
    host.queue.resolve(task, "exception", "canceled")
    assert await gone(mark)
    await eventually(lambda: "public/logs/live_backing.log" in task.content)
    assert "begun" in task.log
    assert "was cancelled" in task.log
    assert "reportException" not in host.queue.calls


async def test_claims_are_renewed(tmp_path):
    """A task that runs longer than its claim is reclaimed in time."""
    async with running(tmp_path, "host", claim_ms=900, watch_ms=5000) as host:
        task = await host.do(shell("sleep 2"))
        assert task.state == "completed"
        assert task.reclaims >= 2


async def test_the_live_log_can_be_read_while_the_task_runs(host, tmp_path):
    """The log is an artifact by reference while the task runs; who reads it gets each line as it comes, to the end."""
    task = host.add(shell(gated(tmp_path, "first", "second", "third")))
    await eventually(lambda: "public/logs/live.log" in task.artifacts)
    reference = task.artifacts["public/logs/live.log"]
    assert reference["storageType"] == "reference"
    seen = []
    async with aiohttp.ClientSession() as session, session.get(reference["url"]) as reply:
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
        async for line in reply.content:
            if line.strip() in (b"first", b"second", b"third"):
                seen.append((line.strip(), task.state))
                (tmp_path / line.strip().decode()).touch()
        assert reply.content.at_eof()
    assert seen == [(b"first", "running"), (b"second", "running"), (b"third", "running")]
    await host.end(task)
    assert task.artifacts["public/logs/live.log"] == {
        **task.artifacts["public/logs/live.log"],
        "storageType": "link",
        "artifact": "public/logs/live_backing.log",
    }
    async with aiohttp.ClientSession() as session, session.get(reference["url"]) as reply:
        assert reply.status == 404


async def test_log_names_and_features(host):
    """The payload decides under which names the log is kept, or that it is not."""
    task = await host.do(shell("echo x", logs={"live": "public/a.log", "backing": "public/b.log"}))
    assert set(task.artifacts) == {"public/a.log", "public/b.log"}
    task = await host.do(shell("echo x", features={"liveLog": False}))
    assert set(task.artifacts) == {"public/logs/live_backing.log"}
    task = await host.do(shell("echo x", features={"liveLog": False, "backingLog": False}))
    assert (task.state, set(task.artifacts)) == ("completed", set())


async def test_several_at_once(host, tmp_path):
    """As many tasks run at once as the capacity says, and no more."""
    tasks = [host.add(shell(gated(tmp_path, "begun"))) for _ in range(4)]
    for task in tasks[:3]:
        await says(task, "begun")
    assert [task.state for task in tasks] == ["running"] * 3 + ["pending"]
    (tmp_path / "begun").touch()
    for task in tasks:
        await host.end(task)
    assert {task.state for task in tasks} == {"completed"}


def archive(form: str) -> bytes:
    out = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(out, "w") as file:
            entry = zipfile.ZipInfo("bin/tool")
            entry.external_attr = 0o100755 << 16
            file.writestr(entry, "#!/bin/sh\necho tool ran\n")
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w") as file:
        entry = tarfile.TarInfo("bin/tool")
        entry.mode, data = 0o755, b"#!/bin/sh\necho tool ran\n"
        entry.size = len(data)
        file.addfile(entry, io.BytesIO(data))
    return packed(out.getvalue(), form.partition(".")[2])


def packed(data: bytes, form: str) -> bytes:
    import bz2
    import gzip
    import lzma

    import zstandard

    return {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}[form](data)


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "zip"])
async def test_archives_are_mounted(host, form):
    """An archive of each format becomes a folder, its programs executable."""
    dependency = host.queue.add({}, "none/none")
    dependency.artifacts["public/a"] = {"storageType": "s3"}
    dependency.content["public/a"] = (archive(form), {})
    mount = {"directory": "tools", "format": form, "content": {"taskId": dependency.id, "artifact": "public/a"}}
    task = await host.do(shell("tools/bin/tool", mounts=[mount]), dependencies=[dependency.id])
    assert task.state == "completed", task.log
    assert "tool ran" in task.log


async def test_files_are_mounted_from_everywhere(host):
    """Files come from text, base64, URLs, artifacts and the index, unpacked where a format is given, checked where a hash is."""
    dependency = host.queue.add({}, "none/none")
    for name, data in (("a", b"artifact"), ("z", packed(b"unpacked", "zst"))):
        dependency.artifacts[name] = {"storageType": "s3"}
        dependency.content[name] = (data, {})
    host.queue.namespaces["some.name"] = dependency.id
    url = f"{host.queue.root_url}/get/{dependency.id}/a"
    mounts = [
        {"file": "raw", "content": {"raw": "rå"}},
        {"file": "d/base64", "content": {"base64": base64.b64encode(b"\x00\x01").decode()}},
        {"file": "url", "content": {"url": url, "sha256": hashlib.sha256(b"artifact").hexdigest()}},
        {"file": "artifact", "content": {"taskId": dependency.id, "artifact": "a"}},
        {"file": "index", "content": {"namespace": "some.name", "artifact": "z"}, "format": "zst"},
    ]
    task = await host.do(shell("true", mounts=mounts, artifacts=[{"type": "directory", "path": ".", "name": "m"}]), dependencies=[dependency.id])
    assert task.state == "completed", task.log
    assert {name: task.body(name) for name in task.content if name.startswith("m/")} == {
        "m/raw": "rå".encode(), "m/d/base64": b"\x00\x01", "m/url": b"artifact", "m/artifact": b"artifact", "m/index": b"unpacked",
    }  # fmt: skip
    wrong = {"file": "url", "content": {"url": url, "sha256": "0" * 64}}
    task = await host.do(shell("true", mounts=[wrong]))
    assert (task.state, task.reason) == ("failed", "failed")
    assert "0" * 64 in task.log
    task = await host.do(shell("true", mounts=[{"file": "f", "content": {"url": url + "-absent"}}]))
    assert (task.state, "HTTP status" in task.log) == ("failed", True)


async def test_caches_last_from_task_to_task(host):
    """A cache is found by the next task as the last one left it, but not after an exit code that purges it; roles may give its scope."""
    scopes = {"scopes": ["assume:caching"]}
    mounts = {"mounts": [{"cacheName": "from-role", "directory": "c"}]}
    first = await host.do(shell("ls c | wc -l; echo kept > c/f", **mounts), **scopes)
    assert first.state == "completed", first.log
    second = await host.do(shell("cat c/f; exit 4", onExitStatus={"purgeCaches": [4]}, **mounts), **scopes)
    assert "\nkept\n" in second.log
    third = await host.do(shell("ls c | wc -l", **mounts), **scopes)
    assert "\n0\n" in third.log


async def test_the_proxy_signs_for_the_task(host):
    """With taskclusterProxy, a task calls the instance without credentials, by new and old paths."""
    script = "import os,urllib.request as u; b=os.environ['TASKCLUSTER_PROXY_URL']; t=os.environ['TASK_ID']\nfor p in ('/api/queue/v1','/queue/v1'): print(u.urlopen(b+p+f'/task/{t}/status').read())"
    task = await host.do({"command": [[sys.executable, "-c", script]], "maxRunTime": 60, "features": {"taskclusterProxy": True}})
    assert task.state == "completed", task.log
    assert task.log.count('"state": "running"') >= 2


async def test_shutdown_hands_tasks_back(tmp_path):
    """A worker that is asked to stop ends what still runs after the grace as worker-shutdown, log kept, processes gone."""
    mark = marker()
    async with running(tmp_path, "host", capacity=2, grace_ms=3000) as host:
        short, long = host.add(shell(gated(tmp_path, "short"))), host.add(shell(f"echo long; sleep {mark}"))
        await says(short, "short")
        await says(long, "long")
        host.stop.set()
        (tmp_path / "short").touch()
        await asyncio.wait_for(asyncio.shield(host.worker), 60)
        assert (short.state, long.state, long.reason) == ("completed", "exception", "worker-shutdown")
        assert "shutting down" in long.log
    assert alive(mark) == []


WORKER = """
import asyncio, json, sys
from pathlib import Path
import aiohttp
from tcbox import clock
from tcbox.client.http import Credentials, Http
from tcbox.workers.run import run
from tcbox.workers.settings import WorkerSettings

async def main():
    async with aiohttp.ClientSession() as session:
        http = Http(sys.argv[1], Credentials("w", "s"), session=session, clock=clock.SystemClock())
        more = json.loads("".join(sys.argv[5:]) or "{}")
        settings = WorkerSettings(kind=sys.argv[3], task_queue_id="local/" + sys.argv[3], folder=Path(sys.argv[2]), instance=sys.argv[4], **more)
        await run(settings, http=http, clock=clock.SystemClock(), stop=asyncio.Event())

asyncio.run(main())
"""


async def test_nothing_survives_a_killed_worker(tmp_path):
    """When the worker is killed by -9, the processes of its tasks end at once; the next one hands its runs back and removes their folders."""
    queue = FakeQueue()
    server = await queue.start()
    mark = marker()
    task = queue.add(shell(f"(setsid sleep {mark} &); sleep {mark}"), "local/host")
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), queue.root_url, str(tmp_path), "host", "x"])
    try:
        await asyncio.wait_for(task.started.wait(), 20)
        await eventually(lambda: len(alive(mark)) >= 2, pause=0.05)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(20)
        assert await gone(mark)
        assert len(list((tmp_path / "runs").iterdir())) == 1
        worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), queue.root_url, str(tmp_path), "host", "x"])
        await asyncio.wait_for(task.ended.wait(), 20)
        assert (task.state, task.reason) == ("exception", "worker-shutdown")
        assert (await queue.done(queue.add(shell("true"), "local/host"))).state == "completed"
        assert await emptied(tmp_path / "runs")
        assert await emptied(tmp_path / "claims")
    finally:
        worker.kill()
        worker.wait()
        await server.cleanup()


async def test_a_claim_that_never_arrived_is_handed_back(tmp_path):
    """A run that the queue gave to this worker, but of which it knows nothing, is handed back when it starts; others' are let be."""
    async with running(tmp_path, "builtin") as worker:  # any worker, to have a queue
        lost = worker.queue.add({}, "local/host")
        worker.queue.pending["local/host"].remove(lost)
        lost.state = "running"
        other = worker.queue.add({}, "local/other")
        other.state = "running"
        clock = clocks.SystemClock()
        async with aiohttp.ClientSession() as session:
            http = Http(worker.queue.root_url, Credentials("w", "s"), session=session, clock=clock)
            settings = WorkerSettings(kind="host", task_queue_id="local/host", folder=tmp_path / "h")
            await Ledger(tmp_path / "ledger").hand_back(http, clock, settings)
        assert (lost.state, lost.reason, other.state) == ("exception", "worker-shutdown", "running")


async def test_processes_that_outlived_the_keeper_are_ended_at_the_next_start(tmp_path):
    """Should even the keeper have been killed, marked processes are ended when a worker starts on the same folder."""
    mark = marker()
    (tmp_path / "runs" / "task_0").mkdir(parents=True)
    stray = subprocess.Popen(["sleep", mark], env={**os.environ, leftovers.MARK: str(tmp_path / "runs" / "task_0")}, start_new_session=True)
    async with running(tmp_path, "host") as host:
        await host.do(shell("true"))
        assert stray.wait(20) == -signal.SIGKILL


async def test_queues_are_served_by_pattern(tmp_path):
    """A worker with patterns also runs the tasks of queues whose names match, and of no others."""
    async with running(tmp_path, "host", serve=("proj-*/*", "exact/one")) as host:
        tasks = [host.add(shell("true"), queue=name) for name in ("proj-a/linux", "exact/one", "local/host")]
        other = host.add(shell("true"), queue="elsewhere/linux")
        for task in tasks:
            assert (await host.end(task)).state == "completed"
        assert other.state == "pending"


async def test_builtin_queues(tmp_path):
    """Tasks for built-in/succeed and built-in/fail end so at once; a payload is malformed."""
    async with running(tmp_path, "builtin", capacity=8) as worker:
        ends = {}
        for queue, payload in (("built-in/succeed", {}), ("built-in/fail", {}), ("built-in/succeed", {"x": 1})):
            task = await worker.do(payload, queue=queue)
            ends[queue, bool(payload)] = (task.state, task.reason)
    assert ends == {
        ("built-in/succeed", False): ("completed", "completed"),
        ("built-in/fail", False): ("failed", "failed"),
        ("built-in/succeed", True): ("exception", "malformed-payload"),
    }
