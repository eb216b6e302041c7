"""A Docker engine of a test's own, that it may stop, kill and fill up."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.support import docker_images as images


def possible() -> bool:
    """Whether one can be started here."""
    return os.name == "posix" and os.geteuid() == 0 and all(shutil.which(each) for each in ("unshare", "dockerd", "containerd", "runc"))


class Engine:
    """An engine below a folder, without networks.

    It has a network namespace of its own: without a bridge of its own it would take away the one of the machine's engine.
    """

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.root = folder, root or folder / "root"
        self.socket = folder / "d.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Engine:
        """Start it, and wait until it answers."""
        for left in ("d.pid", "d.sock"):
            (self.folder / left).unlink(missing_ok=True)
        command = [
            "unshare", "--net", "dockerd", "--host", self.url, "--data-root", self.root, "--exec-root", self.folder / "run", "--pidfile", self.folder / "d.pid",
            "--bridge=none", "--iptables=false", "--ip6tables=false", "--log-level=error",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, start_new_session=True)
        for _ in range(300):
            if self.socket.exists() and images.engine_answers(str(self.socket)):
                return self
            assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
            time.sleep(0.1)
        raise AssertionError("the engine does not answer")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; with SIGKILL together with all that it started, as when the machine breaks down."""
        process, self._process = self._process, None
        if process is None:
            return
        if number == signal.SIGKILL:
            group = self._below(process.pid)
            for pid in (process.pid, *group):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            process.send_signal(number)
        process.wait(60)
        if number == signal.SIGKILL:  # a machine that breaks down forgets what is below /run
            self._unmount(f"{self.folder}/run/", f"{self.root}/")
            shutil.rmtree(self.folder / "run", ignore_errors=True)

    def _below(self, pid: int) -> list[int]:
        import psutil

        mine = str(self.folder / "run")
        shims = [each.pid for each in psutil.process_iter(["cmdline"]) if any(mine in word for word in each.info["cmdline"] or ())]
        children = [child.pid for owner in (pid, *shims) if psutil.pid_exists(owner) for child in psutil.Process(owner).children(recursive=True)]
        return [*shims, *children]

    def close(self) -> None:
        """End it, and let nothing of it be."""
        self.stop()
        self._unmount(f"{self.folder}/", f"{self.root}/")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unmount(self, *below: str) -> None:
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            place = line.split(" ")[1]
            if place.startswith(below):
                subprocess.run(["umount", "-l", place], check=False, capture_output=True)
