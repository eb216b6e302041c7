"""The instance that a run uses: one that runs, or a throwaway of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tcbox.config.instance import Instance, Running
from tcbox.run.faults import CannotRun

_CONFIG = """log: {level: warning}
workers:
  host: {enabled: false}
  docker: {enabled: false}
"""
_CONFIG_KEPT = "log: {level: warning}\n"
_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Target:
    """An instance.

    Attributes:
        ours: it was started for this run, so that its roles and secrets are this run's to make.
        served: task queues, and patterns of them, that its own workers serve.
    """

    root_url: str
    client_id: str
    access_token: str
    data: Path
    ours: bool
    kept: bool = False
    served: tuple[str, ...] = field(default=())


def existing(found: Running, status: dict[str, Any]) -> Target:
    """One that runs already; `status` is what it says of itself."""
    served = [name for each in status.get("workers", {}).values() if each["state"] == "running" for name in each["queues"]]
    return Target(found.root_url, found.client_id, found.access_token, found.data, ours=False, served=tuple(served))


@contextlib.asynccontextmanager
async def throwaway(host: str, *, keep: bool) -> AsyncIterator[Target]:
    """A new one, ended and gone when it is left, also when this process is killed; unless it is to be kept.

    Args:
        host: the address that it listens at, which tasks in containers must reach too.

    Raises CannotRun when it does not start.
    """
    with tempfile.NamedTemporaryFile("w", prefix="tcbox-run-", suffix=".yml") as config:
        config.write(_CONFIG_KEPT if keep else _CONFIG)
        config.flush()
        ending = ["--detach"] if keep else ["--while-stdin"]
        process = await asyncio.create_subprocess_exec(
            *_program(), "up", "--ephemeral", "--json", "--config", config.name, "--host", host, *ending,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=_environment(), start_new_session=True,
        )  # fmt: skip
        try:
            target = await _ready(process, keep=keep)
        except BaseException:
            await _end(process)
            raise
    try:
        yield target
    finally:
        if not keep:
            await _end(process)


async def _ready(process: asyncio.subprocess.Process, *, keep: bool) -> Target:
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            while line := await process.stdout.readline():
                said += line
                if line == b"}\n":
                    break
    except TimeoutError as error:
        raise CannotRun(f"the throwaway instance was not ready after {_PATIENCE} s") from error
    try:
        info = json.loads(said)
    except ValueError as error:
        assert process.stderr is not None
        why = (await process.stderr.read()).decode(errors="replace").strip().removeprefix("tcbox up: ")
        raise CannotRun(f"the throwaway instance did not start: {why or 'it said nothing'}") from error
    own = info["credentials"]
    served = [name for text in info["workers"].values() if not text.startswith("not running") for name in text.split(", ")]
    return Target(info["rootUrl"], own["clientId"], own["accessToken"], Path(info["data"]), ours=True, kept=keep, served=tuple(served))


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    waiting = asyncio.ensure_future(process.communicate())
    try:
        await asyncio.wait_for(asyncio.shield(waiting), 20)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await waiting


def _program() -> list[str]:
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "tcbox"]


def _environment() -> dict[str, str]:
    env = dict(os.environ)
    if getattr(sys, "frozen", False):
        env["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    else:  # the same tcbox as this one, wherever it was started from
        package = str(Path(__file__).parents[2])
        env["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [env.get("PYTHONPATH")])])
    return env


def running(data: Path) -> Running | None:
    """The instance that runs on a folder."""
    return Instance(data).find_running()
