"""What instances that died have left: temporary folders, task folders, and things in Docker."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tcbox.cli import leftovers
from tcbox.cli.checkup.finding import Finding, Patient, note, wrong
from tcbox.cli.checkup.folder import lock_holder
from tcbox.config import instance as instances

_STARTING = 60
"""Seconds after which a temporary folder without an instance is one whose start broke off."""


def remains(patient: Patient) -> Iterator[Finding]:
    """All of it."""
    living, dead = _temporary()
    for folder in dead:
        url = patient.settings.workers.docker.url
        message = f"{folder.data} is left from an ephemeral instance that was killed"
        yield wrong("leftovers", message, f"rm -r {folder.data}", lambda folder=folder, url=url: leftovers.remove(folder, url))  # type: ignore[misc]
    if patient.running is None:
        yield from _tasks(patient)
    if patient.settings.workers.docker.enabled:
        yield from _docker(patient, living, dead)


def _temporary() -> tuple[list[instances.Instance], list[instances.Instance]]:
    """The folders of ephemeral instances: of those that live, or are starting, and of those that are gone."""
    living: list[instances.Instance] = []
    dead: list[instances.Instance] = []
    for path in sorted(Path(tempfile.gettempdir()).glob("tcbox-????????")):
        folder = instances.Instance(path)
        try:
            ours = path.is_dir() and path.stat().st_uid == os.geteuid() and folder.run.is_dir() and folder.keys.is_dir()
            young = ours and time.time() - path.stat().st_mtime < _STARTING
        except OSError:
            continue
        if ours:
            found = folder.read()
            held = lock_holder(folder.database.with_name(folder.database.name + ".lock")) != 0
            lives = found.alive() if found is not None else young
            (living if lives or held else dead).append(folder)
    return living, dead


def _tasks(patient: Patient) -> Iterator[Finding]:
    for kind in ("docker", "host"):
        runs = patient.folder.worker_folder(kind) / "runs"
        left = [path.name for path in runs.iterdir()] if runs.is_dir() else []
        if left:
            message = f"{runs} has {len(left)} folders of tasks whose worker was killed; the next start removes them"
            yield note("leftovers", message, f"tcbox up {patient.flag}", _clear(runs))


def _clear(runs: Path) -> Callable[[], None]:
    def clear() -> None:
        from tcbox.workers.host import leftovers as host

        host.clear(runs)

    return clear


def _docker(patient: Patient, living: list[instances.Instance], dead: list[instances.Instance]) -> Iterator[Finding]:
    engine = leftovers.Engine(patient.settings.workers.docker.url)
    try:
        found = engine.leftovers()
    except OSError:
        return  # the check of Docker itself says why
    own = leftovers.instance_id(patient.folder)
    mine = [each for each in found if own and each.instance == own and not each.cache]
    if mine and patient.running is None:
        message = f"Docker has {_counted(mine)} of tasks of this instance, which does not run"
        yield wrong("leftovers", message, f"tcbox doctor --fix {patient.flag}", lambda: _remove(engine, mine))
    known = {own, *(leftovers.instance_id(each) for each in living + dead)}
    known |= {leftovers.instance_id(instances.Instance(data)) for data, _ in instances.list_known()}
    strange = [each for each in found if each.instance not in known and not (each.cache and each.instance.startswith("run-"))]  # `tcbox run` keeps those
    if strange:
        command = "docker rm -fv $(docker ps -aq --filter label=tcbox.instance)" if any(each.kind == "container" for each in strange) else ""
        names = ", ".join(sorted({each.instance for each in strange})[:5])
        yield note("leftovers", f"Docker has {_counted(strange)} of instances that are not known here ({names}); remove them if nobody needs them", command)


def _counted(found: list[leftovers.Leftover]) -> str:
    kinds = [each.kind for each in found]
    return ", ".join(f"{kinds.count(kind)} {kind}s" for kind in ("container", "network", "volume") if kind in kinds)


def _remove(engine: leftovers.Engine, found: list[leftovers.Leftover]) -> None:
    for each in found:
        engine.remove(each)
