"""What a run is given besides the project: secrets, and variables of every task."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.client import Caller
from tcbox.run.faults import CannotRun, WrongUsage

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def secrets(pairs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Secrets by their names: `NAME=VALUE`, `NAME=@FILE`, or `NAME` alone for a variable or a question.

    Raises WrongUsage.
    """
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, mark, text = pair.partition("=")
        if not name:
            raise WrongUsage(f"--secret {pair}: expected a name, as in --secret project/x/token=VALUE")
        if mark and text.startswith("@"):
            try:
                text = Path(text[1:]).read_text().removesuffix("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise WrongUsage(f"--secret {name}: cannot read {text[1:]}: {error}") from error
        elif not mark:
            text = _asked(name)
        elif text.lstrip().startswith("{"):
            _refuse_broken(name, text)
        found[name] = _value(text)
    return found


def _asked(name: str) -> str:
    text = os.environ.get(name)
    if text is not None:
        return text
    if not sys.stdin.isatty():
        raise WrongUsage(f"--secret {name} has no value: write --secret {name}=VALUE, or {name}=@FILE, or set the variable {name}")
    return getpass.getpass(f"secret {name}: ")


def _refuse_broken(name: str, text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        advice = f"mend it; or, if it is to be a text, put it into a file: --secret {name}=@FILE"
        raise WrongUsage(f"--secret {name} begins as a JSON object does, and is none ({error}): {advice}") from error


def _value(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {"value": text}
    return value if isinstance(value, dict) else {"value": text}


def hidden(found: Mapping[str, Any]) -> list[str]:
    """The texts that must not be shown: all in the values of secrets that are long enough to be told from other text."""
    texts: set[str] = set()
    left: list[Any] = list(found.values())
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str):
            texts |= {line for line in value.splitlines() if len(line) >= 4}
    return sorted(texts, key=len, reverse=True)


async def put(caller: Caller, found: Mapping[str, dict[str, Any]], *, ours: bool, now: int) -> None:
    """Put secrets into an instance.

    Args:
        ours: the instance is this run's own; on another, a secret that differs is its owner's, and stays.

    Raises CannotRun.
    """
    for name, value in found.items():
        if not ours:
            try:
                before = (await caller.call("secrets", "get", name))["secret"]
            except errors.ResourceNotFound:
                before = value
            if before != value:
                raise CannotRun(f"the instance has a secret {name} with another value: leave out --secret {name}, or run with --ephemeral")
        await caller.call("secrets", "set", name, payload={"secret": value, "expires": clocks.to_wire(now + 7 * clocks.DAY)})


def variables(path: Path) -> dict[str, str]:
    """The variables of a file of `NAME=VALUE` lines, as shells and `docker --env-file` know them; `NAME` alone is this environment's.

    Raises WrongUsage with the line.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"--env-file {path}: {error.strerror if isinstance(error, OSError) else error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, mark, value = text.removeprefix("export ").partition("=")
        name = name.strip()
        if _NAME.fullmatch(name) is None:
            raise WrongUsage(f"--env-file {path}, line {number}: expected NAME=VALUE")
        if mark:
            found[name] = _unquoted(value.strip())
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        try:
            words = shlex.split(value)
        except ValueError:
            return value
        return words[0] if len(words) == 1 else value
    return value
