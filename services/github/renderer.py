"""Reads and renders `.taskcluster.yml` in a process apart, which is ended when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

import tcbox
from tcbox import errors

FLAG = "--render-helper"
"""A bundled program whose first argument is this renders, and does nothing else."""
SECONDS = 20.0
"""For one answer."""
MAX_ANSWER = 16 * 1024 * 1024


class RenderError(errors.TcboxError):
    """A file cannot be read or rendered; the message is for its author."""


class Renderer:
    """Makes sessions, each with a process of its own.

    Args:
        most: how many questions are answered at once; further ones wait for their turn.
        waiting: how many sessions there may be; a further one is refused.
    """

    def __init__(self, *, most: int = 2, waiting: int | None = None, seconds: float = SECONDS) -> None:
        self._turns = asyncio.Semaphore(most)
        self._waiting = waiting
        self._seconds = seconds
        self._open = 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session, ended with its process when it is left. Raises errors.Unavailable when there are too many."""
        if self._waiting is not None and self._open >= self._waiting:
            raise errors.Unavailable("Too many files are being rendered just now: try again.")
        self._open += 1
        session = Session(self._turns, self._seconds)
        try:
            yield session
        finally:
            self._open -= 1
            await session.close()


class Session:
    """Asks one process, which is started by the first question."""

    def __init__(self, turns: asyncio.Semaphore, seconds: float) -> None:
        self._turns = turns
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None

    async def load(self, text: str) -> Any:
        """The value of a YAML text. Raises RenderError."""
        return await self._ask({"do": "load", "text": text})

    async def parameters(self, config: Any, params: dict[str, Any], now: str) -> Any:
        """A file of version 0 with its parameters in place. Raises RenderError."""
        return await self._ask({"do": "parameters", "config": config, "params": params, "now": now})

    async def template(self, config: Any, context: dict[str, Any], *, seed: str, now: str) -> Any:
        """A file of version 1, rendered. Raises RenderError."""
        return await self._ask({"do": "template", "config": config, "context": context, "seed": seed, "now": now})

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def _ask(self, question: dict[str, Any]) -> Any:
        try:
            async with self._turns, asyncio.timeout(self._seconds):
                line = await self._exchange(msgspec.json.encode(question) + b"\n")
        except TimeoutError:
            await self.close()
            raise RenderError(f"Rendering takes longer than {self._seconds:g} seconds: make the file simpler.") from None
        except ValueError:
            await self.close()
            raise RenderError(f"What the file renders to is larger than {MAX_ANSWER // 1024 // 1024} MiB: make it smaller.") from None
        if not line:
            await self.close()
            raise RenderError("Rendering takes more memory or time than there is for it: make the file simpler.")
        answer = msgspec.json.decode(line)
        if "error" in answer:
            raise RenderError(answer["error"])
        return answer["value"]

    async def _exchange(self, line: bytes) -> bytes:
        process = self._process
        if process is None:
            process = self._process = await asyncio.create_subprocess_exec(
                *_command(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                cwd="/", env=_environment(), limit=MAX_ANSWER, start_new_session=True,
            )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(line)
            await process.stdin.drain()
        return await process.stdout.readline()


def _environment() -> dict[str, str]:
    """Nothing of the environment, which may hold secrets, but where a bundled program has its parts."""
    return {"PATH": "/usr/bin:/bin", **{name: value for name, value in os.environ.items() if name.startswith(("_PYI_", "_MEIPASS"))}}


def _command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, FLAG]
    package = Path(tcbox.__file__).parent
    return [sys.executable, "-I", str(Path(__file__).parent / "sandbox" / "main.py"), str(package.parent)]
