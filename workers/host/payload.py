"""A generic-worker payload, checked and read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox.workers import files, outcomes, payloads
from tcbox.workers.lifecycle import LogNames

_REFUSED = {
    "interactive": "a shell in the running task",
    "loopbackAudio": "a loopback sound device",
    "loopbackVideo": "a loopback video device",
}


@dataclass(frozen=True, slots=True)
class Payload:
    """What to run.

    Attributes:
        max_run_time: in seconds.
        retry, purge_caches: exit codes.
    """

    command: list[list[str]]
    env: dict[str, str]
    max_run_time: int
    artifacts: list[dict[str, Any]]
    mounts: list[dict[str, Any]]
    log_names: LogNames
    proxy: bool
    retry: frozenset[int]
    purge_caches: frozenset[int]


def read(task: Mapping[str, Any], *, longest: int) -> Payload:
    """Read a task's payload.

    Args:
        longest: the longest maxRunTime allowed, in seconds.

    Raises RunEnded(malformed-payload) with all that is wrong.
    """
    body = task["payload"]
    if "image" in body:
        raise outcomes.malformed("The payload names an image, which processes do not have: send the task to a queue that is served by a docker worker.")
    given = payloads.checked("generic-worker", "insecure_posix.json#/oneOf/0", body)
    features = given.get("features", {})
    faults = [*_unsupported(given, features), *_times(task, given, longest), *_names(given)]
    if faults:
        raise outcomes.malformed("The task's payload asks for what this worker does not do:\n" + "\n".join(f"- {fault}" for fault in faults))
    logs, exits = given.get("logs", {}), given.get("onExitStatus", {})
    backing = logs.get("backing", "public/logs/live_backing.log") if features.get("backingLog", True) else None
    return Payload(
        command=given["command"],
        env=given.get("env", {}),
        max_run_time=given["maxRunTime"],
        artifacts=given.get("artifacts", []),
        mounts=given.get("mounts", []),
        log_names=LogNames(logs.get("live", "public/logs/live.log") if features.get("liveLog", True) else None, backing),
        proxy=features.get("taskclusterProxy", False),
        retry=frozenset(exits.get("retry", ())),
        purge_caches=frozenset(exits.get("purgeCaches", ())),
    )


def _unsupported(given: Mapping[str, Any], features: Mapping[str, Any]) -> list[str]:
    faults = [f"payload.features.{name}: {what} is not to be had here: leave it out" for name, what in _REFUSED.items() if features.get(name)]
    if given.get("osGroups"):
        faults.append("payload.osGroups: tasks run as the worker's own user, whose groups cannot be changed: leave it out")
    if given.get("taskclusterProxyInterface", "localhost") != "localhost":
        faults.append("payload.taskclusterProxyInterface: the proxy listens on localhost only: leave it out")
    return faults


def _times(task: Mapping[str, Any], given: Mapping[str, Any], longest: int) -> list[str]:
    faults = []
    if given["maxRunTime"] > longest:
        faults.append(f"payload.maxRunTime: {given['maxRunTime']} seconds is more than the {longest} that this worker allows")
    for index, each in enumerate(given.get("artifacts", [])):
        faults += expiry_faults(task, f"payload.artifacts[{index}].expires", each.get("expires"))
    return faults


def expiry_faults(task: Mapping[str, Any], where: str, expires: str | None) -> list[str]:
    """What is wrong with when an artifact expires: it must be between the task's deadline and its own expiry."""
    if expires is None:
        return []
    moment = clocks.from_wire(expires)
    if moment + clocks.SECOND < clocks.from_wire(task["deadline"]):
        return [f"{where}: {expires} is before the task's deadline, {task['deadline']}"]
    if moment > clocks.from_wire(task["expires"]) + clocks.SECOND:
        return [f"{where}: {expires} is after the task expires, {task['expires']}"]
    return []


def _names(given: Mapping[str, Any]) -> list[str]:
    seen: set[str] = set()
    faults = []
    for index, each in enumerate(given.get("artifacts", [])):
        name = each.get("name") or each["path"]
        if name in seen:
            faults.append(f"payload.artifacts[{index}]: another artifact has the name {name!r} already")
        seen.add(name)
    return faults


def wanted(payload: Payload, folder: Path) -> list[files.Wanted]:
    """The payload's artifacts, with paths below the task's folder."""
    return [
        files.Wanted(
            name=each.get("name") or os.path.normpath(each["path"]),
            kind=each["type"],
            path=os.path.join(folder, each["path"]),
            label=each["path"],
            expires=each.get("expires"),
            content_type=each.get("contentType"),
            content_encoding=each.get("contentEncoding"),
            optional=each.get("optional", False),
        )
        for each in payload.artifacts
    ]
