"""How many processes of a service the chart is to run, and what each gets; processes that no setting speaks of are left to it."""

from __future__ import annotations

from typing import Any

from tcbox.export.plan import Plan

LOOPS: dict[str, tuple[str, ...]] = {
    "queue": ("claimResolver", "deadlineResolver", "dependencyResolver", "workerRemovedResolver"),
    "hooks": ("scheduler", "listeners"),
    "index": ("handlers",),
    "notify": ("handler",),
    "github": ("worker",),
    "worker_manager": ("provisioner", "workerscanner"),
}
"""What the chart calls that which runs apart from a service's API."""


def of(plan: Plan, name: str) -> dict[str, Any]:
    """The values of one service."""
    sizes = plan.export.services.get(name)
    if sizes is None:
        return {}
    web = {"replicas": sizes.replicas, "cpu": sizes.cpu, "memory": sizes.memory}
    loops = {loop: {"cpu": sizes.cpu, "memory": sizes.memory} for loop in LOOPS.get(name, ())}
    scaling = {
        "enabled": sizes.most_replicas > sizes.replicas,
        "minReplicas": sizes.replicas,
        "maxReplicas": sizes.most_replicas,
        "targetCPUUtilizationPercentage": 70,
    }
    return {"procs": {"web": web, **loops}, "autoscaling": scaling}
