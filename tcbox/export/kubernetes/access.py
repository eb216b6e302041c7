"""The namespace, and the service accounts: of the cluster's own API a process needs nothing."""

from __future__ import annotations

from typing import Any

from tcbox.export import needs
from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Plan, Service


def namespace(names: Names) -> dict[str, Any]:
    """The namespace, in which no pod may do more than the strictest of the cluster's standards allows."""
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.namespace, "labels": levels}}


def account(plan: Plan, names: Names, service: Service) -> dict[str, Any]:
    """A service's account, with the annotations that clouds give roles by."""
    sizes = plan.export.services.get(needs.package(service.name))
    annotations = {"annotations": dict(sizes.account)} if sizes is not None and sizes.account else {}
    labels = names.labels(service.name)
    return names.manifest("v1", "ServiceAccount", names.owner(service), labels, metadata=annotations, automountServiceAccountToken=False)
