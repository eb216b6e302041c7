"""A generic-worker payload, checked and read; and a docker-worker payload, translated into one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks
from tcbox.workers import files, outcomes, payloads, withdrawn
from tcbox.workers.host import d2g
from tcbox.workers.lifecycle import LogNames

_SCHEMA = "multiuser_posix.json#/oneOf/"
_REFUSED = {
    "loopbackAudio": "a loopback sound device",
    "loopbackVideo": "a loopback video device",
}
_ELSEWHERE = {"dind": "only the docker worker has an engine beside a task: leave it out, or send the task to a queue that a docker worker serves"}
_WINDOWS = {
    "features": {"hideCmdWindow": "windows of commands", "runAsAdministrator": "administrators that commands run as"},
    "": {"rdpInfo": "remote desktops"},
}
"""What only workers on Windows have, by where in the payload it is."""
ADDITIONAL = "chain-of-trust-additional-data.json"
"""Where a task puts what is to stand in its certificate besides."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What to run.

    Attributes:
        max_run_time: in seconds.
        bridge: the proxy is to be reached from containers.
        monitor: the machine's memory is watched; `measured`: what the task's processes use becomes an artifact.
        retry, purge_caches: exit codes.
        scopes: what the task needs besides the scopes of its caches; of each tuple one is enough.
        docker: the payload was made for containers.
    """

    command: list[list[str]]
    env: dict[str, str]
    max_run_time: int
    artifacts: list[dict[str, Any]]
    mounts: list[dict[str, Any]]
    log_names: LogNames
    proxy: bool
    bridge: bool
    interactive: bool
    trust: bool
    monitor: bool
    measured: bool
    retry: frozenset[int]
    purge_caches: frozenset[int]
    scopes: tuple[tuple[str, ...], ...]
    docker: d2g.Translation | None


def read(task: Mapping[str, Any], *, longest: int, queue: str = "", groups: frozenset[str] = frozenset(), containers: str = "", kvm: bool = False) -> Payload:
    """Read a task's payload.

    Args:
        longest: the longest maxRunTime allowed, in seconds.
        queue: the task queue that it was claimed from.
        groups: names of the groups that the worker's own user is in.
        containers: why no payload for containers can be run; empty when they can.
        kvm: the machine has /dev/kvm.

    Raises RunEnded(malformed-payload) with all that is wrong.
    """
    body = task["payload"]
    if "image" in body:
        if containers:
            raise outcomes.malformed(f"The payload names an image, which needs a container. {containers}")
        asked = _docker(body)
        translation, needed = d2g.translate(asked), d2g.scopes(asked, queue)
        given = payloads.checked("generic-worker", f"{_SCHEMA}0", {"command": [["docker"]], **translation.payload})
        faults = [*withdrawn.faults(asked), *d2g.faults(asked, kvm=kvm), *_times(task, given, longest, named=True), *_names(given)]
    else:
        translation, given = None, _posix(body)
        needed = [(f"generic-worker:os-group:{queue}/{group}",) for group in given.get("osGroups", ())]
        if given.get("features", {}).get("runTaskAsCurrentUser"):
            needed.append((f"generic-worker:run-task-as-current-user:{queue}",))
        faults = [*withdrawn.faults(given), *_unsupported(given, groups, containers), *_times(task, given, longest), *_names(given)]
    if faults:
        raise payloads.refused(faults)
    features, logs, exits = given.get("features", {}), given.get("logs", {}), given.get("onExitStatus", {})
    return Payload(
        command=given["command"],
        env=given.get("env", {}),
        max_run_time=given["maxRunTime"],
        artifacts=given.get("artifacts", []),
        mounts=given.get("mounts", []),
        log_names=LogNames(
            logs.get("live", "public/logs/live.log") if features.get("liveLog", True) else None,
            logs.get("backing", "public/logs/live_backing.log") if features.get("backingLog", True) else None,
        ),
        proxy=features.get("taskclusterProxy", False),
        bridge=given.get("taskclusterProxyInterface") == "docker-bridge",
        interactive=features.get("interactive", False),
        trust=features.get("chainOfTrust", False),
        monitor=features.get("resourceMonitor", True),
        measured=body.get("features", {}).get("resourceMonitor", False) and translation is None,
        retry=frozenset(exits.get("retry", ())),
        purge_caches=frozenset(exits.get("purgeCaches", ())),
        scopes=tuple(needed),
        docker=translation,
    )


def _docker(body: Mapping[str, Any]) -> dict[str, Any]:
    """The payload in the form of those for docker-worker, defaults filled in.

    Raises RunEnded(malformed-payload) with every fault.
    """
    asked = withdrawn.asked(body)
    faults = withdrawn.features(asked) + [f"payload.features.{name}: {what}" for name, what in _ELSEWHERE.items() if asked.get(name)]
    given: dict[str, Any] = payloads.checked("generic-worker", f"{_SCHEMA}1", withdrawn.without(body, {*withdrawn.FEATURES, *_ELSEWHERE}), besides=faults)
    return given


def _posix(body: Mapping[str, Any]) -> dict[str, Any]:
    """The payload in the form of workers that are not on Windows, defaults filled in.

    Raises RunEnded(malformed-payload) with every fault.
    """
    faults, rest = [], dict(body)
    for place, names in _WINDOWS.items():
        part = rest.get(place) if place else rest
        if isinstance(part, dict):
            faults += [
                f"payload.{f'{place}.' if place else ''}{name}: {what} are had on Windows only: leave it out" for name, what in names.items() if name in part
            ]
            kept = {name: value for name, value in part.items() if name not in names}
            rest = {**rest, place: kept} if place else kept
    given: dict[str, Any] = payloads.checked("generic-worker", f"{_SCHEMA}0", rest, besides=faults)
    return given


def _unsupported(given: Mapping[str, Any], groups: frozenset[str], containers: str) -> list[str]:
    features = given.get("features", {})
    faults = [f"payload.features.{name}: {what} is not to be had here: leave it out" for name, what in _REFUSED.items() if features.get(name)]
    if features.get("chainOfTrust") and features.get("runTaskAsCurrentUser"):
        faults.append("payload.features.chainOfTrust: a task that runs as the worker's user on purpose cannot be vouched for: leave one of the two out")
    strange = [group for group in given.get("osGroups", ()) if group not in groups]
    if strange:
        allowed = f"only {', '.join(sorted(groups))} can be asked for" if groups else "leave it out"
        faults.append(f"payload.osGroups: tasks run as the worker's own user, who is not in {', '.join(strange)}: {allowed}")
    if given.get("taskclusterProxyInterface") == "docker-bridge" and features.get("taskclusterProxy") and containers:
        faults.append(f"payload.taskclusterProxyInterface: the proxy can listen on localhost only: leave it out. {containers}")
    return faults


def _times(task: Mapping[str, Any], given: Mapping[str, Any], longest: int, *, named: bool = False) -> list[str]:
    faults = []
    if given["maxRunTime"] > longest:
        faults.append(f"payload.maxRunTime: {given['maxRunTime']} seconds is more than the {longest} that this worker allows")
    for index, each in enumerate(given.get("artifacts", [])):
        where = f"payload.artifacts[{each['name']!r}].expires" if named else f"payload.artifacts[{index}].expires"
        faults += expiry_faults(task, where, each.get("expires"))
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
    logs, features = given.get("logs", {}), given.get("features", {})
    if "live" in logs and logs["live"] == logs.get("backing") and features.get("liveLog", True) and features.get("backingLog", True):
        faults.append(f"payload.logs: the live log and the whole log cannot both be {logs['live']!r}")
    return faults


def wanted(payload: Payload, folder: str) -> list[files.Wanted]:
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
