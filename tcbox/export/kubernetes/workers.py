"""The worker for built-in/succeed and built-in/fail as a Deployment."""

from __future__ import annotations

from typing import Any

from tcbox.export.kubernetes import network, pods, secrets
from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Plan, Worker


def builtin(plan: Plan, names: Names, worker: Worker) -> dict[str, list[Any]]:
    """Its manifests, by file."""
    owner, labels = names.owner(worker), names.labels(worker.name, "worker")
    pod = pods.bare(
        plan, account=owner, container="tcbox", image=plan.image(worker.version), args=worker.command(plan.root_url),
        resources=pods.resources("20m", "96Mi", "256Mi"), terminationGracePeriodSeconds=plan.drain + 20,
        **pods.environment(owner, worker.refers, {"TASKCLUSTER_CLIENT_ID": worker.client_id}),
    )  # fmt: skip
    spec = {
        "replicas": 1,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": names.selector(worker.name, "worker")},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    account = names.manifest("v1", "ServiceAccount", owner, names.labels(worker.name), automountServiceAccountToken=False)
    found = {
        "account.yaml": [account],
        "deployment.yaml": [names.manifest("apps/v1", "Deployment", owner, labels, spec=spec)],
        "network.yaml": [network.outward(plan, names, worker)],
        "secret.yaml": secrets.external(plan, names, worker),
    }
    return {name: documents for name, documents in found.items() if documents}
