"""Small programs that outlive the worker by a moment, to clean up when it is killed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

from tcbox import ids

KEEPER = "keeper"
WATCHDOG = "watchdog"
_FILES = {KEEPER: "host/keeper.py", WATCHDOG: "docker/watchdog.py"}
_WORKER = "tcbox.worker"
FLAG = "--worker-helper="
"""A bundled program whose first argument is this and a helper's name runs the helper by `main`, and nothing else."""


class Helper:
    """One helper, and the socket that is its standard input; it notices when the worker is gone by that closing."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - a program of this package
                _command(name, *arguments), stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True, cwd="/", close_fds=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Close its socket, and wait a moment for its end; may be called twice."""
        self.channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)


class Watchdog:
    """The helper that removes a worker's containers and networks from a Docker engine when the worker is killed.

    Args:
        address: the engine's.
        volumes: a folder whose files are named after volumes that go with them; empty for none.

    Attributes:
        labels: what containers and networks must bear.
        token: the value of their label.
    """

    def __init__(self, address: str, volumes: str = "") -> None:
        self.token = ids.slugid()
        self.labels = {_WORKER: self.token}
        self._arguments = (address, f"{_WORKER}={self.token}", volumes)
        self._helper: Helper | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._helper is not None and self._helper.alive

    def start(self) -> None:
        """Start it, unless it runs."""
        if not self.alive:
            self._helper = Helper(WATCHDOG, *self._arguments)

    def close(self) -> bool:
        """Let it go; whether there was one. May be called twice."""
        helper, self._helper = self._helper, None
        if helper is not None:
            with contextlib.suppress(OSError):
                helper.channel.send(b"+")
            helper.close()
        return helper is not None


def _command(name: str, *arguments: str) -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, FLAG + name, *arguments]
    return [sys.executable, "-I", "-S", str(Path(__file__).parent / _FILES[name]), *arguments]


def main(argv: list[str]) -> None:
    """Run the helper that the arguments name; for bundled programs, before they do anything else."""
    name = argv[0].removeprefix(FLAG)
    if name == KEEPER:
        from tcbox.workers.host import keeper

        keeper.main()
    else:
        from tcbox.workers.docker import watchdog

        watchdog.main(*argv[1:])
