"""`tcbox doctor`: what is missing or wrong on this machine or in the data folder, and the command that mends it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox import config, errors
from tcbox.cli import style
from tcbox.cli.config import chosen
from tcbox.config import instance as instances
from tcbox.config import variables

if TYPE_CHECKING:
    from tcbox.cli.checkup.finding import Finding, Patient


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox doctor`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: ./tcbox.yml if it is there)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the data folder (default: the configuration's, else the default folder)")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended without risk")
    parser.add_argument("--json", action="store_true", help="print the findings for scripts")


def run(args: argparse.Namespace) -> int:
    """Examine, mend if asked to, and say it; exit 1 when something is wrong and stays so."""
    found = [_mended(each) if args.fix else each for each in examine(args.config, args.data)]
    if args.json:
        print(json.dumps([_plain(each) for each in found], indent=2))
    else:
        _print(found)
    return 1 if any(each.state == "wrong" for each in found) else 0


def examine(path: Path | None, data: Path | None) -> Iterator[Finding]:
    """All findings, as they are made."""
    from tcbox.cli.checkup import database, finding, folder, keys, machine, network, remains

    settings, faults = _settings(path, data)
    yield from faults
    yield from (finding.note("environment", sentence) for sentence in variables.told(os.environ))
    place = instances.Instance(settings.data)
    patient = finding.Patient(settings, place, place.find_running())
    checks: list[Callable[[Patient], Iterator[Finding]]] = [
        machine.python, machine.clock, machine.temporary, folder.place, folder.user, database.database, keys.keys, network.port, network.broker, machine.docker,
        remains.remains,
    ]  # fmt: skip
    for check in checks:
        try:
            yield from check(patient)
        except OSError as error:
            yield finding.wrong(check.__name__, f"cannot be examined: {error}")


def _settings(path: Path | None, data: Path | None) -> tuple[config.Settings, list[Finding]]:
    """What is in force, or the defaults beside what is wrong with the configuration."""
    from tcbox.cli.checkup.finding import ok, wrong

    try:
        file = chosen(path)
        settings = config.load(file, {"data": data}, os.environ)
    except config.ConfigError as error:
        return config.load(None, {"data": data}, os.environ), [wrong("configuration", str(fault)) for fault in error.faults]
    except errors.TcboxError as error:
        return config.load(None, {"data": data}, os.environ), [wrong("configuration", str(error))]
    return settings, [ok("configuration", str(file) if file is not None else "none: the defaults are in force")]


def _mended(found: Finding) -> Finding:
    if found.mend is None or found.state == "ok":
        return found
    try:
        found.mend()
    except (OSError, errors.TcboxError) as error:
        return dataclasses.replace(found, message=f"{found.message}; mending failed: {error}")
    return dataclasses.replace(found, state="mended")


def _plain(found: Finding) -> dict[str, Any]:
    return {"check": found.check, "state": found.state, "message": found.message, "command": found.command or None, "fixable": found.mend is not None}


def _print(found: list[Finding]) -> None:
    marks = {"ok": style.ok("●"), "note": style.warn("●"), "wrong": style.bad("○"), "mended": style.ok("✓")}
    for each in found:
        print(f"{marks[each.state]} {each.check:<14} {'mended: ' if each.state == 'mended' else ''}{each.message}")
        if each.command and each.state in ("note", "wrong"):
            print(f"  {'':<14} {style.dim('→')} {style.bold(each.command)}")
    wrong = [each for each in found if each.state == "wrong"]
    if not wrong:
        print("nothing is wrong")
        return
    fixable = sum(each.mend is not None for each in wrong)
    print(f"{len(wrong)} wrong" + (f", of which 'tcbox doctor --fix' mends {fixable}" if fixable else ""))
