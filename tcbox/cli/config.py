"""`tcbox config`: check a configuration, show what is in force, describe what can be set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tcbox import config


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox config`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("check", "say every mistake, or that there is none"), ("show", "print what is in force, and where it was said")):
        action = actions.add_parser(name, help=text)
        action.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: ./tcbox.yml if it is there)")
        action.add_argument("--json", action="store_true")
    actions.add_parser("schema", help="print the JSON schema of tcbox.yml, for editors")


def chosen(path: Path | None) -> Path | None:
    """The file that was named, or `./tcbox.yml` when it is there."""
    if path is not None:
        return path
    found = Path("tcbox.yml")
    return found if found.exists() else None
