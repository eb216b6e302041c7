"""`tcbox ui`: open the instance's pages in a browser, signed in as the owner by a link that works once."""

from __future__ import annotations

import argparse
import html
import os
import sys
from pathlib import Path

from tcbox import errors
from tcbox.cli import connect
from tcbox.config.instance import Running, write_private


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox ui`."""
    connect.options(parser)
    parser.add_argument("--cluster", action="store_true", help="of services that run as processes of their own: make the link in their database")
    parser.add_argument("--config", type=Path, metavar="FILE", help="with --cluster: their configuration (default: ./tcbox.yml if it is there)")
    parser.add_argument("--print", action="store_true", help="print the link instead of opening it; it works once, within 10 minutes")


def run(args: argparse.Namespace) -> int:
    """Open them, or print the link where no browser can be opened."""
    if args.config is not None and not args.cluster:
        raise errors.WrongUsage("--config goes with --cluster: the pages of an instance are found by its data folder, with --data; leave it out")
    if args.cluster and args.data is not None:
        raise errors.WrongUsage("--cluster goes without --data: the link is made in the database that the configuration names; leave one of them out")
    if args.cluster:
        print(_in_database(args.config))
        return 0
    found = connect.running(args.data)
    url = str(connect.control(found, "sign-in", {})["url"])
    if not args.print and _opened(found, url):
        print("opened in your browser; if nothing shows up, use: tcbox ui --print")
        return 0
    print(url)
    if sys.stdout.isatty():
        print("This link signs the owner in, once, within 10 minutes.", file=sys.stderr)
    return 0


def _in_database(path: Path | None) -> str:
    """A link that any process of a cluster takes."""
    import asyncio

    from tcbox import clock as clocks
    from tcbox import config, db
    from tcbox.cli.config import chosen
    from tcbox.services.web_server import store
    from tcbox.services.web_server.links import Links

    settings = config.load(chosen(path), {}, os.environ)
    if not settings.root_url or not settings.database:
        raise errors.TcboxError("a cluster's configuration has root_url and database: give it with --config, or as TCBOX_ROOT_URL and TCBOX_DATABASE")
    if settings.services.web_server.links != "anywhere":
        raise errors.TcboxError("links are taken through a proxy only with services.web_server.links: anywhere: set it for the web server, and here")

    async def make() -> str:
        clock = clocks.SystemClock()
        database = db.connect(str(settings.database), clock=clock)
        await database.start([store.migrations])
        try:
            return await Links(database, clock).make()
        finally:
            await database.close()

    return f"{settings.root_url.rstrip('/')}/sign-in#{asyncio.run(make())}"


def _opened(found: Running, url: str) -> bool:
    """Whether a browser with a window could be told to open it.

    It is told of a file that leads on, which only the owner can read: every user of the machine sees a program's arguments.
    """
    import webbrowser

    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER")):
        return False
    page = Path(found.data) / "run" / "sign-in.html"
    write_private(page, f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={html.escape(url)}">'.encode())
    try:
        return webbrowser.open(page.as_uri())
    except webbrowser.Error:
        return False
