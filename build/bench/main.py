"""Measure a real instance over HTTP and write the table into docs/performance.md.

usage: build/bench.sh [--rounds N] [--quick] [--million] [--only SCENARIO] [--replicas]

Each figure is the median of several rounds; the driver runs in a process of its own and its cost stands beside.
`--million` runs all again with a million resolved tasks in the database. `--replicas` measures a cluster of services instead, on
PostgreSQL, and writes its own table.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).parent
TCBOX = [sys.executable, "-m", "tcbox"]
MARKS = "<!-- {name}:begin -->", "<!-- {name}:end -->"
SCENARIOS = {  # operations at 1, 8 and 32 clients
    "ping": (4000, 20000, 20000), "create": (4000, 12000, 16000), "spread": (2000, 12000, 16000), "status": (4000, 20000, 24000), "claim": (1000, 5000, 6000),
    "lifecycle": (1000, 4000, 5000), "sixteen": (60, 300, 400),
    "secret_set": (2000, 12000, 16000), "secret_get": (4000, 20000, 24000), "hawk": (4000, 20000, 24000),
}  # fmt: skip
NAMES = {
    "ping": "ping (no credentials)", "create": "createTask", "spread": "createTask, 16 groups at a time", "status": "status",
    "claim": "claimWork + reportCompleted", "lifecycle": "createTask + claimWork + reportCompleted",
    "sixteen": "the same, 16 tasks by each claim (times are of 16)",
    "secret_set": "secrets set", "secret_get": "secrets get", "hawk": "authenticateHawk",
}  # fmt: skip
DRIVEN = {"spread": ("create", 16)}
"""The driver's scenario, and how many task groups are at work at the same time, where these are not its own name and one."""
YARDSTICK = ("ping", "create", "claim", "lifecycle", "sixteen")
"""What the minimal server is measured with too."""


class Server:
    """What the driver is sent to. Attributes: `pid`, and `access`, its root URL and a client with all scopes."""

    pid: int
    access: tuple[str, str, str]

    def reach(self, said: str) -> dict[str, Any]:
        """Learn from what it said at its start, in the form of `tcbox up --json`, how it is reached; gives all of that."""
        info: dict[str, Any] = json.loads(said)
        made = info["credentials"]
        self.pid, self.access = int(info["pid"]), (info["rootUrl"], made["clientId"], made["accessToken"])
        return info

    def takes(self, scenario: str) -> bool:
        """Whether it knows what a scenario asks for."""
        return True

    def run(self, scenario: str, clients: int, operations: int) -> dict[str, float]:
        """One run of the driver; what it measured."""
        driven, groups = DRIVEN.get(scenario, (scenario, 1))
        command = [sys.executable, str(HERE / "driver.py"), *self.access, driven, str(clients), str(operations), f"server={self.pid}", str(groups)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{scenario} with {clients} clients failed:\n{done.stderr[-3000:]}")
        return {**json.loads(done.stdout), "scenario": scenario}


class Minimal(Server):
    """The yardstick; see minimal.py."""

    def __init__(self, folder: str) -> None:
        self.process = subprocess.Popen([sys.executable, str(HERE / "minimal.py"), folder], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.reach(self.process.stdout.readline())

    def takes(self, scenario: str) -> bool:
        return scenario in YARDSTICK

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class Instance(Server):
    """A throwaway instance, without workers unless asked for."""

    def __init__(self, folder: str, *, workers: bool = False) -> None:
        self.folder = folder
        config = pathlib.Path(folder) / "bench.yml"
        off = "{enabled: false}"
        config.write_text("" if workers else f"workers:\n  docker: {off}\n  host: {off}\n  builtin: {off}\n")
        self.command = [*TCBOX, "up", "--data", f"{folder}/data", "--port", "0", "--config", str(config), "--detach", "--json"]

    def start(self) -> float:
        """Start it; seconds from the command's start until it answered, as the instance itself measured them."""
        started = time.perf_counter()
        out = subprocess.run(self.command, check=True, capture_output=True, text=True).stdout
        self.took = time.perf_counter() - started
        return float(self.reach(out)["readyAfter"])

    def stop(self) -> None:
        subprocess.run([*TCBOX, "down", "--data", f"{self.folder}/data"], check=True, capture_output=True)

    def memory(self) -> float:
        """Resident memory in MiB."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def cpu(self) -> float:
        """CPU seconds that its threads have used, exact where the kernel counts them so."""
        try:
            parts = [int(thread.read_text().split()[0]) for thread in pathlib.Path(f"/proc/{self.pid}/task").glob("*/schedstat")]
        except OSError:
            parts = []
        if parts:
            return sum(parts) / 1e9
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def median(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure of several runs."""
    return {key: statistics.median(row[key] for row in rows) if isinstance(rows[0][key], (int, float)) else rows[0][key] for key in rows[0]}


def scenarios(servers: list[Server], rounds: int, scale: float, only: str | None) -> list[list[dict[str, float]]]:
    """Every scenario at every number of clients, told to the terminal as they come; a list of rows for each server.

    A round goes through all of them, and the servers take turns in each: a machine whose speed drifts is then as fast for one as for
    the other, and no figure is that of a single minute.
    """
    asked = [
        (scenario, clients, max(2 * clients, int(operations * scale)))
        for scenario, counts in SCENARIOS.items()
        for clients, operations in zip((1, 8, 32), counts, strict=True)
    ]
    asked = [case for case in [*asked, ("pickup", 1, 60)] if not only or case[0] == only]
    found: list[dict[tuple[str, int], list[dict[str, float]]]] = [{} for _ in servers]
    for number in range(rounds):
        for scenario, clients, operations in asked:
            for server, rows in zip(servers, found, strict=True):
                if server.takes(scenario):
                    row = server.run(scenario, clients, operations)
                    rows.setdefault((scenario, clients), []).append(row)
                    shown = f"{row['per_second']:>9.0f}/s  p99 {row['p99']:>7.2f} ms  server {row['server_cpu_us']:.0f} us"
                    print(f"{number + 1}: {scenario:<12} {clients:>3} clients {shown}", file=sys.stderr)
    return [[median(rows) for rows in cases.values()] for cases in found]


def table(rows: list[dict[str, float]], beside: list[dict[str, float]] | None = None) -> list[str]:
    """The rows of a table in Markdown; with others beside them, how much longer each operation takes than there."""
    head, line = "| operation | clients | per second | p50 ms | p95 ms | p99 ms | server CPU µs | driver CPU µs |", "|---|---:|---:|---:|---:|---:|---:|---:|"
    lines = [head, line] if beside is None else [f"{head} time, times the empty one | p99, times |", f"{line}---:|---:|"]
    for index, row in enumerate(rows):
        if row["scenario"] == "pickup":
            continue
        shown = [NAMES[str(row["scenario"])], f"{row['clients']:.0f}", f"{row['per_second']:,.0f}"]
        shown += [f"{row[name]:.1f}" for name in ("p50", "p95", "p99")] + [f"{row[name]:.0f}" for name in ("server_cpu_us", "driver_cpu_us")]
        if beside is not None:
            shown += [f"{beside[index]['per_second'] / row['per_second']:.2f}", f"{row['p99'] / max(beside[index]['p99'], 0.01):.2f}"]
        lines.append(f"| {' | '.join(shown)} |")
    return lines


def beside(minimal: list[dict[str, float]], rows: list[dict[str, float]]) -> list[str]:
    """What the minimal server does, and how much of it an instance does, in Markdown."""
    lines = ["| operation | clients | the minimal server, per second | its CPU µs | tcbox, per second | share |", "|---|---:|---:|---:|---:|---:|"]
    for least in minimal:
        row = next(row for row in rows if (row["scenario"], row["clients"]) == (least["scenario"], least["clients"]))
        shown = [NAMES[str(least["scenario"])], f"{least['clients']:.0f}", f"{least['per_second']:,.0f}", f"{least['server_cpu_us']:.0f}"]
        lines.append(f"| {' | '.join(shown)} | {row['per_second']:,.0f} | {row['per_second'] / least['per_second']:.2f} |")
    return lines


def starts(rounds: int) -> tuple[float, float]:
    """Median seconds until ready on a fresh data folder, and until the command returned."""
    ready, command = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            instance = Instance(folder)
            ready.append(instance.start())
            command.append(instance.took)
            instance.stop()
    return statistics.median(ready), statistics.median(command)


def idle(instance: Instance, seconds: float) -> tuple[float, float]:
    """Memory in MiB, and the share of a core in per cent, while nothing happens."""
    time.sleep(2)
    before = instance.cpu()
    time.sleep(seconds)
    return instance.memory(), (instance.cpu() - before) / seconds * 100


def filled(folder: str, count: int) -> tuple[Instance, float]:
    """An instance with so many tasks in its database, in the form in which the queue writes them; seconds that its start then takes."""
    instance = Instance(folder)
    instance.start()
    instance.stop()
    subprocess.run([sys.executable, str(HERE / "fill.py"), f"{folder}/data", str(count)], check=True)
    return instance, instance.start()


def noop(rounds: int) -> float:
    """Median milliseconds from createTask to a resolved no-op task on the host worker."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(folder, workers=True)
        instance.start()
        command = [sys.executable, str(HERE / "noop.py"), *instance.access, str(rounds)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        instance.stop()
        return float(out)


def inside(count: int) -> list[str]:
    """Rows on instances inside a test's process: the first, and so many after it."""
    out = subprocess.run([sys.executable, str(HERE / "inside.py"), str(count)], check=True, capture_output=True, text=True).stdout
    first, *others = json.loads(out)

    def shown(part: str) -> str:
        took = sorted(row[part] for row in others)
        return f"{statistics.median(took):.1f} / {took[int(len(took) * 0.95)]:.1f} ms ({statistics.median(row[f'{part}_cpu'] for row in others):.1f} ms of CPU)"

    return [
        f"| first instance inside a test's process, import to ready | {first['ready'] / 1000:.2f} s |",
        f"| the next ones, start to ready, p50 / p95 of {count} | {shown('ready')} |",
        f"| their end, p50 / p95 | {shown('stop')} |",
    ]


def report(given: argparse.Namespace) -> list[str]:
    """Measure what was asked for; the lines for the page."""
    scale = 0.2 if given.quick else 1.0
    lines = [f"Python {platform.python_version()}, {os.cpu_count()} cores, Linux {platform.release()}; medians of {given.rounds} rounds.", ""]
    if given.only == "inside":
        return lines + inside(50)
    if not given.only:
        ready, command = starts(max(5, given.rounds))
        lines += ["| what | figure |", "|---|---:|", f"| start of the process to ready, fresh data folder | {ready:.2f} s |"]
        lines += [f"| `tcbox up --detach` from start to return | {command:.2f} s |", *inside(50)]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other, tempfile.TemporaryDirectory() as third:
        instance = Instance(folder)
        instance.start()
        if not given.only:
            memory, share = idle(instance, 10)
            lines += [f"| idle memory, without workers | {memory:.0f} MiB |", f"| idle CPU, share of a core | {share:.2f} % |"]
        minimal = Minimal(third)
        servers: list[Server] = [minimal, instance]
        if given.million:
            large, ready = filled(other, 1_000_000)
            servers.append(large)
        least, rows, *more = scenarios(servers, given.rounds, scale, given.only)
        minimal.stop()
        if not given.only:
            pickup = next(row for row in rows if row["scenario"] == "pickup")
            lines += [f"| createTask to a waiting worker's claim, p50 / p95 | {pickup['p50']:.1f} / {pickup['p95']:.1f} ms |"]
            lines += [f"| a no-op host task, createTask to resolved, p50 | {noop(30):.0f} ms |"]
            lines += [f"| memory after the runs | {instance.memory():.0f} MiB |"]
        lines += ["", "### An empty database", "", *table(rows)]
        if least:
            lines += ["", "### Beside the minimal server", "", *beside(least, rows)]
        if given.million:
            lines += ["", "### A million tasks in the database", "", f"Ready {ready:.2f} s after the start; {large.memory():.0f} MiB of memory after the runs."]
            for row in more[0]:
                if row["scenario"] == "pickup":
                    lines += [f"createTask to a waiting worker's claim: {row['p50']:.1f} ms (p50), {row['p95']:.1f} ms (p95)."]
            lines += ["", *table(more[0], rows)]
            large.stop()
        instance.stop()
    return lines


def write(lines: list[str], name: str) -> None:
    """Put the lines into the page, between the marks of this name; the rest of it stays as it is."""
    page = ROOT / "docs" / "performance.md"
    begin, end = (mark.format(name=name) for mark in MARKS)
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    text = "\n".join(lines)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def clustered(given: argparse.Namespace) -> list[str]:
    """The lines of a cluster, whose tools no other bench needs."""
    sys.path.insert(0, str(ROOT))
    import replicas

    return replicas.report(given.rounds, quick=given.quick)


def main() -> None:
    """Do what the command line asks for."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--quick", action="store_true", help="a fifth of the operations; nothing is written")
    args.add_argument("--million", action="store_true", help="all again with a million tasks in the database")
    args.add_argument("--only", choices=[*SCENARIOS, "pickup", "inside"], help="one scenario; nothing is written")
    args.add_argument("--replicas", action="store_true", help="services as processes of their own, with one to three of the queue")
    args.add_argument("--no-write", action="store_true", help="print the table only")
    given = args.parse_args()
    lines = clustered(given) if given.replicas else report(given)
    print("\n".join(lines))
    if not given.no_write and not given.only and not given.quick:
        write(lines, "replicas" if given.replicas else "bench")


if __name__ == "__main__":
    main()
