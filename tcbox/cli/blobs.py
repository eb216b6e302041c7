"""`tcbox blobs copy`: all artifacts and objects of an instance to another place, checked, while the instance serves if need be."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.cli import style
from tcbox.cli.progress import Line, amount

if TYPE_CHECKING:
    from tcbox.blobs.copy import Copied, Place
    from tcbox.blobs.copy.copier import Some

_SHOWN = 10
"""So many keys of a kind are printed, and the number of the rest."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The commands below `tcbox blobs`."""
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    text = "Copy all artifacts and objects of an instance to another place, and read back what was written. Run it again to go on, or to catch up."
    copy = commands.add_parser("copy", help="copy all artifacts and objects to another place", description=text)
    places = "a data folder, a tcbox.yml, file:///folder, or 's3://bucket/prefix?endpoint=...&region=...&access_key_id=...&secret_access_key=${env:NAME}'"
    copy.add_argument("--from", dest="source", required=True, metavar="WHERE", help=places)
    copy.add_argument("--to", dest="target", required=True, metavar="WHERE", help="the same; the bucket must be there")
    copy.add_argument("--delete", action="store_true", help="remove from the target what an earlier copy brought and the source has no more")
    copy.add_argument("--compare", action="store_true", help="write nothing, only read both and hold them against each other")
    copy.add_argument("--at-once", type=_number, default=8, metavar="N", help="how many are worked on at a time, 1 to 32 (default: 8)")
    copy.add_argument("--json", action="store_true", help="print one JSON object for scripts")


def run(args: argparse.Namespace) -> int:
    """Copy, or compare; 1 when the target does not hold all that the source does in the end."""
    try:
        return asyncio.run(_copy(args))
    except OSError as error:
        raise errors.TcboxError(f"{error.filename or 'a place'} could not be used: {error.strerror or error}") from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 32):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 32")
    return int(text)


async def _copy(args: argparse.Namespace) -> int:
    from tcbox.blobs import copy

    if args.delete and args.compare:
        raise errors.WrongUsage("--delete goes without --compare, which writes nothing")
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * args.at_once + 2, "copying"))
    clock = clocks.SystemClock()
    source, target = (copy.find(where, clock=clock, env=os.environ) for where in (args.source, args.target))
    if clash := source.clash(target):
        raise errors.TcboxError(clash)
    if not args.compare and (writing := target.user()):
        raise errors.TcboxError(f"{target.shown} is in use by {writing}: stop that first, or copy to another place")
    began, busy, line = time.monotonic(), source.user(), Line(quiet=args.json)
    try:
        await source.blobs.check()
        if not args.compare:
            await target.blobs.start()
        await target.blobs.check()
        copier = copy.Copier(source.blobs, target.blobs, at_once=args.at_once, clock=clock, tell=lambda copied: line.show(_progress(copied)))
        done = await (copier.compare() if args.compare else copier.copy(remove=args.delete))
    finally:
        line.clear()
        await target.blobs.close()
        await source.blobs.close()
    seconds = time.monotonic() - began
    if args.json:
        print(json.dumps({**_report(done), "seconds": round(seconds, 1), "sourceInUse": bool(busy)}, indent=2))
    else:
        _tell(args, done, target, busy, seconds)
    return 0 if done.same else 1


def _progress(copied: Copied) -> str:
    failed = f", {copied.failed.count} failed" if copied.failed.count else ""
    return f"{copied.seen.count} looked at ({amount(copied.seen.size)}), {copied.written.count} written ({amount(copied.written.size)}){failed}"


def _report(done: Copied) -> dict[str, Any]:
    kinds = ("seen", "written", "missing", "different", "extra", "removed")
    counts = {name: {"blobs": getattr(done, name).count, "bytes": getattr(done, name).size} for name in kinds}
    listed = {name: {**counts[name], "keys": list(getattr(done, name).named)} for name in ("missing", "different", "extra")}
    return {**counts, **listed, "failed": {"blobs": done.failed.count, "reasons": done.failed.named}, "same": done.same}


def _tell(args: argparse.Namespace, done: Copied, target: Place, busy: str, seconds: float) -> None:
    """Say how it ended."""
    print(f"{done.seen.count} blobs ({amount(done.seen.size)}) looked at in {seconds:.0f} s, {done.written.count} written ({amount(done.written.size)})")
    if done.removed.count:
        print(f"{done.removed.count} removed ({amount(done.removed.size)}), which the source has no more")
    left = done.extra.count - done.removed.count
    if left:
        advice = "they were not brought by a copy, and stay" if args.delete else "--delete removes those that a copy brought"
        print(f"{style.warn('note:')} {target.shown} has {left} more that the source has not ({amount(done.extra.size - done.removed.size)}): {advice}")
    if done.same:
        print(f"{style.ok('the same:')} {target.shown} holds all of it" + (", though the source is in use and goes on changing" if busy else ""))
        return
    for what, some in (("missing there", done.missing), ("different there", done.different), ("failed", done.failed)):
        _list(what, some)
    print(f"not the same yet: run this {'without --compare' if args.compare else 'again'} to write the rest", file=sys.stderr)


def _list(what: str, some: Some) -> None:
    for key, words in list(some.named.items())[:_SHOWN]:
        print(f"{style.bad(what, sys.stderr)}: {words if key in words else f'{key}: {words}' if words else key}", file=sys.stderr)
    if some.count > _SHOWN:
        print(f"{what}: {some.count - _SHOWN} more", file=sys.stderr)
