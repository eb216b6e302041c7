"""A docker-worker payload, checked and read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks
from tcbox.workers import outcomes, payloads
from tcbox.workers.lifecycle import LogNames

_NOT_HERE = {
    "interactive": "a shell in the running task is not to be had here: leave it out",
    "chainOfTrust": "certificates of chain of trust are not made here: leave it out, or use a worker that has a signing key",
}


@dataclass(frozen=True, slots=True)
class Payload:
    """What to run.

    Attributes:
        image: a name, or an object with `type`.
        max_run_time: in seconds.
        cache: where in the container each named cache is mounted.
        ptrace: tasks may trace processes.
        retry, purge_caches: exit codes.
    """

    image: str | dict[str, str]
    command: list[str]
    env: dict[str, str]
    max_run_time: int
    artifacts: dict[str, dict[str, Any]]
    cache: dict[str, str]
    log_names: LogNames
    proxy: bool
    ptrace: bool
    retry: frozenset[int]
    purge_caches: frozenset[int]


def read(task: Mapping[str, Any], *, longest: int) -> Payload:
    """Read a task's payload.

    Args:
        longest: the longest maxRunTime allowed, in seconds.

    Raises RunEnded(malformed-payload) with all that is wrong.
    """
    given = payloads.checked("docker-worker", "payload", task["payload"])
    features = given.get("features", {})
    faults = [*_unsupported(given, features), *_times(task, given, longest), *_paths(given)]
    if faults:
        raise outcomes.malformed("The task's payload asks for what this worker does not do:\n" + "\n".join(f"- {fault}" for fault in faults))
    kept, exits = features.get("artifacts", True), given.get("onExitStatus", {})
    live = given.get("log", "public/logs/live.log")
    return Payload(
        image=given["image"],
        command=given.get("command", []),
        env=given.get("env", {}),
        max_run_time=given["maxRunTime"],
        artifacts=given.get("artifacts", {}) if kept else {},
        cache=given.get("cache", {}),
        log_names=LogNames(
            live if kept and features.get("localLiveLog", True) else None,
            backing_name(live) if kept and features.get("bulkLog", True) else None,
        ),
        proxy=features.get("taskclusterProxy", False),
        ptrace=features.get("allowPtrace", False),
        retry=frozenset(exits.get("retry", ())),
        purge_caches=frozenset(exits.get("purgeCaches", ())),
    )


def backing_name(live: str) -> str:
    """The name that a log is kept under: `public/logs/live_backing.log` for `public/logs/live.log`."""
    stem, extension = os.path.splitext(live)
    return f"{stem}_backing{extension}"


def _unsupported(given: Mapping[str, Any], features: Mapping[str, Any]) -> list[str]:
    faults = [f"payload.features.{name}: {why}" for name, why in _NOT_HERE.items() if features.get(name)]
    capabilities = given.get("capabilities", {})
    faults += [
        f"payload.capabilities.{name}: containers run with the engine's usual limits only: leave it out"
        for name in ("privileged", "disableSeccomp")
        if capabilities.get(name)
    ]
    faults += [
        f"payload.capabilities.devices.{name}: containers are given no devices of the machine: leave it out"
        for name, asked in capabilities.get("devices", {}).items()
        if asked
    ]
    volumes = [name for name, artifact in given.get("artifacts", {}).items() if artifact["type"] == "volume"]
    return faults + [f"payload.artifacts[{name!r}].type: volume is not done here: use directory" for name in volumes]


def _times(task: Mapping[str, Any], given: Mapping[str, Any], longest: int) -> list[str]:
    faults = []
    if given["maxRunTime"] > longest:
        faults.append(f"payload.maxRunTime: {given['maxRunTime']} seconds is more than the {longest} that this worker allows")
    for name, each in given.get("artifacts", {}).items():
        if "expires" in each and clocks.from_wire(each["expires"]) > clocks.from_wire(task["expires"]) + clocks.SECOND:
            faults.append(f"payload.artifacts[{name!r}].expires: {each['expires']} is after the task expires, {task['expires']}")
    return faults


def _paths(given: Mapping[str, Any]) -> list[str]:
    return [
        f"payload.cache[{name!r}]: {path!r} must be an absolute path in the container"
        for name, path in given.get("cache", {}).items()
        if not path.startswith("/")
    ]
