"""`tcbox migrate`: bring the database's schema up to date, for services that run as processes of their own."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from tcbox import config, log
from tcbox.cli import serve


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox migrate`."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="services whose tables are meant (default: all that are on)")
    serve.options(parser)
    parser.add_argument("--wait", action="store_true", help="change nothing, and return when somebody else has brought it up to date")


def run(args: argparse.Namespace) -> int:
    """Do it, and return."""
    settings = serve.settings(args)
    from tcbox.box import parts, services

    faults = list(parts.database_faults(settings))
    if faults:
        raise config.ConfigError(faults)
    enabled = services.enabled(settings)
    names = [part.service for part in parts.parse(args.services, enabled)] if args.services else enabled
    asyncio.run(_migrate(settings, names, wait=args.wait))
    log.get("migrate").info("the schema is up to date", extra={"services": ", ".join(names)})
    return 0


async def _migrate(settings: Any, names: list[str], *, wait: bool) -> None:
    from tcbox import clock as clocks
    from tcbox import db
    from tcbox.box import parts, process, vendors
    from tcbox.events import Bus
    from tcbox.events.amqp import relay

    database = db.connect(vendors.text(settings.database), clock=clocks.SystemClock())
    try:
        used = parts.tables(parts.parse(names, names)) if wait else ()
        await process.schema(database, names, migrate=not wait, used=used)
        if not wait and settings.events not in ("", "local"):
            await relay.begin(Bus(database, clocks.SystemClock()), database)
    finally:
        await database.close()
