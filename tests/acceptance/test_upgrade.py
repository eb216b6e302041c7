"""An instance meets the next release's schema and goes back to this one: code of before is run on it, on both engines."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import pytest
import taskcluster

from tests.acceptance.test_postgres import server  # noqa: F401
from tests.support import ports, releases
from tests.support.cluster import Replica, clean_env
from tests.support.definitions import task

OFF = "workers: {docker: {enabled: false}, host: {enabled: false}, builtin: {enabled: false}}\n"
GENTLE = {
    "queue": "ALTER TABLE queue_tasks ADD COLUMN later TEXT NOT NULL DEFAULT 'x';\n"
    "CREATE TABLE queue_laters (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT);\n"
}
HARSH = {"queue": "CREATE TABLE queue_laters (word TEXT);\n"}


@pytest.fixture(params=["sqlite", "postgres"])
def release(request, tmp_path):
    """An instance of today's code, on each engine."""
    url = request.getfixturevalue("server").url("box") if request.param == "postgres" else ""
    made = releases.Release(tmp_path, OFF + (f"database: {url}\n" if url else ""))
    yield made
    made.stop()


def created(box) -> str:
    """A task, which the code that runs has made."""
    made = taskcluster.slugId()
    taskcluster.Queue(box.options).createTask(made, task("proj/ci"))
    return made


def test_this_release_goes_on_after_the_next_one(release, tmp_path):
    """Where the next release's migrations let it, this one starts on their schema, and both find what the other made."""
    later = releases.later(tmp_path, "0.9.0", GENTLE)
    release.start()
    made = [created(release)]
    for home in (later, releases.HERE.parent, later, releases.HERE.parent):
        release.stop()
        release.home = home
        release.start()
        with urllib.request.urlopen(f"{release.root_url}/__version__") as reply:
            assert (json.load(reply)["version"] == "0.9.0") is (home == later)
        made.append(created(release))
    queue = taskcluster.Queue(release.options)
    assert [queue.status(each)["status"]["state"] for each in made] == ["pending"] * len(made)
    claims = queue.claimWork("proj/ci", {"workerGroup": "g", "workerId": "w", "tasks": 10})["tasks"]
    assert [claim["status"]["taskId"] for claim in claims] == made
    theirs = taskcluster.Queue({"rootUrl": release.root_url, "credentials": claims[0]["credentials"]})
    assert theirs.reportCompleted(made[0], "0")["status"]["state"] == "completed"
    assert "which can live with it" in release.log_tail(200)
    if "database" not in release.config.read_text():
        assert "newer than this release, which can live with it: queue 0002_later" in release.command("doctor", "--data", str(release.data)).stdout
        assert not list(release.data.glob("*.before-*")), "nothing is lost by such an upgrade, so that no copy is kept"


def test_this_release_refuses_what_it_cannot_live_with(release, tmp_path):
    """Where they do not, it says which release is needed and touches nothing; on SQLite the copy of before the upgrade leads back."""
    release.start()
    before = created(release)
    release.stop()
    release.home = releases.later(tmp_path, "0.9.0", HARSH, gentle=False)
    release.start()
    after = created(release)
    release.stop()
    release.home = releases.HERE.parent
    words = ["up", "--data", str(release.data), "--port", "0", "--config", str(release.config), "--detach"]
    for _ in range(2):
        refused = release.command(*words, check=False)
        assert refused.returncode
        assert "was written by a newer tcbox: it has the migration queue 0002_later, and only code that knows it can live with that" in refused.stderr
        assert "this release knows 1: start tcbox 0.9.0, which put it there (or a later one), or go back to a copy made before the upgrade" in refused.stderr
    copy = release.data / "tcbox.db.before-queue-0002"
    assert copy.exists() is not ("database" in release.config.read_text())
    if copy.exists():
        assert copy.stat().st_mode & 0o777 == 0o600
        for each in release.data.glob("tcbox.db-*"):
            each.unlink()
        copy.rename(release.data / "tcbox.db")
    else:
        release.home = tmp_path / "0.9.0"
    release.start()
    queue = taskcluster.Queue(release.options)
    assert queue.status(before)["status"]["state"] == "pending"
    if "database" not in release.config.read_text():
        with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure):
            queue.status(after)


def test_no_room_for_the_copy(tmp_path):
    """A step that takes the database away from older code is not applied while no copy of it can be kept."""
    release = releases.Release(tmp_path, OFF)
    release.start()
    before = created(release)
    release.stop()
    release.home = releases.later(tmp_path, "0.9.0", HARSH, gentle=False)
    (release.data / "tcbox.db.before-queue-0002.part").mkdir()
    words = ["up", "--data", str(release.data), "--port", "0", "--config", str(release.config), "--detach"]
    refused = release.command(*words, check=False)
    assert "no copy of it can be kept before that" in refused.stderr
    assert "nothing has been changed" in refused.stderr
    release.home = releases.HERE.parent
    release.start()
    try:
        assert taskcluster.Queue(release.options).status(before)["status"]["state"] == "pending"
    finally:
        release.stop()


def test_the_list_of_migrations_of_the_first_databases(request, release, tmp_path):
    """A database whose list of migrations says nothing of who can live with them is taken, and says so from the next step on."""
    release.start()
    release.stop()
    for change in (f"ALTER TABLE tcbox_migrations DROP COLUMN {column}" for column in ("needs", "release")):
        if "database" in release.config.read_text():
            request.getfixturevalue("server").run(change, "box")
        else:
            with contextlib.closing(sqlite3.connect(release.data / "tcbox.db")) as connection:
                connection.execute(change)
    release.start()
    release.stop()
    release.home = releases.later(tmp_path, "0.9.0", GENTLE)
    release.start()
    release.stop()
    release.home = releases.HERE.parent
    release.start()
    created(release)


def test_releases_side_by_side(server, tmp_path):
    """During a rolling update, and after it is undone: the next release waits for its schema, and both serve on it beside each other."""
    home = releases.later(tmp_path, "0.9.0", GENTLE)
    token = os.urandom(20).hex()
    env = {
        "TCBOX_ROOT_URL": f"http://127.0.0.1:{ports.free()[0]}",
        "TCBOX_DATABASE": server.url("box") + "&pool=5",
        "TCBOX_BLOBS": f"file://{tmp_path}/blobs",
        "TCBOX_BLOBS_SHARED": "true",
        "TCBOX_SERVICES_SECRETS_KEY": base64.b64encode(os.urandom(32)).decode(),
        "TCBOX_INSTANCE_KEY": base64.b64encode(os.urandom(32)).decode(),
        "TCBOX_ROOT_ACCESS_TOKEN": token,
        "TCBOX_SERVE_NOTICE_SECONDS": "0",
    }  # fmt: skip
    cluster = SimpleNamespace(folder=tmp_path, env=env)
    today, tomorrow = releases.environment(releases.HERE.parent), releases.environment(home)

    def migrated(release: dict[str, str]) -> int:
        return subprocess.run([sys.executable, "-m", "tcbox", "migrate"], env=clean_env(**env, **release), check=False).returncode

    def queue(replica: Replica) -> taskcluster.Queue:
        return taskcluster.Queue({"rootUrl": replica.url, "credentials": {"clientId": "static/taskcluster/root", "accessToken": token}})

    words = ["auth", "queue", "object", "--no-migrate"]
    old = Replica(cluster, "old", words, **today)
    new = Replica(cluster, "new", words, **tomorrow)
    try:
        assert migrated(today) == 0
        old.start()
        made = taskcluster.slugId()
        queue(old).createTask(made, task("proj/ci"))
        new.start(wait=False)
        until = time.monotonic() + 30
        while "waiting for the schema, which lacks queue 0002_later" not in new.tail():
            assert time.monotonic() < until, new.tail()
            time.sleep(0.1)
        assert not new.answers("/__lbheartbeat__"), "no code meets a schema older than itself"
        assert migrated(tomorrow) == 0
        new.ready()
        for one, other in ((old, new), (new, old)):
            made = taskcluster.slugId()
            queue(one).createTask(made, task("proj/ci"))
            assert queue(other).status(made)["status"]["state"] == "pending"
        assert old.errors() == new.errors() == []
        assert new.stop() == 0
        assert migrated(today) == 0, "the Job of the release that is gone back to"
        old.restart()
        assert queue(old).status(made)["status"]["state"] == "pending"
        assert queue(old).pendingTasks("proj/ci")["pendingTasks"] == 3
    finally:
        for each in (old, new):
            if each.alive:
                each.kill()
