"""`tcbox config`: check a configuration, show what is in force, describe what can be set."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from tcbox import config, errors
from tcbox.config import checks, variables


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox config`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("check", "say every mistake, or that there is none"), ("show", "print what is in force, and where it was said")):
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        action.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: ./tcbox.yml if it is there)")
        action.add_argument("--json", action="store_true", help="print it for scripts")
    actions.add_parser("schema", help="print the JSON schema of tcbox.yml, for editors", description="Print the JSON schema of tcbox.yml, for editors.")


def chosen(path: Path | None) -> Path | None:
    """The file that was named, or `./tcbox.yml` when it is there.

    Raises TcboxError when the named one is not there, or whether there is one cannot be seen.
    """
    found = path if path is not None else Path("tcbox.yml")
    advice = "give the path of a configuration with --config, or leave it out for the defaults"
    try:
        folder = found.is_dir()
        there = found.exists()
    except OSError as error:
        where = str(found) if path is not None else f"{found} of this folder"
        raise errors.TcboxError(f"{where} cannot be used: {error.strerror}; give the path of a configuration that you may read with --config") from error
    if path is not None and folder:
        raise errors.TcboxError(f"{path} is a folder: {advice}")
    if path is not None and not there:
        raise errors.TcboxError(f"there is no file {path}: {advice}")
    return found if there else None


def run(args: argparse.Namespace) -> int:
    """Check, show or describe."""
    if args.action == "schema":
        from tcbox.config import describe

        print(json.dumps(describe.json_schema(), indent=2))
        return 0
    return _check(args) if args.action == "check" else _show(args)


def _check(args: argparse.Namespace) -> int:
    path = chosen(args.config)
    faults = config.check(path)
    if args.json:
        print(json.dumps([{"place": fault.place, "key": fault.key, "message": str(fault)} for fault in faults], indent=2))
    elif faults:
        raise config.ConfigError(list(faults))
    else:
        print(f"{path}: no mistakes" if path is not None else "there is no tcbox.yml here: the defaults are in force, and have no mistakes")
        for note in (*checks.notes(config.load(path)), *variables.told(os.environ)):
            print(f"note: {note}")
    return 1 if faults else 0


def _show(args: argparse.Namespace) -> int:
    from tcbox.config import describe

    settings = config.load(chosen(args.config))
    rows = list(describe.in_force(settings))
    if args.json:
        print(json.dumps({key: {"value": value, "origin": origin} for key, value, origin in rows}, indent=2, default=str))
        return 0
    for key, value, origin in rows:
        print(f"{key} = {json.dumps(value, default=str)}" + ("" if origin == "default" else f"    # {origin}"))
    return 0
