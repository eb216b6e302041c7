"""A real instance in a process of its own, started and stopped by the command line as a user would.

With TCBOX_TEST_CLUSTER=1 a `Box` is a cluster that all tests share (see tests/support/shared.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tcbox.config import processes
from tests.support import ports, shared, vendors

TCBOX = [sys.executable, "-m", "tcbox"]


def clean_env(**extra: str) -> dict[str, str]:
    """The environment without what would make a command find another instance."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TASKCLUSTER_")}
    return {**kept, **extra}


class Box:
    """An instance on a data folder of the test's own."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.state = folder / "state"
        self.config = folder / "tcbox.yml"
        self.config.write_text(config or "log: {level: info}\n")
        self.info: dict = {}
        self.port = ports.free()[0]  # it must be free again after each stop and kill

    @property
    def env(self) -> dict[str, str]:
        return clean_env(XDG_STATE_HOME=str(self.state))

    def command(self, *words: str, check: bool = True, **kwargs) -> subprocess.CompletedProcess[str]:
        """Run a tcbox command against this instance."""
        done = subprocess.run([*TCBOX, *words], capture_output=True, text=True, env=self.env, timeout=kwargs.pop("timeout", 120), **kwargs)
        if check and done.returncode:
            raise AssertionError(f"tcbox {' '.join(words)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}\n{self.log_tail()}")
        return done

    def start(self, *words: str) -> Box:
        """Start it in the background; the port stays the same over restarts."""
        done = self.command("up", "--data", str(self.data), "--port", str(self.port), "--config", str(self.config), "--detach", "--json", *words)
        self.info = json.loads(done.stdout)
        self.port = self.info["port"]
        return self

    def stop(self) -> None:
        """Stop it as a user would."""
        if self.alive():
            self.command("down", "--data", str(self.data))

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while self.alive() and time.monotonic() < until:
            time.sleep(0.005)

    def alive(self) -> bool:
        return bool(self.info) and processes.alive(self.pid, "")

    @property
    def logs(self) -> list[Path]:
        """The files of its log."""
        return list((self.data / "logs").glob("*.log*"))

    def log_tail(self, lines: int = 40) -> str:
        path = self.data / "logs" / "tcbox.log"
        return "\n".join(path.read_text().splitlines()[-lines:]) if path.exists() else ""

    @property
    def pid(self) -> int:
        return int(self.info["pid"])

    @property
    def root_url(self) -> str:
        return str(self.info["rootUrl"])

    @property
    def options(self) -> dict:
        """What a taskcluster client's constructor takes."""
        made = self.info["credentials"]
        return {"rootUrl": self.root_url, "credentials": {"clientId": made["clientId"], "accessToken": made["accessToken"]}}


@contextlib.contextmanager
def given(folder: Path) -> Iterator[vendors.Vendors]:
    """What the services of a box call: a box's own simulators, or those that the cluster has."""
    if shared.WANTED:
        yield shared.shared().vendors
        return
    with vendors.running(folder) as made:
        yield made


if shared.WANTED:
    Box = shared.SharedBox  # type: ignore[assignment, misc]
