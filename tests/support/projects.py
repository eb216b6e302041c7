"""Projects to be run by `tcbox run`: copies of tests/projects, each a git repository with a dirty work tree."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.box import TCBOX, clean_env

PROJECTS = Path(__file__).resolve().parents[1] / "projects"
WHO = {"GIT_AUTHOR_NAME": "Octo Dev", "GIT_AUTHOR_EMAIL": "dev@example.com", "GIT_COMMITTER_NAME": "Octo Dev", "GIT_COMMITTER_EMAIL": "dev@example.com"}


def git(folder: Path, *words: str) -> str:
    """What git says."""
    env = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True, env=env).stdout.strip()


def repository(folder: Path, name: str = "demo") -> Path:
    """A folder as a repository with one commit."""
    git(folder, "init", "-q", "-b", "main", ".")
    git(folder, "remote", "add", "origin", f"git@github.com:octo/{name}.git")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "First")
    return folder


class Runner:
    """Runs `tcbox run` as a person at the keyboard, with nothing of anybody else's in reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        self.temporary = temporary
        venv = str(Path(sys.executable).parent)
        self.env = clean_env(
            HOME=str(folder),
            XDG_STATE_HOME=str(folder / "state"),
            XDG_DATA_HOME=str(folder / "share"),
            XDG_CACHE_HOME=str(folder / "cache"),
            TMPDIR=str(temporary),
            GIT_CONFIG_GLOBAL="/dev/null",
            GIT_CONFIG_SYSTEM="/dev/null",
            PATH=f"{venv}:{os.environ['PATH']}",
        )

    def project(self, name: str) -> Path:
        """A copy of a project of tests/projects, committed."""
        folder = self.folder / name
        shutil.copytree(PROJECTS / name, folder)
        return repository(folder, name)

    def run(self, where: Path, *words: str, code: int = 0, timeout: float = 150) -> str:
        """What it says on both streams; it must exit with this code."""
        done = subprocess.run(
            [*TCBOX, "run", *words],
            cwd=where,
            env=self.env,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}"
        assert "Traceback (most recent call last)" not in done.stdout or code == 1
        return done.stdout

    def begin(self, where: Path, *words: str) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(
            [*TCBOX, "run", *words],
            cwd=where,
            env=self.env,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def leftovers(self) -> list[str]:
        """Instances that still run, and their folders."""
        found = [path.name for path in self.temporary.glob("tcbox-*")]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                environ = (process / "environ").read_bytes()
            except OSError:
                continue
            if b"up" in words and f"TMPDIR={self.temporary}\0".encode() in environ:
                found.append(process.name)
        return found

    def forget_caches(self) -> None:
        """Remove what runs have kept in Docker for later ones."""
        for folder in (self.folder / "cache" / "tcbox" / "run").glob("*"):
            listed = subprocess.run(["docker", "volume", "ls", "-q", "--filter", f"label=tcbox.cache=run-{folder.name}"], capture_output=True, text=True)
            for name in listed.stdout.split():
                subprocess.run(["docker", "volume", "rm", "-f", name], capture_output=True)

    def terminal(self, where: Path, *words: str) -> Terminal:
        """Start it at a terminal."""
        return Terminal([*TCBOX, "run", *words], where, {**self.env, "TERM": "xterm", "SHELL": "/bin/sh", "PS1": "$ "})


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, command: list[str], where: Path, env: dict[str, str]) -> None:
        self.text = ""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(where)
            os.execvpe(command[0], command, env)

    def expect(self, text: str, seconds: float = 60) -> str:
        """Read until a text comes; all that came with it."""
        until = time.monotonic() + seconds
        start = len(self.text)
        while text not in self.text[start:]:
            assert time.monotonic() < until, f"{text!r} did not come:\n{self.text}"
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                assert data, f"{text!r} did not come before the end:\n{self.text}"
                self.text += data.decode(errors="replace")
        return self.text[start:]

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.fd, text.encode())

    def end(self) -> int:
        """Read to the end; its exit code."""
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.text += data.decode(errors="replace")

    def close(self) -> None:
        """End it, if it has not ended."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)
