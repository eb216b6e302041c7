"""Throughput of one to three replicas of the queue, what a task costs each part of a cluster, and what many tasks a day need."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sizing
import usage
from cluster import Cluster
from written import Counters, PerTask

HERE = Path(__file__).parent
MOST = 3
CLIENTS = (8, 32)
SCENARIOS = {  # operations at 8 and 32 clients
    "create": (1000, 1600), "status": (3000, 4000), "claim": (500, 800), "lifecycle": (400, 600), "whole": (200, 300),
}  # fmt: skip
NAMES = {
    "create": "createTask", "status": "status", "claim": "claimWork + reportCompleted", "lifecycle": "createTask + claimWork + reportCompleted",
    "whole": "a whole task",
}  # fmt: skip
PARTS = ("queue", "auth", "front", "web-server", "others", "postgres", "rabbitmq", "driver")
GROUPS = 16
"""Task groups that are at work at the same time."""
SERVICES, PUBLISHER = ("queue", "auth", "front", "others"), "web-server"
DAYS = (1_000_000, 10_000_000)
TASKS = 1500
"""Whole tasks from which bytes and statements of one are taken."""


@dataclass(frozen=True)
class Case:
    """One line of the table, and one way to it."""

    scenario: str
    clients: int
    replicas: int
    front: bool


Rows = dict[Case, dict[str, float]]


def report(rounds: int, *, quick: bool) -> list[str]:
    """Measure; the lines for the page."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), MOST)
        try:
            cluster.start()
            rows = _measure(cluster, rounds, 0.1 if quick else 1.0)
            before = Counters(cluster)
            _run(cluster, Case("whole", 32, MOST, front=True), TASKS // 15 if quick else TASKS)
            task = Counters(cluster).since(before)
        finally:
            cluster.stop()
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores for all of it, Linux {platform.release()}"
    return [f"{where}; medians of {rounds} rounds.", "", *_throughput(rows), "", *_shares(rows), "", *_one(task), "", *_days(rows, task)]


def _cases() -> Iterator[tuple[Case, int]]:
    for scenario, counts in SCENARIOS.items():
        for clients, operations in zip(CLIENTS, counts, strict=True):
            for front in (True, False):
                for replicas in range(1, MOST + 1):
                    yield Case(scenario, clients, replicas, front), operations


def _measure(cluster: Cluster, rounds: int, scale: float) -> Rows:
    """The median of each case; all numbers of replicas take turns within a round."""
    found: dict[Case, list[dict[str, float]]] = {}
    for number in range(rounds):
        for case, operations in _cases():
            row = _run(cluster, case, max(40, int(operations * scale)))
            found.setdefault(case, []).append(row)
            way = "front " if case.front else "direct"
            print(f"{number + 1}: {case.scenario:<10} {case.clients:>2} clients {case.replicas} {way} {row['per_second']:>7.0f}/s", file=sys.stderr)
    names = [f"{name}_cpu_us" for name in PARTS] + ["per_second", "p50", "p99"]
    return {case: {name: statistics.median(row[name] for row in rows) for name in names} for case, rows in found.items()}


def _run(cluster: Cluster, case: Case, operations: int) -> dict[str, float]:
    urls = [cluster.fronts[case.replicas - 1].url] if case.front else [queue.url for queue in cluster.queues[: case.replicas]]
    access = [",".join(urls), "static/taskcluster/root", cluster.root_token]
    command = [sys.executable, str(HERE / "driver.py"), *access, case.scenario, str(case.clients), str(operations)]
    command += [usage.text(cluster.groups(case.replicas)), str(GROUPS)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _throughput(rows: Rows) -> list[str]:
    """Operations a second, by replicas, through the front and without it."""
    lines = [
        "| operations a second | clients | 1 replica | 2 | 3 | without front: 1 | 2 | 3 | p99 ms, 1 / 2 / 3 | CPU of all, µs, 1 / 2 / 3 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for scenario, name in NAMES.items():
        for clients in CLIENTS:
            ways = [[rows[Case(scenario, clients, count, front)] for count in range(1, MOST + 1)] for front in (True, False)]
            shown = [f"{row['per_second']:,.0f}" for way in ways for row in way]
            late = " / ".join(f"{row['p99']:.0f}" for row in ways[0])
            used = " / ".join(f"{sum(row[f'{part}_cpu_us'] for part in PARTS):,.0f}" for row in ways[0])
            lines.append(f"| {name} | {clients} | {' | '.join(shown)} | {late} | {used} |")
    return lines


def _shares(rows: Rows) -> list[str]:
    """CPU of each part for an operation, at the most clients and replicas, and how much of the machine that is."""
    lines = [
        f"CPU in µs for one operation, with {MOST} replicas, {CLIENTS[-1]} clients and the front; cores in use are the sum times the rate.", "",
        f"| operation | {' | '.join(PARTS)} | sum | cores in use |", f"|---|{'---:|' * (len(PARTS) + 2)}",
    ]  # fmt: skip
    for scenario, name in NAMES.items():
        row = rows[Case(scenario, CLIENTS[-1], MOST, front=True)]
        used = [row[f"{part}_cpu_us"] for part in PARTS]
        lines.append(f"| {name} | {' | '.join(f'{each:,.0f}' for each in used)} | {sum(used):,.0f} | {sum(used) * row['per_second'] / 1e6:.2f} |")
    return lines


def _one(task: PerTask) -> list[str]:
    """What one whole task writes and asks."""
    often = ", ".join(f"{name} {share:.1f}" for name, share in task.by_statement)
    return [
        "| one whole task, 3 replicas, 32 clients | |", "|---|---:|",
        f"| write-ahead log | {task.wal / 1024:.1f} KiB |",
        f"| growth of the queue's tables and indices | {task.tables / 1024:.1f} KiB |",
        f"| growth of the outbox, until it is cleared | {task.events / 1024:.1f} KiB |",
        f"| messages, and their bytes | {task.messages:.1f}, {task.payload / 1024:.1f} KiB |",
        f"| transactions, reads among them | {task.commits:.1f} |",
        f"| flushes of the write-ahead log | {task.syncs:.1f} |",
        f"| named statements, of all services | {task.statements:.1f} |", "",
        f"Of these statements, those that run for at least every tenth task: {often}.",
    ]  # fmt: skip


def _days(rows: Rows, measured: PerTask) -> list[str]:
    """What a million and ten million tasks a day need."""
    row = rows[Case("whole", CLIENTS[-1], MOST, front=True)]
    task = sizing.Task(
        cpu={part: row[f"{part}_cpu_us"] for part in PARTS}, wal=measured.wal, tables=measured.tables, events=measured.events, syncs=measured.syncs,
        commits=measured.commits, statements=measured.statements, messages=measured.messages,
    )  # fmt: skip
    needs = [sizing.need(count, task, services=SERVICES, publisher=PUBLISHER) for count in DAYS]
    gib = 2**30
    lines = [f"| a day, busiest time {sizing.PEAK:g} times the mean | {' | '.join(f'{count:,} tasks' for count in DAYS)} |", f"|---|{'---:|' * len(DAYS)}"]

    def line(what: str, *values: str) -> None:
        lines.append(f"| {what} | {' | '.join(values)} |")

    line("tasks a second: mean, busiest", *(f"{each.mean:,.0f}, {each.peak:,.0f}" for each in needs))
    for name in SERVICES:
        line(f"pods of 1000m: {name}", *(str(each.pods[name]) for each in needs))
    line(f"{PUBLISHER}, of which one process publishes: its cores", *(f"{each.publisher:.2f}" for each in needs))
    line(f"cores of PostgreSQL, each {sizing.DATABASE_BUSY:.0%} used", *(f"{each.database_cores:.1f}" for each in needs))
    line("transactions a second, reads among them", *(f"{each.commits:,.0f}" for each in needs))
    line("statements a second", *(f"{each.statements:,.0f}" for each in needs))
    line("flushes of the write-ahead log a second", *(f"{each.flushes:,.0f}" for each in needs))
    line("write-ahead log a day", *(f"{each.wal / gib:,.0f} GiB" for each in needs))
    line("tables of the queue, for each day that tasks are kept", *(f"{each.tables / gib:,.1f} GiB" for each in needs))
    line("outbox, the events of the busiest hour", *(f"{each.outbox / gib:,.1f} GiB" for each in needs))
    line("messages to RabbitMQ a second; its cores", *(f"{each.messages:,.0f}; {each.broker_cores:.2f}" for each in needs))
    line(f"artifacts put to S3 a second, {sizing.ARTIFACTS} a task", *(f"{each.puts:,.0f}" for each in needs))
    return lines
