"""`tcbox restart SERVICE`: stop one service and start it again while the others serve."""

from __future__ import annotations

import argparse

from tcbox.cli import connect


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox restart`."""
    parser.add_argument("service", metavar="SERVICE", help="the service, as 'tcbox status' names it")
    connect.options(parser)


def run(args: argparse.Namespace) -> int:
    """Restart it."""
    found = connect.running(args.data)
    reply = connect.control(found, "restart", {"service": args.service})
    print(f"restarted {args.service} in {reply['milliseconds']:.0f} ms")
    return 0
