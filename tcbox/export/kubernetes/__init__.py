"""The plan as a Kustomize tree: a folder a service, so that what changes in one touches no other."""

from __future__ import annotations

from typing import Any

from tcbox.export import yamltext
from tcbox.export.kubernetes import access, configs, migration, monitoring, network, routing, scaling, secrets, workers, workload
from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Plan, Service
from tcbox.export.tree import Tree


def tree(plan: Plan) -> Tree:
    """Every file by its path."""
    names = Names(plan.export.name, plan.export.namespace)
    files: dict[str, str] = {}
    for service in plan.services:
        folder = f"services/{service.name}"
        files |= _folder(folder, _service(plan, names, service), "\n".join(secrets.told(names, service)))
    if plan.worker is not None:
        files |= _folder("workers/builtin", workers.builtin(plan, names, plan.worker), "\n".join(secrets.told(names, plan.worker)))
    top = routing.files(plan, names)
    if plan.export.create_namespace:
        top["namespace.yaml"] = [access.namespace(names)]
    files |= {name: yamltext.file(documents) for name, documents in top.items()}
    folders = sorted({path.rpartition("/")[0] for path in files if "/" in path})
    files["kustomization.yaml"] = _kustomization([*sorted(top), *folders])
    return dict(sorted(files.items()))


def _service(plan: Plan, names: Names, service: Service) -> dict[str, list[Any]]:
    """The manifests of one service, by file."""
    found = {
        "config.yaml": [configs.settings(names, service), configs.migration(names, service)],
        "account.yaml": [access.account(plan, names, service)],
        "migration.yaml": [migration.job(plan, names, service)],
        "deployment.yaml": [workload.deployment(plan, names, service, process) for process in service.processes],
        "service.yaml": [workload.service(names, process) for process in service.processes if process.answers or plan.export.service_monitors],
        "disruption.yaml": [scaling.disruption(names, process) for process in service.processes],
        "autoscaling.yaml": [scaling.autoscaler(names, process) for process in service.processes if process.most > process.replicas],
        "network.yaml": network.policies(plan, names, service),
        "secret.yaml": secrets.external(plan, names, service),
        "monitoring.yaml": [monitoring.monitor(names, service)] if plan.export.service_monitors else [],
    }
    return {name: documents for name, documents in found.items() if documents}


def _folder(folder: str, documents: dict[str, list[Any]], comment: str) -> dict[str, str]:
    files = {f"{folder}/{name}": yamltext.file(each) for name, each in documents.items()}
    return {**files, f"{folder}/kustomization.yaml": _kustomization(sorted(documents), comment)}


def _kustomization(resources: list[str], comment: str = "") -> str:
    return yamltext.file([{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}], comment)
