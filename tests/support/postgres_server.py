"""A throwaway PostgreSQL server for tests: made when first needed, gone at the end of the process."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import ports

SUPERUSER = "postgres"
# What is safe for data is of no use here, and slow; a transaction of autovacuum would hold back events that a test reads at once.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200", "autovacuum=off")
# What keeps each commit over a crash of the server, if not of the machine.
_SAFE = ("fsync=off", "max_connections=100")


class Server:
    """A running server that listens on a socket in its own folder, and, where others are to reach it, at an address of this machine."""

    def __init__(self, binaries: Path, settings: tuple[str, ...] = _FAST, *, address: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tcbox-pg-"))
        self._place = f"{address}:{ports.free(1, address)[0]}" if address else ""
        self._account = _account()
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        data = str(self.folder / "data")
        self._run(binaries / "initdb", "-D", data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        self._binaries = binaries
        if address:
            with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\n")
        where = (f"listen_addresses={address}", *([f"port={self._place.rpartition(':')[2]}"] if address else []))
        options = [part for setting in (*settings, *where) for part in ("-c", setting)]
        self._command = [str(binaries / "postgres"), "-D", data, "-k", str(self.folder), *options]
        self.resume()

    def url(self, name: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://{SUPERUSER}@{self._place}/{name}" if self._place else f"postgresql://{SUPERUSER}@/{name}?host={self.folder}"

    def anew(self, name: str) -> str:
        """The URL of an empty database of this name; what was in one before is gone."""
        self.run(f"DROP DATABASE IF EXISTS {name}")
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, statement: str, database: str = SUPERUSER) -> str:
        """What a statement gives, a line per row."""
        return self._run(self._binaries / "psql", *self._socket(), "-U", SUPERUSER, "-d", database, "-AtXc", statement)

    def halt(self, *, crash: bool = False) -> None:
        """End the server's processes, by a fast shutdown or as a crash would; its data stays."""
        self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)  # both give its shared memory back
        self._process.wait(30)

    def resume(self) -> None:
        """Start the server's processes, and return when they answer."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder, **self._identity())
        self._wait(self._binaries)

    def stop(self) -> None:
        """End the server and remove all that it had."""
        if self._process.poll() is None:
            self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, binaries: Path) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._run(binaries / "pg_isready", "-q", *self._socket())
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()}")

    def _socket(self) -> list[str]:
        return ["-h", str(self.folder), "-p", self._place.rpartition(":")[2] or "5432"]

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder, **self._identity())
        return done.stdout.strip()

    def _identity(self) -> dict[str, object]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}


def _account() -> pwd.struct_passwd | None:
    """Whom to run the server as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    candidates = [Path(found).resolve().parent] if found else []
    return next((f for f in candidates + folders[::-1] if (f / "postgres").exists() and (f / "initdb").exists()), None)


@functools.cache
def _start() -> Server | None:
    binaries = _binaries()
    if binaries is None:
        return None
    server = Server(binaries)
    atexit.register(server.stop)
    return server


def server() -> Server:
    """This process's server. Without PostgreSQL's programs the test fails in CI, and is skipped elsewhere."""
    return _start() or _missing()


def own(settings: tuple[str, ...] = _SAFE, *, address: str = "") -> Server:
    """A server for one test, which may halt it and must stop it; it keeps what was committed over a crash of its own.

    Args:
        settings: how safe, and how fast, it is.
        address: where its network reaches it; nowhere when left out.
    """
    binaries = _binaries()
    return Server(binaries, settings, address=address) if binaries else _missing()


def _missing() -> NoReturn:
    reason = "PostgreSQL's server is not installed: install it (on Debian: apt install postgresql) to run this test"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
