"""`tcbox db`: a whole instance's database copied to another engine, checked, or to a file as a backup, while it serves if need be."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tcbox import errors
from tcbox.cli import connect, style
from tcbox.cli.progress import Line
from tcbox.config.instance import Instance
from tcbox.config.values import masked, sqlite_path

_KEYS = "the keys are not in the database: keep the folder keys/ and root-client.json of the data folder"


def configure(parser: argparse.ArgumentParser) -> None:
    """The commands below `tcbox db`."""
    commands = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    text = "Copy a whole instance's database to another, and hold both against each other. Run it again to go on, or to catch up."
    copy = commands.add_parser("copy", help="copy a whole instance's database to another", description=text)
    copy.add_argument("--from", dest="source", required=True, metavar="WHERE", help="a data folder, sqlite:///path, or postgresql://user:password@host/name")
    copy.add_argument("--to", dest="target", required=True, metavar="WHERE", help="the same; the tables are made where there are none")
    copy.add_argument("--compare", action="store_true", help="write nothing, only hold both against each other")
    copy.add_argument("--json", action="store_true", help="print one JSON object for scripts")
    text = "Write an instance's SQLite database to a file, as it is at one moment. The instance may serve meanwhile."
    backup = commands.add_parser("backup", help="write an instance's SQLite database to a file", description=text)
    backup.add_argument("--from", dest="source", required=True, metavar="WHERE", help="a data folder, or sqlite:///path")
    backup.add_argument("--to", dest="target", required=True, type=Path, metavar="FILE", help="a file that is not there yet")


def run(args: argparse.Namespace) -> int:
    """Copy, or compare; 1 when both do not hold the same in the end."""
    return _back_up(args.source, args.target) if args.action == "backup" else asyncio.run(_copy(args))


def _back_up(where: str, target: Path) -> int:
    from tcbox.db.sqlite import keeping

    url = _url(where, source=True)
    if not url.startswith("sqlite://"):
        raise errors.TcboxError(f"{masked(where)} is no SQLite database: make backups of PostgreSQL with its own pg_dump")
    if target.exists():
        raise errors.TcboxError(f"{target} is there already: name another file, or remove it")
    path = sqlite_path(url)
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            keeping.copy(connection, target)
    except (sqlite3.Error, OSError) as error:
        raise errors.TcboxError(f"{path} cannot be written to {target} ({error}): check both paths, and that there is room") from error
    print(f"{path} is in {target}, {target.stat().st_size / (1 << 20):.1f} MiB")
    print(_KEYS)
    return 0


async def _copy(args: argparse.Namespace) -> int:
    from tcbox.db import copy

    source_url, target_url = _url(args.source, source=True), _url(args.target)
    if source_url == target_url:
        raise errors.WrongUsage("--from and --to are the same database")
    if not args.compare:
        await _prepare(target_url)
    began = time.monotonic()
    source = await copy.open_end(source_url, write=False)
    try:
        target = await copy.open_end(target_url, write=not args.compare)
    except BaseException:
        await source.close()
        raise
    shown = _Shown(quiet=args.json)
    try:
        busy = await source.users()
        if not args.compare and (writing := await target.users()):
            raise errors.TcboxError(f"{target.place} is in use by {writing}: stop that first, or copy to another database")
        copier = copy.Copier(source, target, tell=shown.progress)
        tables = await copier.check()
        done = []
        for table in tables:
            done.append(await (copier.compare(table) if args.compare else copier.copy(table)))
            shown.table(done[-1])
        if not args.compare:
            await target.finish(tables)
    finally:
        await target.close()
        await source.close()
    return _end(args, done, busy, time.monotonic() - began)


def _end(args: argparse.Namespace, done: list[Any], busy: str, seconds: float) -> int:
    differ = [each.table for each in done if not each.same]
    rows = sum(each.rows for each in done)
    if args.json:
        keys = ("table", "rows", "written", "checksum", "target_rows", "target_checksum", "same")
        report = {
            "tables": [{key: getattr(each, key) for key in keys} for each in done],
            "seconds": round(seconds, 1),
            "same": not differ,
            "sourceInUse": bool(busy),
        }
        print(json.dumps(report, indent=2))
    elif not differ:
        print(
            f"{rows} rows in {len(done)} tables, {seconds:.0f} s: both hold the same" + (", though the source is in use and goes on changing" if busy else "")
        )
    if differ and not args.json:
        why = f"{busy} changed it meanwhile: stop it, and run this again to catch up" if busy else "something else changed one of them: run this again"
        print(f"not the same yet: {', '.join(differ)}; {why}", file=sys.stderr)
    if not differ and not args.compare and not args.json:
        print(f"{_KEYS}, with `database:` in its tcbox.yml")
    return 1 if differ else 0


class _Shown:
    """What a person sees meanwhile."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._line = Line(quiet=quiet)

    def progress(self, progress: Any) -> None:
        """How far a table has come."""
        self._line.show(f"{progress.table}: {progress.read} rows read, {progress.written} written")

    def table(self, copied: Any) -> None:
        """A table that is done."""
        if self._quiet:
            return
        self._line.clear()
        mark = style.ok("same") if copied.same else style.bad(f"differs ({copied.target_rows} there)")
        print(f"{copied.table:<36} {copied.rows:>9} rows {copied.written:>9} written   {copied.checksum[:16]}  {mark}", flush=True)


async def _prepare(url: str) -> None:
    """Make the target's tables."""
    from tcbox import clock as clocks
    from tcbox import db
    from tcbox.box import services
    from tcbox.events import bus

    database = db.connect(url, clock=clocks.SystemClock())
    await database.start([bus.migrations, *map(services.migrations, services.NAMES)])
    await database.close()


def _url(where: str, *, source: bool = False) -> str:
    """The URL of a database; of a data folder its own, which must be the one in use when it is to be the `source`."""
    if where.startswith("sqlite:///"):
        return f"sqlite://{quote(str(sqlite_path(where)))}"
    if "://" in where:
        return where
    path = Path(where)
    if not path.is_dir():
        raise errors.TcboxError(f"{masked(where)} is no data folder: give one, or sqlite:///path/to/tcbox.db, or postgresql://user:password@host/name")
    folder = Instance(path)
    if source:
        _refuse_if_elsewhere(folder)
    return folder.database_url


def _refuse_if_elsewhere(folder: Instance) -> None:
    """Raise TcboxError when the instance that runs on a folder keeps its state in another database than the folder's."""
    running = folder.find_running()
    if running is None:
        return
    try:
        place = connect.control(running, "status").get("database", "")
    except errors.TcboxError:  # it is busy starting or stopping
        return
    if place not in ("", f"SQLite in {folder.database}"):
        raise errors.TcboxError(f"the instance that runs on {folder.data} has its database elsewhere ({place}): give that one, as its tcbox.yml has it")
