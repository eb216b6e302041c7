"""This machine: Python and its packages, the clock, room for temporary files, Docker."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tcbox import clock as clocks
from tcbox.cli.checkup.finding import Finding, Patient, note, ok, wrong

_OLDEST_PYTHON = (3, 11)
_OLDEST_SQLITE = (3, 35, 0)
_NEEDED = {"aiohttp": "aiohttp", "aiosqlite": "aiosqlite", "msgspec": "msgspec", "jsonschema-rs": "jsonschema_rs",
           "cryptography": "cryptography", "pyyaml": "yaml", "zstandard": "zstandard"}  # fmt: skip
_FOR_NOTIFY = {"json-e": "jsone", "aiosmtplib": "aiosmtplib", "markdown-it-py": "markdown_it", "nh3": "nh3"}
_BUILT = clocks.from_wire("2026-01-01T00:00:00.000Z")


def python(patient: Patient) -> Iterator[Finding]:
    """The interpreter and the packages that this configuration needs."""
    version = sys.version.split()[0]
    if sys.version_info < _OLDEST_PYTHON:
        yield wrong("python", f"tcbox needs Python 3.11 or later, and {sys.executable} is {version}", "sudo apt-get install python3.11")
    else:
        yield ok("python", f"{version}, {sys.executable}")
    import sqlite3

    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        yield wrong("sqlite", f"Python's SQLite is {sqlite3.sqlite_version}, and tcbox needs 3.35 or later: use a Python that was built with a newer one")
    needed = dict(_NEEDED)
    if patient.settings.services.notify.enabled:
        needed |= _FOR_NOTIFY
    if patient.settings.database.startswith("postgres"):
        needed["asyncpg"] = "asyncpg"
    if patient.settings.blobs.url.startswith("s3"):
        needed["boto3"] = "boto3"
    missing = [name for name, module in needed.items() if importlib.util.find_spec(module) is None]
    old = [f"{name}>={wanted}" for name, wanted in _wanted().items() if name in needed and name not in missing and _version(name) < _numbers(wanted)]
    if missing or old:
        words = " and ".join(filter(None, (", ".join(missing) + " missing" if missing else "", ", ".join(old) + " wanted" if old else "")))
        names = " ".join(f"'{name}'" for name in missing + old)
        yield wrong("packages", f"Python packages: {words}", f"{sys.executable} -m pip install {names}")
    else:
        yield ok("packages", f"{len(needed)} packages are there")


def _wanted() -> dict[str, str]:
    """The oldest version of each package, as tcbox's own metadata says; nothing in a binary, which has no metadata."""
    from importlib import metadata

    try:
        lines = metadata.requires("tcbox") or []
    except metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([A-Za-z0-9_-]+)>=([0-9.]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _version(name: str) -> tuple[int, ...]:
    from importlib import metadata

    try:
        return _numbers(metadata.version(name))
    except metadata.PackageNotFoundError:
        return (9999,)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def clock(patient: Patient) -> Iterator[Finding]:
    """Whether the clock can be right: signatures fail when it is 15 minutes off, and claims expire by it."""
    now = clocks.SystemClock().now()
    newest = max((int(path.stat().st_mtime * 1000) for path in (patient.folder.database, patient.folder.log_file) if path.exists()), default=0)
    mend = "sudo timedatectl set-ntp true"
    if now < _BUILT:
        yield wrong("clock", f"this machine's clock says {clocks.to_wire(now)}, which is before tcbox was made: set it", mend)
    elif newest > now + clocks.MINUTE:
        yield wrong("clock", f"this machine's clock says {clocks.to_wire(now)}, and the data folder was written at {clocks.to_wire(newest)}: set it", mend)
    else:
        yield ok("clock", clocks.to_wire(now))


def temporary(patient: Patient) -> Iterator[Finding]:
    """Whether temporary files can be written."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"\0" * 65536)
    except OSError as error:
        yield wrong("temporary", f"no temporary file can be written: {error.strerror}", "export TMPDIR=/a/folder/with/room")


def docker(patient: Patient) -> Iterator[Finding]:
    """Whether the docker worker can work; without Docker tcbox runs all the same, unless the configuration speaks of it."""
    settings = patient.settings
    if not settings.workers.docker.enabled:
        yield ok("docker", "the docker worker is switched off")
        return
    lacking = wrong if any(key.startswith("workers.docker") for key in settings.origins) else note
    url = settings.workers.docker.url
    path = Path(urlsplit(url).path)
    if url.startswith("unix:") and not path.exists():
        if shutil.which("dockerd") or shutil.which("docker"):
            yield lacking("docker", f"Docker is installed, and no engine listens at {path}: docker tasks wait", "sudo systemctl start docker")
        else:
            yield lacking("docker", f"no Docker engine listens at {path}: docker tasks wait", "sudo apt-get install docker.io")
        return
    from tcbox.cli.leftovers import Engine

    try:
        version = Engine(url).ask("GET", "/version")
    except PermissionError:
        command = f"sudo usermod -aG docker {os.environ.get('USER') or os.getuid()}, then sign in again"
        yield lacking("docker", f"the Docker engine at {path} refuses this user, who is not in its group: docker tasks wait", command)
    except OSError as error:
        yield lacking("docker", f"the Docker engine at {url} does not answer ({error}): docker tasks wait", "sudo systemctl restart docker")
    else:
        yield ok("docker", f"engine {version['Version']} at {url}")
