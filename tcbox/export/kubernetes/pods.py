"""What all pods have in common: no rights, nothing writable but two folders, and what they refer to."""

from __future__ import annotations

from typing import Any

from tcbox.export import configuration, references
from tcbox.export.plan import CONFIGURATION, Plan
from tcbox.export.references import References

USER = 10001
"""The user of the image."""


def bare(plan: Plan, *, account: str, container: str, image: str, args: list[str], resources: dict[str, Any], env: Any = (), **rest: Any) -> dict[str, Any]:
    """A pod of one container without settings."""
    made = {"name": container, "image": image, "args": args, "env": list(env), "resources": resources, "securityContext": _NO_RIGHTS}
    made["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - within a container, for it alone
    return _around(plan, account, [made], [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}], **rest)


def spec(
    plan: Plan, *, account: str, secret: str, refers: References, config_maps: dict[str, str],
    containers: list[dict[str, Any]], waits: list[dict[str, Any]] | None = None, **rest: Any,
) -> dict[str, Any]:  # fmt: skip
    """A pod with settings.

    Args:
        config_maps: where settings are, by the volumes' names.
        waits: containers that come first.
    """
    return _around(plan, account, containers, _volumes(config_maps, secret, refers), waits=waits, **rest)


_NO_RIGHTS = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def _around(plan: Plan, account: str, containers: list[dict[str, Any]], volumes: list[dict[str, Any]], waits: Any = None, **rest: Any) -> dict[str, Any]:
    pulls = [{"name": name} for name in plan.export.pull_secrets]
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"imagePullSecrets": pulls} if pulls else {}),
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"initContainers": waits} if waits else {}),
        "containers": containers,
        "volumes": volumes,
        **rest,
    }  # fmt: skip


def container(
    name: str, image: str, args: list[str], *, secret: str, refers: References, resources: dict[str, Any], settings: str = "settings", **rest: Any
) -> dict[str, Any]:
    """A container that runs a command of tcbox with the settings of a volume."""
    return {
        "name": name,
        "image": image,
        "args": args,
        **rest,
        **environment(secret, refers),
        "resources": resources,
        "securityContext": _NO_RIGHTS,
        "volumeMounts": _mounts(settings, refers),
    }


def environment(secret: str, refers: References, plain: dict[str, str] | None = None) -> dict[str, Any]:
    """Variables: plain ones, and those from the Secret, each by its name, so that no other one gets in."""
    said = [{"name": name, "value": value} for name, value in (plain or {}).items()]
    secrets = [{"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}} for name in refers.variables]
    return {"env": said + secrets} if said or secrets else {}


def resources(cpu: str, memory: str, limit: str) -> dict[str, Any]:
    """What a container is sure to get. Its processor time has no limit, since one that waits for its turn helps nobody."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}}


def _mounts(settings: str, refers: References) -> list[dict[str, Any]]:
    folder, _, file = CONFIGURATION.rpartition("/")
    assert file == "tcbox.yml"
    mounts: list[dict[str, Any]] = [
        {"name": settings, "mountPath": folder, "readOnly": True},
        {"name": "data", "mountPath": configuration.PLACE["data"]},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - within a container, for it alone
    ]
    return [*mounts, *([{"name": "secrets", "mountPath": references.FOLDER, "readOnly": True}] if refers.files else [])]


def _volumes(config_maps: dict[str, str], secret: str, refers: References) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        *({"name": volume, "configMap": {"name": name}} for volume, name in config_maps.items()),
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    items = [{"key": file.name, "path": file.name} for file in refers.files]
    return [*volumes, *([{"name": "secrets", "secret": {"secretName": secret, "defaultMode": 0o440, "items": items}}] if items else [])]
