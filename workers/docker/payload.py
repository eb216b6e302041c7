"""A docker-worker payload, checked and read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks
from tcbox.workers import outcomes, payloads
from tcbox.workers.lifecycle import LogNames

WITHDRAWN = {
    "dind": "an engine beside the task is no longer part of docker-worker payloads: run one inside the task, with capabilities.privileged",
    "dockerSave": "saving the container is no longer part of docker-worker payloads: build the image in the task and upload it as an artifact",
    "relengAPIProxy": "this proxy is no longer part of docker-worker payloads: leave it out",
    "balrogVPNProxy": "this proxy is no longer part of docker-worker payloads: leave it out",
    "balrogStageVPNProxy": "this proxy is no longer part of docker-worker payloads: leave it out",
}
"""Features that docker-worker had once and its schema has no more, with what to do instead."""


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
        superseder: there is a supersederUrl, which does nothing.
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
    superseder: bool
    retry: frozenset[int]
    purge_caches: frozenset[int]

    @property
    def volumes(self) -> list[str]:
        """Where in the container volumes are mounted whose content becomes artifacts."""
        return [artifact["path"] for artifact in self.artifacts.values() if artifact["type"] == "volume"]


def read(task: Mapping[str, Any], *, longest: int, privileged: bool = False) -> Payload:
    """Read a task's payload.

    Args:
        longest: the longest maxRunTime allowed, in seconds.
        privileged: whether privileged containers are allowed here.

    Raises RunEnded(malformed-payload) with all that is wrong.
    """
    asked = _explicit(task["payload"])
    given = _checked(task["payload"])
    features, capabilities = given.get("features", {}), given.get("capabilities", {})
    faults = [*_times(task, given, longest), *_paths(given)]
    if capabilities.get("privileged") and not privileged:
        faults.append("payload.capabilities.privileged: this worker runs no privileged containers: leave it out, or set workers.docker.privileged")
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
        superseder="supersederUrl" in given,
        retry=frozenset(exits.get("retry", ())),
        purge_caches=frozenset(exits.get("purgeCaches", ())),
    )


def needed_scopes(payload: Payload, task_queue_id: str) -> list[str | tuple[str, ...]]:
    """The scopes that a payload needs; of several in a tuple, one is enough."""
    guarded = [f"cache:{name}" for name in payload.cache] + [f"capability:device:{name}" for name in payload.devices]
    guarded += ["capability:privileged"] * payload.privileged
    needed: list[str | tuple[str, ...]] = [(f"docker-worker:{each}", f"docker-worker:{each}:{task_queue_id}") for each in guarded]
    needed += ["docker-worker:capability:disableSeccomp"] * payload.unfiltered
    return needed + ["docker-worker:feature:allowPtrace"] * payload.ptrace


def backing_name(live: str) -> str:
    """The name that a log is kept under: `public/logs/live_backing.log` for `public/logs/live.log`."""
    stem, extension = os.path.splitext(live)
    return f"{stem}_backing{extension}"


def _explicit(payload: Any) -> dict[str, Any]:
    """The features that the payload itself names, without defaults."""
    features = payload.get("features") if isinstance(payload, dict) else None
    return dict(features) if isinstance(features, dict) else {}


def _checked(payload: Any) -> dict[str, Any]:
    gone = [name for name in _explicit(payload) if name in WITHDRAWN]
    if not gone:
        checked: dict[str, Any] = payloads.checked("docker-worker", "payload", payload)
        return checked
    lines = "\n".join(f"- payload.features.{name}: {WITHDRAWN[name]}" for name in gone)
    kept = {**payload, "features": {name: value for name, value in payload["features"].items() if name not in WITHDRAWN}}
    try:
        payloads.checked("docker-worker", "payload", kept)
    except outcomes.RunEnded as error:
        raise outcomes.malformed(f"{error.outcome.message}\n{lines}") from error
    raise outcomes.malformed(f"The task's payload asks for what this worker does not do:\n{lines}")


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
