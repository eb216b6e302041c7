"""Put many tasks into the SQLite database of a stopped instance, in the form in which the queue writes them.

usage: fill.py DATA_FOLDER COUNT

They stand in groups of a thousand, made over the last four days: most are resolved, some after a retry, and of each
hundred two are pending, one waits for another task, and now and then one is running, all on task queues of their own.
Deadlines and expiry lie ahead, so that nothing is due. What a task looks like comes from the queue's own rules; only
the way into the tables is shorter: no messages are written, and indices are made at the end.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wire import slugid

from tcbox import clock as clocks
from tcbox import errors
from tcbox.db.sqlite.lock import FileLock
from tcbox.services.queue import artifacts, definitions, priorities, sightings, transitions
from tcbox.services.queue import status as statuses
from tcbox.services.queue.numbers import Numbers
from tcbox.services.queue.status import Status

GROUP = 1000
SPREAD = 4 * clocks.DAY
QUEUES = 40
WORKERS = 10
LIFE = 30 * clocks.DAY
DELAY = 30 * clocks.MINUTE
WORKER = ("filled", "worker-1")
MINE, FORMER = "T" * 22, "D" * 22  # stand for the taskId, and for that of the task before it, in a pattern
TABLES = ("queue_tasks", "queue_definitions", "queue_task_groups", "queue_dependencies", "queue_artifacts", "queue_task_queues", "queue_workers")
ORDER = ("completed",) * 88 + ("failed",) * 4 + ("retried",) * 5 + ("pending",) * 2 + ("unscheduled",)


@dataclass(frozen=True)
class Pattern:
    """A task of one kind in one group, but for its taskId."""

    status: str
    definition: str
    columns: dict[str, Any]


class Rows:
    """The rows of all tables, of one group after another."""

    def __init__(self, now: int, count: int) -> None:
        self.now = now
        self.count = count
        self._numbers = Numbers()
        self.tasks: list[dict[str, Any]] = []
        self.definitions: list[tuple[int, str]] = []
        self.dependencies: list[tuple[int, int, int]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.groups: list[tuple[str, int, int]] = []

    def all_groups(self) -> Iterator[None]:
        """Make the rows of one group after another; each replaces those of the one before."""
        total = (self.count + GROUP - 1) // GROUP
        for index in range(total):
            for rows in (self.tasks, self.definitions, self.dependencies, self.artifacts, self.groups):
                rows.clear()
            self._group(index, self.now - SPREAD + SPREAD * index // total, min(GROUP, self.count - index * GROUP))
            yield

    def _group(self, index: int, time: int, size: int) -> None:
        group_id = slugid()
        patterns = {kind: _pattern(kind, index, group_id, time, self.now) for kind in {*ORDER, "running"}}
        needed: dict[bool, tuple[str, int]] = {}  # by whether it is resolved: the latest task that others may depend on
        active = 0
        for place in range(size):
            kind, task_id, row_id = _kind(place, needed), slugid() if place else group_id, self._numbers.next(time)
            pattern = patterns[kind]
            columns, definition = pattern.columns, pattern.definition
            if FORMER in definition:
                former, former_row = needed[columns["blocked"] == 0]
                definition = definition.replace(FORMER, former)
                self.dependencies.append((former_row, row_id, 1 - columns["blocked"]))
            self.tasks.append({**columns, "id": row_id, "task_id": task_id, "status": pattern.status.replace(MINE, task_id)})
            self.definitions.append((row_id, definition))
            if place % 5 == 0 and columns["ever_resolved"]:
                self.artifacts.append(_artifact(task_id, columns["expires"]))
            if kind in ("completed", "pending"):
                needed[kind == "completed"] = (task_id, row_id)
            active += not columns["ever_resolved"]
        self.groups.append((group_id, time + LIFE + clocks.HOUR, active))


def _kind(place: int, needed: dict[bool, tuple[str, int]]) -> str:
    """What becomes of the task at a place in its group: the first is completed, one is running."""
    if place in (0, GROUP // 2):
        return "running" if place else "completed"
    kind = ORDER[place * 37 % len(ORDER)]
    return "pending" if kind == "unscheduled" and False not in needed else kind


def _pattern(kind: str, index: int, group_id: str, time: int, now: int) -> Pattern:
    queue = f"fill-{'waiting' if kind in ('pending', 'running') else 'done'}/queue-{index % QUEUES}"
    needs = [FORMER] if kind in ("retried", "unscheduled") else []
    request = _request(queue, group_id, time, needs)
    definition = definitions.complete(MINE, request, definitions.task_queue(request), time, definitions.Limits())
    status = _status(kind, definition.status(), time, now)
    run = status.runs[-1] if status.runs else None
    columns = {
        "task_group_id": group_id, "task_queue_id": queue, "priority": priorities.LEVEL[status.priority],
        "deadline": definition.deadline, "expires": definition.expires, "state": status.state, "ever_resolved": int(status.resolved),
        "blocked": int(kind == "unscheduled"), "routes": '["index.fill.latest"]', "tags": '{"kind":"fill"}',
        "pending_rank": priorities.rank(status.priority, time) if status.state == "pending" else None,
        "taken_until": clocks.from_wire(run.taken_until or "") if run and run.state == "running" else None,
        "unresolved_until": None if status.resolved else definition.deadline, "expire_at": definition.expires + DELAY if status.resolved else None,
    }  # fmt: skip
    return Pattern(statuses.encode(status), definition.text(), columns)


def _request(queue: str, group_id: str, time: int, needs: list[str]) -> dict[str, Any]:
    return {
        "taskQueueId": queue, "schedulerId": "fill", "taskGroupId": group_id, "dependencies": needs, "requires": "all-completed",
        "routes": ["index.fill.latest"], "priority": "low", "retries": 5, "scopes": [],
        "created": clocks.to_wire(time), "deadline": clocks.to_wire(time + 5 * clocks.DAY), "expires": clocks.to_wire(time + LIFE),
        "payload": {"image": "debian:12", "command": ["/bin/bash", "-c", "echo hello; sleep 1"], "maxRunTime": 600, "env": {"A": "1", "B": "2"}},
        "metadata": {"name": "fill", "description": "one of many", "owner": "bench@example.com", "source": "https://example.com/bench"},
        "tags": {"kind": "fill"}, "extra": {"n": 1},
    }  # fmt: skip


def _status(kind: str, status: Status, time: int, now: int) -> Status:
    if kind == "unscheduled":
        return status
    status = _after(transitions.schedule(status, time))
    if kind == "pending":
        return status
    if kind == "running":
        return _claimed(status, now, now + clocks.DAY)
    status = _claimed(status, time + 1000, time + 1_201_000)
    if kind == "retried":
        status = _after(transitions.resolve(status, 0, time + 2000, "exception", "worker-shutdown"))
        status = _claimed(status, time + 3000, time + 1_203_000)
    outcome = "failed" if kind == "failed" else "completed"
    return _after(transitions.resolve(status, status.last_run_id, time + 60_000, outcome, outcome))


def _claimed(status: Status, now: int, until: int) -> Status:
    return _after(transitions.claim(status, status.last_run_id, now, until, WORKER))


def _after(change: transitions.Change | None) -> Status:
    assert change is not None, "the queue's rules do not allow what a filled-in task has gone through"
    return change.after


def _artifact(task_id: str, expires: int) -> dict[str, Any]:
    request = {"storageType": "reference", "contentType": "text/plain", "url": f"https://example.com/logs/{task_id}"}
    return artifacts.requested((task_id, 0), "public/logs/live.log", request, expires, "").columns()


def fill(path: Path, count: int) -> None:
    """Put so many tasks into the database in this file.

    Raises DataFolderLocked when an instance has it open, and sqlite3.Error when the queue's tables are not there.
    """
    lock = FileLock(path)
    lock.acquire()
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -600000", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        indices = _drop_indices(connection)
        rows = Rows(clocks.SystemClock().now(), count)
        for _ in rows.all_groups():
            _write(connection, rows)
        _write_queues(connection, rows.now)
        for statement in indices:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
        lock.release()
    os.sync()  # what is measured next is not to wait for this


def _drop_indices(connection: sqlite3.Connection) -> list[str]:
    """Drop what can be made again, and faster, at the end; the statements that make it."""
    places = ", ".join("?" * len(TABLES))
    found = connection.execute(f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({places})", TABLES).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [statement for _, statement in found]


def _write(connection: sqlite3.Connection, rows: Rows) -> None:
    _insert(connection, "queue_tasks", rows.tasks)
    _insert(connection, "queue_artifacts", rows.artifacts)
    connection.executemany("INSERT INTO queue_definitions (id, definition) VALUES (?, ?)", rows.definitions)
    connection.executemany("INSERT INTO queue_dependencies (required_id, dependent_id, requires_success, satisfied) VALUES (?, ?, 1, ?)", rows.dependencies)
    connection.executemany("INSERT INTO queue_task_groups (task_group_id, scheduler_id, expires, active) VALUES (?, 'fill', ?, ?)", rows.groups)


def _insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})", rows)


def _write_queues(connection: sqlite3.Connection, now: int) -> None:
    for index in range(QUEUES):
        for kind in ("waiting", "done"):
            queue = {
                "task_queue_id": f"fill-{kind}/queue-{index}", "expires": now + sightings.TASK_QUEUE_LIFE, "last_date_active": now,
                "description": "", "stability": "experimental",
            }  # fmt: skip
            _insert(connection, "queue_task_queues", [queue])
        worker = {
            "task_queue_id": f"fill-done/queue-{index}", "worker_group": "filled", "quarantine_until": now - sightings.NEVER, "quarantine_details": "[]",
            "expires": now + sightings.WORKER_LIFE, "first_claim": now, "last_date_active": now, "recent_tasks": "[]",
        }  # fmt: skip
        workers = [{**worker, "worker_id": f"worker-{number}"} for number in range(WORKERS)]
        _insert(connection, "queue_workers", workers)


def main() -> None:
    """Fill the database that the command line names."""
    if len(sys.argv) != 3 or not sys.argv[2].isdecimal():
        raise SystemExit(__doc__)
    path = Path(sys.argv[1]) / "tcbox.db"
    if not path.exists():
        raise SystemExit(f"{path} is not there: start an instance on this data folder once, and stop it, then fill it")
    started = time.perf_counter()
    try:
        fill(path, int(sys.argv[2]))
    except (errors.TcboxError, sqlite3.Error) as error:
        raise SystemExit(f"{path} cannot be filled: {error}") from error
    print(f"{int(sys.argv[2]):,} tasks, {path.stat().st_size / 2**20:,.0f} MiB, in {time.perf_counter() - started:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
