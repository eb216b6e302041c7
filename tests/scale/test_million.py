"""With very many tasks in the database everything is still found by an index, and answered at once.

`TCBOX_SCALE` says how many, 100,000 unless it is set; a million takes two minutes.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import taskcluster

from tcbox import db
from tests.support import definitions
from tests.support.box import Box
from tests.support.processes import busy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COUNT = int(os.environ.get("TCBOX_SCALE", "100000"))
QUIET = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n"
SOON = 0.5
"""Seconds of the server's processor time that each call may take; without an index it would be many times that with a million tasks."""

SCANNED = {
    "auth.forget_changes": ("auth_changes", "holds the changes of the last minutes"),
    "queue.next_resolution": ("queue_resolutions", "its first row is all that is read"),
    "queue.expire_task_queues": ("queue_task_queues", "a row for each task queue, and there are few"),
    "events.last_expired": ("events", "its oldest rows, a limited number"),
    "events.expire_events": ("events", "its oldest rows, a limited number"),
}
"""The statements that walk a table, which one, and why they may."""


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A running instance with that many tasks."""
    made = Box(tmp_path_factory.mktemp("million"), QUIET).start()
    made.stop()
    subprocess.run([sys.executable, ROOT / "build" / "bench" / "fill.py", made.data, str(COUNT)], check=True)
    fill_index(made.data / "tcbox.db")
    made.start()
    yield made
    made.stop()


def fill_index(path):
    """As many entries in the index, a thousand in a namespace, and as many runs that were taken in; a tenth has expired."""
    now = int(time.time() * 1000)

    def ends(number):
        return now + (number + 1) * 1000 * (-1 if number % 10 == 0 else 3600)

    with sqlite3.connect(path) as connection:
        entries = ((f"fill.n{n // 1000}", f"e{n % 1000:03}", f"{n:022}", "0", ends(n), "{}") for n in range(COUNT))
        connection.executemany("INSERT INTO index_tasks VALUES (?, ?, ?, ?, ?, ?)", entries)
        namespaces = [("", "fill", ends(COUNT)), *(("fill", f"n{n}", ends(n * 1000 + 999)) for n in range(COUNT // 1000))]
        connection.executemany("INSERT INTO index_namespaces VALUES (?, ?, ?)", namespaces)
        connection.executemany("INSERT INTO index_handled VALUES (?, 0, ?)", ((f"{n:022}", now - n * 100) for n in range(COUNT)))
        requests = ((f"prov/pool-{n // 100}", f"c{n % 100}", now, ends(n)) for n in range(COUNT // 10))
        connection.executemany("INSERT INTO purge_cache_requests VALUES (?, ?, ?, ?)", requests)
    connection.close()


@pytest.fixture(scope="module")
def database(box):
    """Its database, to be read beside it."""
    connection = sqlite3.connect(f"file:{box.data}/tcbox.db?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def queue(box):
    """Calls the queue, and sees to it that each answer is had soon."""

    class Queue(taskcluster.Queue):
        def makeHttpRequest(self, method, route, payload):
            before = busy(box.pid)
            reply = super().makeHttpRequest(method, route, payload)
            taken = busy(box.pid) - before
            assert taken < SOON, f"{method} {route} took {taken:.2f} s"
            return reply

    return Queue(box.options)


def statements():
    """Every named statement of every service, and of the events."""
    for folder in sorted({*ROOT.glob("services/*/sql"), *ROOT.glob("tcbox/*/sql")}):
        yield from db.load(folder, folder.parent.name)


def test_every_statement_uses_an_index(database):
    """No statement walks through a table, but for those that are listed with the reason why they may."""
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    walks = {}
    for query in statements():
        for row in database.execute(f"EXPLAIN QUERY PLAN {query.sqlite}", dict.fromkeys(query.params)):
            detail = row["detail"]
            if "AUTOMATIC" in detail or (detail.startswith("SCAN ") and not _harmless(detail, tables, query.sqlite)):
                walks.setdefault(query.name, []).append(detail)
    unexpected = {name: details for name, details in walks.items() if name not in SCANNED or details != [f"SCAN {SCANNED[name][0]}"]}
    assert not unexpected, "a statement reads a whole table: give it an index, or say in SCANNED why it may"
    assert set(SCANNED) == set(walks), "SCANNED names statements that walk no table"


def _harmless(detail, tables, text):
    """Whether what is walked is no table: JSON that was handed in, a constant, or the outcome of a limited subquery."""
    name = detail.split()[1]
    if "VIRTUAL TABLE" in detail or "CONSTANT ROW" in detail:
        return True
    return name not in tables and (f") AS {name}" in text or f"WITH RECURSIVE {name} " in text)


def test_filled_rows_are_what_the_queue_writes(box, database, queue):
    """A task that was filled in has the form of one that was created, claimed and completed by calls."""
    task_id = taskcluster.slugId()
    definition = definitions.task("form/form", {"image": "x"}, routes=["a.b"], tags={"kind": "x"}, extra={"n": 1}, scopes=[])
    queue.createTask(task_id, definition)
    claim = queue.claimWork("form/form", {"workerGroup": "g", "workerId": "w"})["tasks"][0]
    made = {**box.options, "credentials": claim["credentials"]}
    taskcluster.Queue(made).reportCompleted(task_id, "0")

    def form(condition, *params):
        row = database.execute(
            f"SELECT t.*, d.definition FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id WHERE {condition} LIMIT 1", params
        ).fetchone()
        status, stored = json.loads(row["status"]), json.loads(row["definition"])
        nulls = [name for name in row.keys() if row[name] is None]
        return list(status), [list(run) for run in status["runs"]], list(stored), nulls, [type(row[name]) for name in row.keys()]

    assert form("t.task_id = ?", task_id) == form("t.task_queue_id LIKE 'fill-done/%' AND t.state = 'completed'")


def test_start_takes_no_longer(box):
    """With all these tasks the instance is ready about as soon as with none."""
    assert box.info["readyAfter"] < 3


def test_groups_are_read_in_pages(database, queue):
    """A group of a thousand tasks comes back whole, page by page, each task once."""
    (group,) = database.execute("SELECT task_group_id FROM queue_task_groups WHERE scheduler_id = 'fill' LIMIT 1 OFFSET ?", (COUNT // 2000,)).fetchone()
    listed = _paged(lambda query: queue.listTaskGroup(group, query=query), "tasks", 300)
    stored = [row[0] for row in database.execute("SELECT task_id FROM queue_tasks WHERE task_group_id = ? ORDER BY id", (group,))]
    assert [task["status"]["taskId"] for task in listed] == stored
    assert queue.getTaskGroup(group)["taskGroupId"] == group


def test_task_queues_are_listed_and_counted(database, queue):
    """Pending and claimed tasks of a task queue are counted, and listed in pages."""
    name = "fill-waiting/queue-0"
    condition = "SELECT count(*) FROM queue_tasks WHERE task_queue_id = ? AND state = ?"
    pending, claimed = (database.execute(condition, (name, state)).fetchone()[0] for state in ("pending", "running"))
    counts = queue.taskQueueCounts(name)
    assert (counts["pendingTasks"], counts["claimedTasks"]) == (pending, claimed)
    assert pending > 10
    assert claimed > 0
    assert len(_paged(lambda query: queue.listPendingTasks(name, query=query), "tasks", 10)) == pending
    assert len(_paged(lambda query: queue.listClaimedTasks(name, query=query), "tasks", 2)) == claimed
    workers = _paged(lambda query: queue.listWorkers("fill-done", "queue-0", query=query), "workers", 4)
    assert len({worker["workerId"] for worker in workers}) == 10
    assert len(_paged(lambda query: queue.listTaskQueues(query=query), "taskQueues", 30)) >= 80


def test_single_tasks_are_found(database, queue):
    """Status, definition, dependents, runs and artifacts of one among so many are there at once."""
    rows = database.execute("SELECT required_id, dependent_id FROM queue_dependencies WHERE satisfied = 1 LIMIT 1 OFFSET 500").fetchone()
    required, dependent = (database.execute("SELECT task_id FROM queue_tasks WHERE id = ?", (row,)).fetchone()[0] for row in rows)
    assert queue.task(dependent)["dependencies"] == [required]
    assert queue.status(required)["status"]["state"] == "completed"
    assert dependent in [task["status"]["taskId"] for task in _paged(lambda query: queue.listDependentTasks(required, query=query), "tasks", 1)]
    of_last_run = (
        "SELECT task_id FROM queue_artifacts JOIN queue_tasks USING (task_id) WHERE run_id = json_array_length(status, '$.runs') - 1 LIMIT 1 OFFSET 1000"
    )
    with_artifact = database.execute(of_last_run).fetchone()[0]
    assert [artifact["name"] for artifact in queue.listLatestArtifacts(with_artifact)["artifacts"]] == ["public/logs/live.log"]


def test_work_goes_on(database, queue):
    """A worker gets the pending tasks in their order, a new task joins a full group, and a whole group is cancelled."""
    name = "fill-waiting/queue-1"
    first = [
        row[0]
        for row in database.execute("SELECT task_id FROM queue_tasks WHERE task_queue_id = ? AND pending_rank > 0 ORDER BY pending_rank, id LIMIT 5", (name,))
    ]
    claims = queue.claimWork(name, {"workerGroup": "g", "workerId": "w", "tasks": 5})["tasks"]
    assert [claim["status"]["taskId"] for claim in claims] == first
    group = claims[0]["status"]["taskGroupId"]
    queue.createTask(taskcluster.slugId(), definitions.task("late/late", taskGroupId=group, schedulerId="fill"))
    queue.sealTaskGroup(group)
    assert queue.cancelTaskGroup(group)["cancelledCount"] > 10


def test_the_index_and_purge_requests_answer_at_once(box):
    """Entries are found, listed, replaced and removed among so many, and so are requests to purge caches."""
    index, purge = taskcluster.Index(box.options), taskcluster.PurgeCache(box.options)
    middle = f"fill.n{COUNT // 2000}"
    body = {"taskId": taskcluster.slugId(), "rank": 1, "data": {}, "expires": definitions.wire(days=1)}
    seconds = []

    def soon(call, *args, **query):
        before = busy(box.pid)
        reply = call(*args, **query)
        seconds.append(busy(box.pid) - before)
        return reply

    assert soon(index.findTask, f"{middle}.e501")["taskId"] == f"{COUNT // 2000 * 1000 + 501:022}"
    assert soon(index.insertTask, f"{middle}.e501", body)["taskId"] == body["taskId"]
    assert len(_paged(lambda query: soon(index.listTasks, middle, query=query), "tasks", 400)) == 900
    assert len(_paged(lambda query: soon(index.listNamespaces, "fill", query=query), "namespaces", 400)) == COUNT // 1000
    asked = [f"fill.n{n}.e{n % 900 // 10 * 10 + 1:03}" for n in range(COUNT // 1000)]
    assert len(soon(index.findTasksAtIndex, {"indexes": asked})["tasks"]) == len(asked)
    assert soon(index.deleteTask, f"{middle}.e501") == {}
    assert len(soon(purge.purgeRequests, "prov/pool-7")["requests"]) == 90
    assert len(soon(purge.allPurgeRequests, query={"limit": "1000"})["requests"]) == 1000
    soon(purge.purgeCache, "prov/pool-7", {"cacheName": "c1"})
    assert max(seconds) < SOON, seconds


def _paged(call, key, limit):
    """All entries of a listing, read in pages of a limited length."""
    found, query = [], {"limit": str(limit)}
    while True:
        page = call(query)
        assert len(page[key]) <= limit
        found += page[key]
        if "continuationToken" not in page:
            return found
        query = {"limit": str(limit), "continuationToken": page["continuationToken"]}
