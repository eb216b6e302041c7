"""`tcbox worker run`: a worker on its own, against any Taskcluster instance."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.cli import forms
from tcbox.client.http import Credentials
from tcbox.config import values

if TYPE_CHECKING:
    from tcbox.workers.settings import WorkerSettings

_OF_KINDS = {
    "queue": ("docker", "host"),
    "docker_url": ("docker", "host"),
    "free_disk_mb": ("docker", "host"),
    "live_log_host": ("docker", "host"),
    "live_log_url": ("docker", "host"),
    "no_d2g": ("host",),
    **dict.fromkeys(("privileged", "dind_image", "memory_mb", "processes", "cpus", "images_mb", "trusted_key"), ("docker",)),
}
"""The options that not all kinds of workers have, and those that have them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox worker`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_parser = actions.add_parser("run", help="serve a task queue until SIGTERM", description="Serve a task queue until SIGTERM.")
    run_parser.add_argument("--kind", required=True, choices=("docker", "host", "builtin"), help="what runs the tasks; host gives no isolation")
    run_parser.add_argument("--root-url", help="the instance (default: TASKCLUSTER_ROOT_URL)")
    run_parser.add_argument("--queue", help="the task queue (default: local/<kind>)")
    run_parser.add_argument("--worker-group", default="local", help="the group it belongs to (default: local)")
    run_parser.add_argument("--worker-id", help="unique within the group (default: this machine's name)")
    run_parser.add_argument("--capacity", type=int, default=1, metavar="N", help="how many tasks at once (default: 1)")
    run_parser.add_argument("--serve", action="append", default=[], metavar="PATTERN", help="further task queues, by name or pattern with *")
    run_parser.add_argument("--folder", type=Path, help="where tasks' folders and caches are kept (default: ./tcbox-worker)")
    run_parser.add_argument("--live-log-host", default="127.0.0.1", help="the address that live logs are served at (default: 127.0.0.1)")
    run_parser.add_argument("--live-log-url", help="base of the live logs' URLs, when they are reached by another address")
    run_parser.add_argument(
        "--docker-url", default="unix:///var/run/docker.sock", help="where the Docker engine listens (default: unix:///var/run/docker.sock)"
    )
    run_parser.add_argument("--free-disk-mb", type=int, default=2000, metavar="N", help="docker, host: claim nothing while less is free (default: 2000)")
    run_parser.add_argument("--no-d2g", action="store_true", help="host: refuse docker-worker payloads instead of running them by 'docker run'")
    docker = run_parser.add_argument_group("docker workers")
    docker.add_argument("--privileged", action="store_true", help="let tasks with the scope have privileged containers")
    docker.add_argument("--dind-image", default="", metavar="IMAGE", help="let tasks with the scope have a Docker engine of this image beside them")
    docker.add_argument("--memory-mb", type=int, default=0, metavar="N", help="most memory of a container (default: 0, nine tenths of the machine)")
    docker.add_argument("--processes", type=int, default=4096, metavar="N", help="most processes of a container, 0 for no limit (default: 4096)")
    docker.add_argument("--cpus", type=float, default=0, metavar="N", help="most processors of a container (default: 0, all)")
    docker.add_argument("--images-mb", type=int, default=40000, metavar="N", help="how much images may take between tasks (default: 40000)")
    docker.add_argument("--trusted-key", action="append", default=[], metavar="KEY", help="certify tasks only in images certified by this public key")
    run_parser.set_defaults(defaults={name: run_parser.get_default(name) for name in _OF_KINDS})


def run(args: argparse.Namespace) -> int:
    """Serve until asked to stop."""
    from tcbox.workers.run import run_alone

    root_url = args.root_url or os.environ.get("TASKCLUSTER_ROOT_URL")
    client_id, token = os.environ.get("TASKCLUSTER_CLIENT_ID"), os.environ.get("TASKCLUSTER_ACCESS_TOKEN")
    if not root_url or not client_id or not token:
        raise errors.TcboxError(
            "a worker needs an instance and credentials: set TASKCLUSTER_ROOT_URL (or --root-url), TASKCLUSTER_CLIENT_ID and "
            "TASKCLUSTER_ACCESS_TOKEN, as 'tcbox env' prints them"
        )
    _refuse_others(args)
    _check(args)
    forms.check("--root-url" if args.root_url else "TASKCLUSTER_ROOT_URL", root_url, values.RootUrl)
    forms.check("TASKCLUSTER_ACCESS_TOKEN", token, values.AccessToken, secret=True)
    log.setup()
    settings = _settings(args)
    credentials = Credentials(client_id, token, os.environ.get("TASKCLUSTER_CERTIFICATE"))
    import asyncio

    asyncio.run(run_alone(settings, root_url=root_url, credentials=credentials, clock=clocks.SystemClock()))
    return 0


def _refuse_others(args: argparse.Namespace) -> None:
    """Raise WrongUsage for an option that the worker's kind makes nothing of."""
    for name, kinds in _OF_KINDS.items():
        if args.kind not in kinds and getattr(args, name) != args.defaults[name]:
            goes = " or ".join(f"--kind {kind}" for kind in kinds)
            raise errors.WrongUsage(f"--{name.replace('_', '-')} goes with {goes}: a {args.kind} worker makes nothing of it; leave it out")


def _check(args: argparse.Namespace) -> None:
    """Raise WrongUsage for what no instance would take."""
    if args.capacity < 1:
        raise errors.WrongUsage("--capacity is how many tasks run at once: give 1 or more")
    given: list[tuple[str, Any, Any]] = [
        ("--queue", args.queue, values.TaskQueue), ("--worker-group", args.worker_group, forms.Name), ("--worker-id", args.worker_id, forms.Name),
        *(("--serve", each, values.TaskQueues) for each in args.serve), *(("--trusted-key", each, values.PublicKey) for each in args.trusted_key),
        ("--live-log-host", args.live_log_host, values.Address), ("--live-log-url", args.live_log_url, values.HttpUrl),
        ("--memory-mb", args.memory_mb, values.Amount), ("--processes", args.processes, values.Amount), ("--cpus", args.cpus, values.Processors),
        ("--free-disk-mb", args.free_disk_mb, values.Amount), ("--images-mb", args.images_mb, values.Amount),
    ]  # fmt: skip
    for flag, value, kind in given:
        if value is not None:
            forms.check(flag, value, kind)


def _settings(args: argparse.Namespace) -> WorkerSettings:
    from tcbox.workers.settings import WorkerSettings

    worker_id = args.worker_id or "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname())[:38] or "worker"
    return WorkerSettings(
        kind=args.kind, task_queue_id=args.queue or f"local/{args.kind}", worker_group=args.worker_group, worker_id=worker_id,
        capacity=args.capacity, serve=tuple(args.serve), folder=(args.folder or Path("tcbox-worker")).absolute(), instance=f"worker-{worker_id}",
        live_log_host=args.live_log_host, live_log_url=args.live_log_url, docker_url=args.docker_url, d2g=not args.no_d2g,
        privileged=args.privileged, dind_image=args.dind_image, memory_mb=args.memory_mb, processes=args.processes, cpus=args.cpus,
        free_disk_mb=args.free_disk_mb, images_mb=args.images_mb, trusted_keys=tuple(args.trusted_key),
    )  # fmt: skip
