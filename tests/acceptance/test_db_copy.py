"""A whole instance is copied from SQLite to PostgreSQL and back, also while it serves, and goes on there."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
import taskcluster

from tests.support import postgres_server
from tests.support.box import Box
from tests.support.definitions import task

OFF = "workers: {docker: {enabled: false}, host: {enabled: false}, builtin: {enabled: false}}\n"


@pytest.fixture
def url() -> str:
    return postgres_server.server().anew("copied")


def tables(done) -> dict:
    return {each["table"]: each for each in json.loads(done.stdout)["tables"]}


def filled(box: Box) -> dict:
    """Things of many kinds; what must be found again."""
    queue, secrets, auth = (kind(box.options) for kind in (taskcluster.Queue, taskcluster.Secrets, taskcluster.Auth))
    claimed, pending = taskcluster.slugId(), [taskcluster.slugId() for _ in range(30)]
    for task_id in [claimed, *pending]:
        queue.createTask(task_id, task("proj/ci", extra={"big": 2**70, "text": "h\u00e9 \u0001 \U0001f600"}))
    claim = queue.claimWork("proj/ci", {"workerGroup": "g", "workerId": "w", "tasks": 1})["tasks"][0]
    secrets.set("a/b", {"secret": {"x": "y" * 100}, "expires": taskcluster.fromNow("1 day")})
    token = auth.createClient("copied", {"expires": taskcluster.fromNow("1 day"), "description": "", "scopes": ["secrets:get:a/b"]})["accessToken"]
    return {"claim": claim, "pending": pending, "token": token, "definition": queue.task(claimed)}


def found_again(box: Box, made: dict) -> None:
    queue = taskcluster.Queue(box.options)
    claim = made["claim"]
    assert queue.task(made["claim"]["status"]["taskId"]) == made["definition"]
    assert queue.pendingTasks("proj/ci")["pendingTasks"] == len(made["pending"])
    theirs = taskcluster.Queue({"rootUrl": box.root_url, "credentials": claim["credentials"]})
    assert theirs.reportCompleted(claim["status"]["taskId"], str(claim["runId"]))["status"]["state"] == "completed"
    one = taskcluster.Secrets({"rootUrl": box.root_url, "credentials": {"clientId": "copied", "accessToken": made["token"]}})
    assert one.get("a/b")["secret"] == {"x": "y" * 100}
    [more] = queue.claimWork("proj/ci", {"workerGroup": "g", "workerId": "w", "tasks": 1})["tasks"]
    assert more["status"]["taskId"] == made["pending"][0]


def test_an_instance_moves_to_postgresql_and_back(tmp_path, url):
    """Tasks, claims, their credentials, secrets and tokens work on as they were; both sides are counted and compared."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    box = Box(tmp_path / "one", OFF).start()
    try:
        made = filled(box)
        root_url, port = box.root_url, box.port
    finally:
        box.stop()
    done = box.command("db", "copy", "--from", str(box.data), "--to", url, "--json")
    copied = tables(done)
    assert all(each["same"] and each["rows"] == each["target_rows"] for each in copied.values())
    assert copied["queue_tasks"]["rows"] == copied["queue_tasks"]["written"] == 31
    again = tables(box.command("db", "copy", "--from", str(box.data), "--to", url, "--json"))
    assert sum(each["written"] for each in again.values()) == 0
    box.config.write_text(f"{OFF}database: {url}\n")
    box.start()
    try:
        assert (box.root_url, box.port) == (root_url, port)
        found_again(box, made)
        after = taskcluster.slugId()
        taskcluster.Queue(box.options).createTask(after, task("proj/ci"))
        refused = box.command("db", "copy", "--from", str(box.data), "--to", url, check=False)
        assert refused.returncode == 1
        assert "has its database elsewhere (PostgreSQL at" in refused.stderr
        refused = box.command("db", "copy", "--from", f"sqlite://{box.data}/tcbox.db", "--to", url, check=False)
        assert refused.returncode == 1
        assert "is in use by an instance of tcbox" in refused.stderr
    finally:
        box.stop()
    back = Box(tmp_path / "two", OFF)
    shutil.copytree(box.data, back.data)
    box.command("db", "copy", "--from", url, "--to", str(back.data))
    back.start()
    try:
        assert taskcluster.Queue(back.options).status(after)["status"]["state"] == "pending"
        assert taskcluster.Queue(back.options).status(made["claim"]["status"]["taskId"])["status"]["state"] == "completed"
    finally:
        back.stop()


def test_a_running_instance_is_copied_and_caught_up(tmp_path, url):
    """While it serves a copy is made beside it; after it stopped, a second run writes only what changed and removes what went."""
    box = Box(tmp_path, OFF).start()
    try:
        made = filled(box)
        stop = threading.Event()
        created = []

        def load() -> None:
            queue = taskcluster.Queue(box.options)
            while not stop.is_set():
                created.append(taskcluster.slugId())
                queue.createTask(created[-1], task("proj/load"))

        thread = threading.Thread(target=load)
        thread.start()
        try:
            first = box.command("db", "copy", "--from", str(box.data), "--to", url, "--json", check=False)
        finally:
            stop.set()
            thread.join()
        assert json.loads(first.stdout)["sourceInUse"]
        taskcluster.Auth(box.options).deleteClient("copied")
    finally:
        box.stop()
    differ = box.command("db", "copy", "--compare", "--from", str(box.data), "--to", url, check=False)
    assert differ.returncode == 1
    assert "not the same yet: " in differ.stderr
    assert "auth_clients" in differ.stderr
    copied = tables(box.command("db", "copy", "--from", str(box.data), "--to", url, "--json"))
    assert all(each["same"] for each in copied.values())
    assert copied["queue_tasks"]["rows"] == 31 + len(created)
    assert copied["secrets_secrets"]["written"] == 0
    assert made["token"]


def test_a_copy_that_was_broken_off_goes_on(tmp_path, url):
    """What had been written before stays; a row that was spoilt meanwhile is mended."""
    box = Box(tmp_path, OFF).start()
    try:
        filled(box)
    finally:
        box.stop()
    box.command("db", "copy", "--from", str(box.data), "--to", url)
    server = postgres_server.server()
    server.run("DELETE FROM queue_tasks WHERE id IN (SELECT id FROM queue_tasks ORDER BY id DESC LIMIT 20)", "copied")
    server.run("UPDATE queue_definitions SET definition = '{}' WHERE id = (SELECT min(id) FROM queue_definitions)", "copied")
    copied = tables(box.command("db", "copy", "--from", str(box.data), "--to", url, "--json"))
    assert all(each["same"] for each in copied.values())
    assert (copied["queue_tasks"]["written"], copied["queue_definitions"]["written"]) == (20, 1)


def test_what_cannot_be_copied_is_said(tmp_path, url):
    """A place without a database, a target in use, one database twice, and an older one are refused with what to do."""
    box = Box(tmp_path, OFF)
    nowhere = box.command("db", "copy", "--from", str(tmp_path / "no"), "--to", url, check=False)
    assert "is no data folder: give one, or sqlite:///" in nowhere.stderr
    box.start()
    try:
        busy = box.command("db", "copy", "--from", url, "--to", str(box.data), check=False)
        assert "another tcbox (process" in busy.stderr
    finally:
        box.stop()
    twice = box.command("db", "copy", "--from", str(box.data), "--to", str(box.data), check=False)
    assert "are the same database" in twice.stderr
    with sqlite3.connect(Path(box.data) / "tcbox.db") as connection:
        connection.execute("INSERT INTO tcbox_migrations (service, number, name, checksum, applied) VALUES ('queue', 99, 'of_a_later_version', '', 0)")
    connection.close()
    newer = box.command("db", "copy", "--from", str(box.data), "--to", url, check=False)
    assert "are not of the same version of tcbox" in newer.stderr


def test_a_backup_of_an_instance_that_serves(tmp_path):
    """A file holds the database as it was at one moment, and can be put in its place; what is in the way is told."""
    box = Box(tmp_path, OFF).start()
    target = tmp_path / "backup.db"
    words = ("db", "backup", "--from", str(box.data), "--to", str(target))
    try:
        made = filled(box)
        said = box.command(*words)
        assert f"is in {target}, " in said.stdout
        assert "the keys are not in the database" in said.stdout
        assert target.stat().st_mode & 0o777 == 0o600
        queue = taskcluster.Queue(box.options)
        lost = taskcluster.slugId()
        queue.createTask(lost, task("proj/ci"))
        assert "is there already: name another file" in box.command(*words, check=False).stderr
        nowhere = box.command("db", "backup", "--from", str(box.data), "--to", str(tmp_path / "no" / "b.db"), check=False)
        assert "check both paths, and that there is room" in nowhere.stderr
        other = box.command("db", "backup", "--from", "postgresql://u:secret@h/n", "--to", str(tmp_path / "b.db"), check=False)
        assert "pg_dump" in other.stderr
        assert "secret" not in other.stderr
    finally:
        box.stop()
    for left in box.data.glob("tcbox.db*"):
        left.unlink()
    target.rename(box.data / "tcbox.db")
    box.start()
    try:
        found_again(box, made)
        with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure):
            taskcluster.Queue(box.options).task(lost)
    finally:
        box.stop()
