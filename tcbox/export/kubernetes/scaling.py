"""How many there are, and how many may be missing at once."""

from __future__ import annotations

from typing import Any

from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Process

_BUSY = 70
"""Percent of the requested processors above which there should be more processes."""


def disruption(names: Names, process: Process) -> dict[str, Any]:
    """Machines are emptied one process at a time; one that does not work anyway is in nobody's way."""
    selector = {"matchLabels": names.selector(process.service, process.part)}
    spec = {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector}
    return names.manifest("policy/v1", "PodDisruptionBudget", names.process(process), names.labels(process.service, process.part), spec=spec)


def autoscaler(names: Names, process: Process) -> dict[str, Any]:
    """More while they are busy, fewer after five quiet minutes."""
    name = names.process(process)
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": process.replicas,
        "maxReplicas": process.most,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": _BUSY}}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
    }
    return names.manifest("autoscaling/v2", "HorizontalPodAutoscaler", name, names.labels(process.service, process.part), spec=spec)
