"""Asks git, the program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tcbox.run.faults import CannotRun

_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "advice.addEmbeddedRepo=false", "-c", "core.safecrlf=false", "-c", "gc.auto=0")
"""A look at a repository must run none of its hooks, and must not tidy it."""


def ask(root: Path, *words: str, env: Mapping[str, str] | None = None, text: str | None = None) -> str:
    """What git says, without the last line break.

    Raises CannotRun with git's own words.
    """
    done = run(root, *words, env=env, text=text)
    if done.returncode:
        raise CannotRun(f"git {words[0]} in {root}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.removesuffix("\n")


def maybe(root: Path, *words: str) -> str:
    """What git says, empty when it has nothing to say."""
    done = run(root, *words)
    return "" if done.returncode else done.stdout.removesuffix("\n")


def run(root: Path, *words: str, env: Mapping[str, str] | None = None, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end.

    Raises CannotRun when there is no git.
    """
    own = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})}
    command = [shutil.which("git") or "git", *_QUIET, *words]
    try:
        return subprocess.run(  # noqa: S603 - git with words of this program's own
            command, cwd=root, env=own, input=text, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
        )
    except FileNotFoundError as error:
        raise CannotRun("git is not installed: install it (apt-get install git), since the work tree is served to the tasks by it") from error
