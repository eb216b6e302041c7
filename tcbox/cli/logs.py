"""`tcbox logs`: what an instance, or one service of it, has logged."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from tcbox import errors, log
from tcbox.cli import connect
from tcbox.config import instance as instances
from tcbox.config import places

_PARTS = ("blobs", "box", "db", "events", "front", "http", "supervisor", "workers")
"""Parts beside the services that are no mistake to ask for, though they may have logged nothing yet."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox logs`."""
    parser.add_argument("service", nargs="?", metavar="SERVICE", help="only this service, or part such as workers")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as the log grows")
    parser.add_argument("-n", "--lines", type=int, default=200, metavar="N", help="how many of the newest lines (default: 200)")
    parser.add_argument("--json", action="store_true", help="the lines as they are stored")
    connect.options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the newest lines, and those that follow."""
    if args.lines < 0:
        raise errors.WrongUsage(f"--lines {args.lines}: give how many of the newest lines to show, 0 or more")
    folder = args.data or _folder()
    instances.Instance(folder).refuse_if_hidden()
    path = instances.Instance(folder).log_file
    if not path.is_file():
        raise errors.TcboxError(f"there is no log at {path}: no instance has run on {folder}")
    with path.open(encoding="utf-8", errors="replace") as file:
        found, kept = _newest(file, args.service, args.lines)
        if not kept and args.service is not None:
            _refuse_unknown(args.service, found)
        if not kept and args.lines > 0:
            print(f"{args.service} has logged nothing yet" if args.service else "nothing is logged yet", file=sys.stderr)
        for line in kept:
            print(line.rstrip("\n") if args.json else _readable(line), flush=True)
        if args.follow:
            for line in _growing(file, path):
                if _wanted(line, args.service):
                    print(line.rstrip("\n") if args.json else _readable(line), flush=True)
    return 0


def _folder() -> Path:
    """The data folder of the only instance that runs, else the default one, whose log is there when nothing runs."""
    return connect.running(None).data if instances.list_running() else places.default_data(os.environ)


def _refuse_unknown(part: str, found: set[str]) -> None:
    from tcbox.box import services
    from tcbox.config.guesses import meant

    known = sorted({*_PARTS, *services.NAMES, *found})
    if part not in known:
        hint = meant(part, known)
        raise errors.TcboxError(f"there is no part named {part}{f': {hint}' if hint else ''}; parts are: {', '.join(known)}")


def _newest(file: IO[str], service: str | None, count: int) -> tuple[set[str], list[str]]:
    """The names of the parts that have logged something, and the newest lines of the one that is asked for."""
    found: set[str] = set()
    kept: deque[str] = deque(maxlen=count)
    for line in file:
        if service is not None:
            found.add(line.partition('"service":"')[2].partition('"')[0])
        if _wanted(line, service):
            kept.append(line)
    return found - {""}, list(kept)


def _wanted(line: str, service: str | None) -> bool:
    return service is None or f'"service":"{service}"' in line or f'"service":"{service}.' in line


def _growing(file: IO[str], path: Path) -> Iterator[str]:
    """Lines as they are written, also after the file has been rotated away."""
    while True:
        line = file.readline()
        if line:
            yield line
            continue
        time.sleep(0.2)
        if path.exists() and path.stat().st_size < file.tell():
            file.seek(0)


def _readable(line: str) -> str:
    try:
        entry = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line.rstrip("\n")
    trace = entry.pop("traceback", None)
    level = entry.pop("level")
    text = f"{entry.pop('time')} {entry.pop('service'):<10} {'' if level in ('info', 'debug') else level.upper() + ' '}{entry.pop('message')}"
    text += "".join(f" {key}={value}" for key, value in entry.items())
    return log.plain(text + (f"\n{trace}" if trace else ""))
