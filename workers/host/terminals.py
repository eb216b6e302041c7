"""A shell of this machine with a terminal of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
from pathlib import Path
from typing import Any

from tcbox.workers.host.processes import CannotStart, Group, Keeper, KeeperGone

_CHUNK = 4096
_FULL_S = 0.02


class LocalTerminal:
    """A command below the keeper whose standard input and output are a terminal; it ends with the worker in any case."""

    def __init__(self, master: int, group: Group) -> None:
        self._master, self._group = master, group
        self._output: asyncio.Queue[bytes] = asyncio.Queue()
        self._command: asyncio.Task[Any] | None = None
        os.set_blocking(master, False)
        asyncio.get_running_loop().add_reader(master, self._readable)

    @classmethod
    async def open(cls, keeper: Keeper, argv: list[str], *, folder: Path, env: dict[str, str]) -> LocalTerminal:
        """Start a command.

        Raises OSError when no terminal is to be had.
        """
        group = await keeper.group()
        try:
            master, slave = pty.openpty()
        except OSError:
            await group.close()
            raise
        terminal = cls(master, group)
        terminal._command = asyncio.create_task(terminal._run(slave, argv, folder, env), name="shell")
        return terminal

    async def _run(self, slave: int, argv: list[str], folder: Path, env: dict[str, str]) -> None:
        try:
            await self._group.run(argv, folder=folder, env=env, terminal=os.ttyname(slave))
        except (CannotStart, KeeperGone) as error:
            self._output.put_nowait(f"{argv[0]} cannot be run: {error}\r\n".encode())
        finally:
            os.close(slave)  # with it the terminal ends, and its reader comes to the end of the output

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # how Linux says that nobody has the other end any more
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self._output.put_nowait(data)

    async def read(self) -> bytes:
        """What was written next; nothing when the command has ended."""
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        """Type; waits while the command does not read."""
        view = memoryview(data)
        while view and self._master >= 0:
            try:
                view = view[os.write(self._master, view) :]
            except BlockingIOError:
                await asyncio.sleep(_FULL_S)
            except OSError:
                return

    def resize(self, rows: int, columns: int) -> None:
        """Say how large the window is."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def close(self) -> None:
        """End all that was started in the terminal; may be called twice."""
        master, self._master = self._master, -1
        if master < 0:
            return
        asyncio.get_running_loop().remove_reader(master)
        if self._command is not None:
            self._command.cancel()
            await asyncio.wait((self._command,))
        await self._group.close()
        os.close(master)
