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


def host_config(
    payload: Payload, limits: Limits, devices: Sequence[Given], *, mounts: Mapping[str, str | None], network: str | None, hosts: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """The `HostConfig` of a task's container.

    Args:
        mounts: for each path in the container the volume that is mounted there; None for one that goes with the container.
    """
    shared = any(each.shared_memory for each in devices)
    made: dict[str, Any] = {
        "AutoRemove": False,
        "ExtraHosts": ["localhost.localdomain:127.0.0.1", *hosts],
        "LogConfig": {"Type": "none"},
        "Mounts": [_mount(target, volume) for target, volume in mounts.items()],
    }
    if network is not None:
        made["NetworkMode"] = network
    if limits.memory:
        made |= {"Memory": limits.memory, "MemorySwap": -1}
    if limits.processes:
        made["PidsLimit"] = limits.processes
    if limits.cpus:
        made["NanoCpus"] = int(limits.cpus * 1_000_000_000)
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


def _mount(target: str, volume: str | None) -> dict[str, Any]:
    mount: dict[str, Any] = {"Type": "volume", "Target": target, "VolumeOptions": {"NoCopy": True}}
    return mount if volume is None else {**mount, "Source": volume}
