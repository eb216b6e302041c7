"""`tcbox ui`: open the instance's pages in a browser, signed in as the owner by a link that works once."""

from __future__ import annotations

import argparse
import html
import os
import sys
from pathlib import Path

from tcbox.cli import connect
from tcbox.config.instance import Running, write_private


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox ui`."""
    connect.options(parser)
    parser.add_argument("--print", action="store_true", help="print the link instead of opening it; it works once, within 10 minutes")


def run(args: argparse.Namespace) -> int:
    """Open them, or print the link where no browser can be opened."""
    found = connect.running(args.data)
    url = str(connect.control(found, "sign-in", {})["url"])
    if not args.print and _opened(found, url):
        print("opened in your browser; if nothing shows up, use: tcbox ui --print")
        return 0
    print(url)
    if sys.stdout.isatty():
        print("This link signs the owner in, once, within 10 minutes.", file=sys.stderr)
    return 0


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
