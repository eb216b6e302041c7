"""The data folder: is it there, whose is it, who may read it, is there room, who uses it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tcbox.cli.checkup.finding import Finding, Patient, note, ok, wrong

_MIB = 1 << 20
_TIGHT, _FULL = 1024 * _MIB, 64 * _MIB


def place(patient: Patient) -> Iterator[Finding]:
    """The folder itself."""
    data = patient.folder.data
    if not data.exists():
        above = next(parent for parent in data.parents if parent.exists())
        if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            yield wrong("data", f"{data} is not there, and cannot be made: {above} is no folder of yours", "tcbox up --data DIR")
            return
        yield ok("data", f"{data} is not there yet: the first 'tcbox up' makes it")
        yield from _room(above)
        return
    if not data.is_dir():
        yield wrong("data", f"{data} is no folder: move it away, or give another with --data")
        return
    yield from _rights(data)
    yield from _room(data)


def _rights(data: Path) -> Iterator[Finding]:
    found = data.stat()
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        yield wrong("data", f"{data} belongs to user {found.st_uid}, not to you", f"sudo chown -R {os.geteuid()} {data}")
    elif not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield wrong("data", f"{data} cannot be written to", f"chmod u+rwx {data}", _chmod(data, 0o700))
    elif found.st_mode & 0o077:
        yield wrong("data", f"{data} is open to other users of this machine (mode {stat.S_IMODE(found.st_mode):04o})", f"chmod 700 {data}", _chmod(data, 0o700))
    else:
        yield ok("data", str(data))
    for folder in (data / name for name in ("keys", "run", "logs")):
        if folder.exists() and not folder.is_dir():
            yield wrong("data", f"{folder} is a file where a folder belongs: move it away", f"mv {folder} {folder}.aside")
        elif folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield wrong("data", f"{folder} cannot be written to", f"chmod u+rwx {folder}", _chmod(folder, 0o700))
    for path in _private(data):
        mode = path.stat().st_mode
        if mode & 0o077:
            message = f"{path} holds a secret, and other users may read it (mode {stat.S_IMODE(mode):04o})"
            yield wrong("secrecy", message, f"chmod 600 {path}", _chmod(path, 0o600))


def _private(data: Path) -> list[Path]:
    files = [data / "root-client.json", data / "run" / "instance.json", *sorted((data / "keys").glob("*"))]
    return [path for path in files if path.is_file()]


def _chmod(path: Path, mode: int) -> Callable[[], None]:
    return lambda: path.chmod(mode)


def _room(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    files = os.statvfs(folder)
    command = f"df -h {folder}"
    if free < _FULL:
        yield wrong("disk", f"{free // _MIB} MiB are free where {folder} is: make room", command)
    elif files.f_files and files.f_favail < 1000:
        yield wrong("disk", f"{files.f_favail} more files can be made where {folder} is: remove some", f"df -i {folder}")
    elif free < _TIGHT:
        yield note("disk", f"only {free // _MIB} MiB are free where {folder} is", command)
    else:
        yield ok("disk", f"{free / (1 << 30):.0f} GiB free")


def user(patient: Patient) -> Iterator[Finding]:
    """Who uses the folder now, and what one that died has left."""
    folder, running = patient.folder, patient.running
    if running is not None:
        yield ok("instance", f"runs as process {running.pid} at {running.root_url}")
        return
    holder = lock_holder(folder.database.with_name(folder.database.name + ".lock"))
    if holder:
        yield wrong(
            "lock", f"{folder.database} is locked by process {holder}, which has announced no instance: it is starting, stopping or stuck", f"kill {holder}"
        )
    elif folder.state_file.exists():
        died = folder.read()
        who = f"process {died.pid}, which is gone: the instance was killed" if died is not None else "nothing that can be read"
        yield wrong("instance", f"{folder.state_file} tells of {who}", f"tcbox up {patient.flag}", folder.state_file.unlink)


def lock_holder(path: Path) -> int:
    """The process that holds the lock on a file; 0 when none does, or the system does not say (proc(5), locks)."""
    try:
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
                return int(fields[4])
    except (OSError, IndexError, ValueError):
        pass
    return 0
