"""A docker-worker payload, checked and read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks
from tcbox.workers import payloads, withdrawn
from tcbox.workers.lifecycle import LogNames

_BESIDE = "dind"
"""The feature that had its place in docker-worker payloads until its schema dropped it; this worker still has it."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What to run.

    Attributes:
        image: a name, or an object with `type`.
        max_run_time: in seconds.
        artifacts: those copied out of the container; volumes among them.
        cache: where in the container each named cache is mounted.
        devices: names of the devices of the machine that the container gets.
        terminal_log: the log is to be had by the name that docker-worker's own bulk log had, too.
        ptrace: tasks may trace processes.
        unfiltered: system calls are not filtered.
        beside: a Docker engine of the task's own runs beside it.
        retry, purge_caches: exit codes.
    """

    image: str | dict[str, str]
    command: list[str]
    env: dict[str, str]
    max_run_time: int
    artifacts: dict[str, dict[str, Any]]
    cache: dict[str, str]
    devices: tuple[str, ...]
    log_names: LogNames
    terminal_log: bool
    proxy: bool
    ptrace: bool
    privileged: bool
    unfiltered: bool
    interactive: bool
    trust: bool
    beside: bool
    retry: frozenset[int]
    purge_caches: frozenset[int]

    @property
    def volumes(self) -> list[str]:
        """Where in the container volumes are mounted whose content becomes artifacts."""
        return [artifact["path"] for artifact in self.artifacts.values() if artifact["type"] == "volume"]


def read(task: Mapping[str, Any], *, longest: int, privileged: bool = False, beside: bool = False) -> Payload:
    """Read a task's payload.

    Args:
        longest: the longest maxRunTime allowed, in seconds.
        privileged: whether privileged containers are allowed here.
        beside: whether tasks may have a Docker engine of their own here.

    Raises RunEnded(malformed-payload) with all that is wrong.
    """
    asked = withdrawn.asked(task["payload"])
    given = _checked(task["payload"], asked)
    features, capabilities = given.get("features", {}), given.get("capabilities", {})
    faults = [*_times(task, given, longest), *_paths(given), *withdrawn.faults(given)]
    if asked.get(_BESIDE) and not beside:
        faults.append("payload.features.dind: this worker runs no Docker engine beside a task: leave it out, or set workers.docker.dind_image")
    if capabilities.get("privileged") and not privileged:
        faults.append("payload.capabilities.privileged: this worker runs no privileged containers: leave it out, or set workers.docker.privileged")
    if faults:
        raise payloads.refused(faults)
    kept, exits = features.get("artifacts", True), given.get("onExitStatus", {})
    live = given.get("log", "public/logs/live.log")
    return Payload(
        image=given["image"],
        command=given.get("command", []),
        env=given.get("env", {}),
        max_run_time=given["maxRunTime"],
        artifacts=given.get("artifacts", {}) if kept else {},
        cache=given.get("cache", {}),
        devices=tuple(name for name, wanted in capabilities.get("devices", {}).items() if wanted),
        log_names=LogNames(
            live if kept and features.get("localLiveLog", True) else None,
            backing_name(live) if kept and features.get("bulkLog", True) else None,
        ),
        terminal_log=kept and asked.get("bulkLog") is True,
        proxy=features.get("taskclusterProxy", False),
        ptrace=features.get("allowPtrace", False),
        privileged=capabilities.get("privileged", False),
        unfiltered=capabilities.get("disableSeccomp", False),
        interactive=features.get("interactive", False),
        trust=features.get("chainOfTrust", False),
        beside=bool(asked.get(_BESIDE)),
        retry=frozenset(exits.get("retry", ())),
        purge_caches=frozenset(exits.get("purgeCaches", ())),
    )


def needed_scopes(payload: Payload, task_queue_id: str) -> list[str | tuple[str, ...]]:
    """The scopes that a payload needs; of several in a tuple, one is enough."""
    guarded = [f"cache:{name}" for name in payload.cache] + [f"capability:device:{name}" for name in payload.devices]
    guarded += ["capability:privileged"] * payload.privileged + [f"feature:{_BESIDE}"] * payload.beside
    needed: list[str | tuple[str, ...]] = [(f"docker-worker:{each}", f"docker-worker:{each}:{task_queue_id}") for each in guarded]
    needed += ["docker-worker:capability:disableSeccomp"] * payload.unfiltered
    return needed + ["docker-worker:feature:allowPtrace"] * payload.ptrace


def backing_name(live: str) -> str:
    """The name that a log is kept under: `public/logs/live_backing.log` for `public/logs/live.log`."""
    stem, extension = os.path.splitext(live)
    return f"{stem}_backing{extension}"


def _checked(payload: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The payload in the form of its schema, without the feature that has no place in it, defaults filled in.

    Raises RunEnded(malformed-payload) with every fault.
    """
    faults = withdrawn.features(asked)
    if not isinstance(asked.get(_BESIDE, False), bool):
        faults.append(f"payload.features.{_BESIDE}: must be true or false")
    bare = withdrawn.without(payload, {*withdrawn.FEATURES, _BESIDE})
    checked: dict[str, Any] = payloads.checked("docker-worker", "payload", bare, besides=faults)
    return checked


def _times(task: Mapping[str, Any], given: Mapping[str, Any], longest: int) -> list[str]:
    faults = []
    if given["maxRunTime"] > longest:
        faults.append(f"payload.maxRunTime: {given['maxRunTime']} seconds is more than the {longest} that this worker allows")
    for name, each in given.get("artifacts", {}).items():
        if "expires" in each and clocks.from_wire(each["expires"]) > clocks.from_wire(task["expires"]) + clocks.SECOND:
            faults.append(f"payload.artifacts[{name!r}].expires: {each['expires']} is after the task expires, {task['expires']}")
    return faults


def _paths(given: Mapping[str, Any]) -> list[str]:
    mounts = [(f"payload.cache[{name!r}]", path) for name, path in given.get("cache", {}).items()]
    mounts += [(f"payload.artifacts[{name!r}].path", each["path"]) for name, each in given.get("artifacts", {}).items() if each["type"] == "volume"]
    faults = [f"{where}: {path!r} must be an absolute path in the container" for where, path in mounts if not path.startswith("/")]
    places = [os.path.normpath(path) for _, path in mounts]
    for (where, path), place in zip(mounts, places, strict=True):
        if place == "/":
            faults.append(f"{where}: {path!r} is the root of the container: name a folder below it")
        elif places.count(place) > 1:
            faults.append(f"{where}: {path!r} is mounted twice: give each cache and volume a path of its own")
    return faults
