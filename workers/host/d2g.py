"""Makes docker-worker payloads into generic-worker payloads whose one command is `docker run`.

What comes out is what a generic-worker with d2g makes of the same payload: caches become writable directory caches that are
mounted into the container, artifacts are copied out of it or lie in folders mounted into it, capabilities become options of
`docker run` and need the same scopes. Nothing here touches Docker or the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ENV_FILE = "env.list"
_FILE_LIMIT = 65_536
"""Docker reads no longer line than this from a file of variables."""
_STANDARD = ("RUN_ID", "TASKCLUSTER_INSTANCE_TYPE", "TASKCLUSTER_ROOT_URL", "TASKCLUSTER_WORKER_LOCATION", "TASK_GROUP_ID", "TASK_ID")
_PROXY = "TASKCLUSTER_PROXY_URL"
_DEVICES = {"loopbackAudio": "a loopback sound device", "loopbackVideo": "a loopback video device"}


@dataclass(frozen=True, slots=True)
class Copy:
    """An artifact that is copied out of the container.

    Attributes:
        source: path in the container.
        path: where it goes, below the task's folder.
    """

    name: str
    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A docker-worker payload in terms of generic-worker.

    Attributes:
        payload: the generic-worker payload, without its command.
        image: a name, or an object with `type`.
        options: options of `docker run` that come from the payload.
        folders: mounted into the container: path below the task's folder, and path in the container; caches first.
        volumes: those of the folders that are artifacts, and must be there before the container is.
        variables: lines of the file of variables: `NAME=value`, or a name alone whose value `docker` itself has.
        arguments: `NAME=value` of variables that cannot stand in a file.
        command: what the container runs; the image's own when empty.
    """

    payload: dict[str, Any]
    image: str | dict[str, str]
    options: tuple[str, ...]
    folders: tuple[tuple[str, str], ...]
    volumes: tuple[str, ...]
    copies: tuple[Copy, ...]
    variables: tuple[str, ...]
    arguments: tuple[str, ...]
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container runs.

    Attributes:
        name: the container's.
        folder: absolute path of the task's folder.
        image: name or id of the image in the engine.
        network, gateway: name of the network that has the proxy, and this machine's address on it; empty without a proxy.
    """

    name: str
    folder: str
    image: str
    network: str = ""
    gateway: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def translate(given: Mapping[str, Any]) -> Translation:
    """Translate a docker-worker payload that has the form of its schema, its defaults filled in."""
    features, capabilities = given.get("features", {}), given.get("capabilities", {})
    kept = features.get("artifacts", True)
    artifacts = list(_artifacts(given)) if kept else []
    caches = [(f"cache{index}", name) for index, name in enumerate(sorted(given.get("cache", {})))]
    volumes = [(each["path"], given["artifacts"][each["name"]]["path"]) for each in artifacts if each["path"].startswith("volume")]
    variables, arguments = _variables(given)
    return Translation(
        payload=_payload(given, artifacts, caches),
        image=given["image"],
        options=tuple(_options(features, capabilities)),
        folders=(*((folder, given["cache"][name]) for folder, name in caches), *volumes),
        volumes=tuple(path for path, _ in volumes),
        copies=tuple(Copy(each["name"], given["artifacts"][each["name"]]["path"], each["path"]) for each in artifacts if not each["path"].startswith("volume")),
        variables=variables,
        arguments=arguments,
        command=tuple(given.get("command", ())),
    )


def command(translation: Translation, place: Place) -> list[str]:
    """The command that runs the container and ends with its exit code."""
    argv = ["docker", "run", "-t", "--name", place.name]
    argv += [f"--label={name}={value}" for name, value in place.labels.items()]
    argv += ["--memory-swap", "-1", "--pids-limit", "-1", "--pull=never", "--log-driver=none", *translation.options]
    argv += ["--add-host=localhost.localdomain:127.0.0.1"]
    for path, target in translation.folders:
        argv += ["-v", f"{place.folder}/{path}:{target}"]
    if place.network:
        argv += ["--network", place.network, f"--add-host=taskcluster:{place.gateway}"]
    for argument in translation.arguments:
        argv += ["-e", argument]
    return [*argv, "--env-file", ENV_FILE, "--", place.image, *translation.command]


def scopes(given: Mapping[str, Any], task_queue_id: str) -> list[tuple[str, ...]]:
    """The scopes that a task with this payload needs besides those of its caches; of each tuple one is enough."""
    capabilities = given.get("capabilities", {})
    asked = [name for name in ("privileged",) if capabilities.get(name)]
    asked += [f"device:{name}" for name, wanted in capabilities.get("devices", {}).items() if wanted]
    needed: list[tuple[str, ...]] = [(f"docker-worker:capability:{name}", f"docker-worker:capability:{name}:{task_queue_id}") for name in asked]
    if capabilities.get("disableSeccomp"):
        needed.append(("docker-worker:capability:disableSeccomp",))
    if given.get("features", {}).get("allowPtrace"):
        needed.append(("docker-worker:feature:allowPtrace",))
    return needed


def faults(given: Mapping[str, Any], *, kvm: bool) -> list[str]:
    """What is wrong with a payload beyond its form.

    Args:
        kvm: the machine has /dev/kvm.
    """
    found = []
    devices = given.get("capabilities", {}).get("devices", {})
    found += [f"payload.capabilities.devices.{name}: {what} is not to be had here: leave it out" for name, what in _DEVICES.items() if devices.get(name)]
    if devices.get("kvm") and not kvm:
        found.append(
            "payload.capabilities.devices.kvm: this machine has no /dev/kvm: leave it out, or send the task to a machine that can run virtual machines"
        )
    paths = [(f"payload.cache[{name!r}]", path) for name, path in given.get("cache", {}).items()]
    paths += [(f"payload.artifacts[{name!r}].path", each["path"]) for name, each in given.get("artifacts", {}).items() if each["type"] == "volume"]
    for where, path in paths:
        if not path.startswith("/") or ":" in path:
            found.append(f"{where}: {path!r} must be an absolute path in the container, without a colon")
    for name in given.get("env", {}):
        if not name or name != name.strip() or any(each.isspace() or each in "=\0" for each in name) or name.startswith("#"):
            found.append(f"payload.env[{name!r}]: no variable of a container can have that name")
    return found


def _payload(given: Mapping[str, Any], artifacts: list[dict[str, Any]], caches: list[tuple[str, str]]) -> dict[str, Any]:
    features = given.get("features", {})
    kept, log = features.get("artifacts", True), given.get("log", "public/logs/live.log")
    stem, extension = os.path.splitext(log)
    made: dict[str, Any] = {
        "maxRunTime": given["maxRunTime"],
        "features": {
            "backingLog": kept and features.get("bulkLog", True),
            "liveLog": kept and features.get("localLiveLog", True),
            **{name: True for name in ("chainOfTrust", "interactive", "taskclusterProxy") if features.get(name)},
        },
        "logs": {"live": log, "backing": f"{stem}_backing{extension}"},
        "onExitStatus": {name: list(dict.fromkeys(codes)) for name, codes in given.get("onExitStatus", {}).items()},
    }
    if artifacts:
        made["artifacts"] = artifacts
    if caches:
        made["mounts"] = [{"cacheName": name, "directory": folder} for folder, name in caches]
    return made


def _artifacts(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for index, (name, each) in enumerate(sorted(given.get("artifacts", {}).items())):
        volume = each["type"] == "volume"
        extension = os.path.splitext(os.path.basename(each["path"]))[1]
        made = {
            "type": "directory" if volume else each["type"],
            "path": f"{'volume' if volume else 'artifact'}{index}{extension}",
            "name": name,
            "optional": True,
        }
        yield {**made, "expires": each["expires"]} if "expires" in each else made


def _options(features: Mapping[str, Any], capabilities: Mapping[str, Any]) -> Iterator[str]:
    devices = capabilities.get("devices", {})
    if capabilities.get("privileged"):
        yield "--privileged"
    elif features.get("allowPtrace"):
        yield "--cap-add=SYS_PTRACE"
    if capabilities.get("disableSeccomp"):
        yield "--security-opt=seccomp=unconfined"
    if devices.get("kvm"):
        yield "--device=/dev/kvm"
    if devices.get("hostSharedMemory"):
        yield "--volume=/dev/shm:/dev/shm"


def _variables(given: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = (*_STANDARD, *((_PROXY,) if given.get("features", {}).get("taskclusterProxy") else ()))
    lines: list[str] = [*names]
    arguments: list[str] = []
    for name, value in sorted(given.get("env", {}).items()):
        if name in names:
            continue  # the worker's own word stands
        text = f"{name}={value}"
        long = len(text.encode()) >= _FILE_LIMIT or "\n" in value or "\r" in value
        (arguments if long else lines).append(text)
    return tuple(sorted(lines)), tuple(arguments)
