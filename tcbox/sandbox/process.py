"""One process apart: started, asked, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import tcbox
from tcbox.sandbox.child import Bounds

FLAG = "--sandbox"
"""A bundled program whose first argument is this runs `child.main` with the others, and nothing else."""


class BrokenOffError(Exception):
    """The process ended, or said something that is no answer."""


class Process:
    """A process that runs, and has said that it is ready."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.uses = 0

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    async def ask(self, question: bytes, largest: int) -> bytes:
        """The answer to a question. Raises BrokenOffError, and is of no use any more when it does or is cancelled."""
        assert self._process.stdin is not None
        self.uses += 1
        try:
            self._process.stdin.writelines((len(question).to_bytes(4, "big"), question))
            await self._process.stdin.drain()
            return await self.read(largest)
        except OSError:
            raise BrokenOffError from None

    async def read(self, largest: int) -> bytes:
        """The next answer, which must not be larger than this."""
        assert self._process.stdout is not None
        try:
            size = int.from_bytes(await self._process.stdout.readexactly(4), "big")
            if size > largest:
                raise BrokenOffError
            return await self._process.stdout.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            raise BrokenOffError from None

    async def end(self) -> int:
        """Kill it, unless it ended; its status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        code = await self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(OSError):
            await self._process.stdin.wait_closed()
        return code

    async def ended(self) -> int:
        """Its status, once it has ended by itself; it is killed when that takes long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._process.wait()
        return await self.end()


async def start(program: str, bounds: Bounds) -> Process:
    """Start a process that answers by the table of a module, and wait until it is ready. Raises BrokenOffError, OSError."""
    pipe = asyncio.subprocess.PIPE
    made = await asyncio.create_subprocess_exec(
        *_command(), program, *map(str, bounds), stdin=pipe, stdout=pipe, cwd="/", env=_environment(), start_new_session=True
    )
    process = Process(made)
    try:
        await process.read(0)
    except BaseException:
        await process.end()
        raise
    return process


def _environment() -> dict[str, str]:
    """Nothing of the environment, which may hold secrets, but where a bundled program has its parts."""
    return {"PATH": "/usr/bin:/bin", **{name: value for name, value in os.environ.items() if name.startswith(("_PYI_", "_MEIPASS"))}}


def _command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, FLAG]
    package = Path(tcbox.__file__).parent
    return [sys.executable, "-I", "-B", str(package / "sandbox" / "child.py"), str(package.parent)]
