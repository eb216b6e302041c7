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
    try:
        os.kill(found.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended by itself
    except PermissionError as error:
        raise errors.TcboxError(f"process {found.pid} belongs to another user: stop it as that user, or as root") from error
    until = time.monotonic() + args.timeout
    while time.monotonic() < until:
        if not found.alive():
            kept = f"removed its folder {found.data}" if found.ephemeral else f"its state is kept in {found.data}"
            print(f"stopped the instance at {found.root_url}; {kept}")
            return 0
        time.sleep(0.05)
    raise errors.TcboxError(f"process {found.pid} has not ended after {args.timeout:g} s: see 'tcbox logs --data {found.data}', or wait longer with --timeout")
