"""What things are called in the cluster, and by which labels they find each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tcbox.export.plan import Process, Service, Worker

MANAGED = "tcbox-export"
HASH = "tcbox/settings-hash"
"""The annotation of pods that changes with their settings, and has them made anew."""


@dataclass(frozen=True)
class Names:
    """The names of one export: its prefix, and its namespace."""

    prefix: str
    namespace: str

    def of(self, name: str) -> str:
        """The name of something: `tcbox-queue`."""
        return f"{self.prefix}-{name}"

    def settings(self, service: Service) -> str:
        """The ConfigMap of a service's processes; another content has another name, so that pods of before keep theirs."""
        return f"{self.of(service.name)}-{service.settings_hash}"

    def migration_settings(self, service: Service) -> str:
        """The ConfigMap of its migration."""
        return f"{self.of(service.name)}-migration-{service.migration_hash}"

    def labels(self, name: str, component: str = "") -> dict[str, str]:
        """What stands on everything that belongs to a service."""
        return {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/instance": self.prefix,
            **({"app.kubernetes.io/component": component} if component else {}),
            "app.kubernetes.io/part-of": "taskcluster",
            "app.kubernetes.io/managed-by": MANAGED,
        }

    def selector(self, name: str, component: str = "") -> dict[str, str]:
        """By what a service's pods are found; never changes."""
        return {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/instance": self.prefix,
            **({"app.kubernetes.io/component": component} if component else {}),
        }

    def all_pods(self) -> dict[str, str]:
        """By what the pods of all services are found."""
        return {"app.kubernetes.io/instance": self.prefix, "app.kubernetes.io/part-of": "taskcluster"}

    def manifest(self, api: str, kind: str, name: str, labels: dict[str, str], **rest: Any) -> dict[str, Any]:
        """A manifest; `metadata` among the rest adds to its own."""
        metadata = {"name": name, "namespace": self.namespace, "labels": labels, **rest.pop("metadata", {})}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}

    def process(self, process: Process) -> str:
        """What a kind of process is called."""
        return self.of(process.name)

    def owner(self, owner: Service | Worker) -> str:
        """What a service's or a worker's account and Secret are called."""
        return self.of(owner.name)
