"""`tcbox down`: stop a running instance, letting what is under way finish."""

from __future__ import annotations

import argparse
import os
import signal
import time

from tcbox import errors
from tcbox.cli import connect


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox down`."""
    connect.options(parser)
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="how long to wait for it to end (default: 60)")


def run(args: argparse.Namespace) -> int:
    """Ask the process to end, and wait for it."""
    found = connect.running(args.data)
    os.kill(found.pid, signal.SIGTERM)
    until = time.monotonic() + args.timeout
    while time.monotonic() < until:
        if not found.alive():
            print(f"stopped the instance at {found.root_url}; its state is kept in {found.data}" if not found.ephemeral else f"stopped {found.root_url} and removed its folder")
            return 0
        time.sleep(0.05)
    raise errors.TcboxError(f"process {found.pid} has not ended after {args.timeout:.0f} s: see 'tcbox logs --data {found.data}', or wait longer with --timeout")
