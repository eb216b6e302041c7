"""What the engine is told of a container: what it may use, and what it may do beyond the ordinary. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tcbox.workers.docker.devices import Given
from tcbox.workers.docker.payload import Payload
from tcbox.workers.settings import WorkerSettings

_SHARED_MEMORY = 1_800_000_000
"""Size of /dev/shm, as tasks know it; browsers need more than the engine's own 64 MB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one container may use.

    Attributes:
        memory: in bytes; 0 for no limit.
        processes: 0 for no limit.
        cpus: in processors; 0 for no limit.
    """

    memory: int
    processes: int
    cpus: float

    @classmethod
    def of(cls, settings: WorkerSettings, machine: int) -> Limits:
        """As the settings have it; without a word on memory, nine tenths of the machine's, so that it survives."""
        return cls(settings.memory_mb * 1_000_000 or machine * 9 // 10, settings.processes, settings.cpus)

    def told(self) -> dict[str, Any]:
        """As a part of a container's `HostConfig`."""
        made: dict[str, Any] = {}
        if self.memory:
            made |= {"Memory": self.memory, "MemorySwap": -1}
        if self.processes:
            made["PidsLimit"] = self.processes
        if self.cpus:
            made["NanoCpus"] = int(self.cpus * 1_000_000_000)
        return made


def host_config(
    payload: Payload, limits: Limits, devices: Sequence[Given], *, mounts: Mapping[str, str | None], network: str | None, hosts: Sequence[str],
    binds: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """The `HostConfig` of a task's container.

    Args:
        mounts: for each path in the container the volume that is mounted there; None for one that goes with the container.
        binds: what else is mounted, as the engine is told of it.
    """
    shared = any(each.shared_memory for each in devices)
    made: dict[str, Any] = {
        "AutoRemove": False,
        "ExtraHosts": ["localhost.localdomain:127.0.0.1", *hosts],
        "LogConfig": {"Type": "none"},
        "Mounts": [*(volume(target, source) for target, source in mounts.items()), *binds],
        **limits.told(),
    }
    if network is not None:
        made["NetworkMode"] = network
    if shared:
        made["Mounts"].append({"Type": "bind", "Source": "/dev/shm", "Target": "/dev/shm"})  # noqa: S108 - the device that was asked for
    else:
        made["ShmSize"] = _SHARED_MEMORY
    nodes = [node for each in devices for node in each.nodes]
    if nodes:
        made["Devices"] = [{"PathOnHost": node, "PathInContainer": node, "CgroupPermissions": "rwm"} for node in nodes]
    if payload.privileged:
        made["Privileged"] = True
    if payload.ptrace:
        made["CapAdd"] = ["SYS_PTRACE"]
    if payload.unfiltered:
        made["SecurityOpt"] = ["seccomp=unconfined"]
    return made


def volume(target: str, source: str | None = None) -> dict[str, Any]:
    """A volume mounted at a path, without what the image has there; one that goes with the container when it has no name."""
    mount: dict[str, Any] = {"Type": "volume", "Target": target, "VolumeOptions": {"NoCopy": True}}
    return mount if source is None else {**mount, "Source": source}
