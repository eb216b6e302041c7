"""`tcbox status`: what runs, and how it is."""

from __future__ import annotations

import argparse
import json

from tcbox.cli import connect, style
from tcbox.config import instance as instances


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox status`."""
    connect.options(parser)
    parser.add_argument("--all", action="store_true", help="list the instances that run, one a line")
    parser.add_argument("--json", action="store_true", help="print all of it for scripts")


def run(args: argparse.Namespace) -> int:
    """Print it; exit 1 when nothing runs or something is not healthy."""
    if args.all:
        return _list(instances.list_running(), as_json=args.json)
    found = connect.running(args.data)
    status = connect.control(found, "status")
    if args.json:
        print(json.dumps({"data": str(found.data), "pid": found.pid, **status}, indent=2))
    else:
        _print(found, status)
    return 0 if all(service["state"] == "healthy" for service in status["services"].values()) else 1


def _list(every: list[instances.Running], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([{"data": str(one.data), "rootUrl": one.root_url, "pid": one.pid} for one in every], indent=2))
    else:
        if not every:
            print("no instance is running: start one with 'tcbox up'")
        for one in every:
            print(f"{style.ok('●')} {one.root_url}  --data {one.data}  process {one.pid}")
    return 0


def _print(found: instances.Running, status: dict[str, object]) -> None:
    print(f"{style.bold(found.root_url)}  process {found.pid}, data in {found.data}")
    services, workers = status["services"], status["workers"]
    assert isinstance(services, dict)
    assert isinstance(workers, dict)
    width = max([10, *map(len, services)])
    for name, service in services.items():
        good = service["state"] == "healthy"
        print(f"  {style.mark(good)} {name:<{width}} {service['state']}")
        for line in [*service["faults"], *service.get("notes", ())]:
            print(f"      {line}")
    for note in status["notes"]:  # type: ignore[attr-defined]
        print(f"  {style.warn('-')} {note}")
    if "database" in status:
        print(f"  {'database':<{width + 2}} {status['database']}")
    for name, worker in workers.items():
        good = worker["state"] == "running"
        why = f": {worker['why']}" if worker["why"] else ""
        queues = ", ".join(worker["queues"])
        print(f"  {style.mark(good)} worker {name:<8} {worker['state']}{why}  ({queues}; {worker['capacity']} at once)")
