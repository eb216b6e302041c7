"""Deployments and the Services before them."""

from __future__ import annotations

from typing import Any

from tcbox.export import configuration, references
from tcbox.export.kubernetes import pods
from tcbox.export.kubernetes.names import HASH, Names
from tcbox.export.plan import Plan, Process, Service

_NOTICED = 5
"""Seconds in which proxies learn that a pod is going, and send it nothing more."""


def deployment(plan: Plan, names: Names, service: Service, process: Process) -> dict[str, Any]:
    """A Deployment. Where an autoscaler says how many there are, it does not, or each apply would set them back."""
    labels, name = names.labels(process.service, process.part), names.process(process)
    replicas = {} if process.most > process.replicas else {"replicas": process.replicas}
    return names.manifest(
        "apps/v1", "Deployment", name, labels,
        spec={
            **replicas,
            "revisionHistoryLimit": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": names.selector(process.service, process.part)},
            "template": {"metadata": {"labels": labels, "annotations": {HASH: service.settings_hash}}, "spec": _pod(plan, names, service, process)},
        },
    )  # fmt: skip


def _pod(plan: Plan, names: Names, service: Service, process: Process) -> dict[str, Any]:
    secret, image, sizes = names.owner(service), plan.image(service.version), process.sizes
    common: dict[str, Any] = {"secret": secret, "resources": pods.resources(sizes.cpu, sizes.memory, sizes.memory_limit)}
    wait = pods.container("schema", image, service.await_migration(), refers=service.migration_refers, settings="migration", **common)
    serve = pods.container(
        "tcbox", image, process.command, refers=service.refers, **common,
        ports=[{"name": "http", "containerPort": configuration.PORT}], lifecycle={"preStop": {"sleep": {"seconds": _NOTICED}}}, **_probes(process),
    )  # fmt: skip
    return pods.spec(
        plan, account=secret, secret=secret, refers=references.merged(service.refers, service.migration_refers),
        config_maps={"settings": names.settings(service), "migration": names.migration_settings(service)},
        waits=[wait], containers=[serve], terminationGracePeriodSeconds=_NOTICED + 2 * plan.drain + 10,
        topologySpreadConstraints=_spread(names, process),
    )  # fmt: skip


def _probes(process: Process) -> dict[str, Any]:
    """A process that answers gets requests as long as it does: a database that is away is told to callers, not by there being
    nobody. One of loops is ready when these are well, so that a release whose loops fail does not go on to the next pod.
    """
    alive, well = "/__lbheartbeat__", "/__heartbeat__"
    ready = alive if process.answers else well
    return {
        "startupProbe": {"httpGet": {"path": alive, "port": "http"}, "periodSeconds": 1, "failureThreshold": 120},
        "readinessProbe": {"httpGet": {"path": ready, "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 2},
        "livenessProbe": {"httpGet": {"path": alive, "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }


def _spread(names: Names, process: Process) -> list[dict[str, Any]]:
    """Over machines and zones where there are several, each release for itself."""
    selector = {"matchLabels": names.selector(process.service, process.part)}
    return [
        {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector, "matchLabelKeys": ["pod-template-hash"]}
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def service(names: Names, process: Process) -> dict[str, Any]:
    """The Service before the processes that answer; before those that do not, one without an address, to scrape them by."""
    headless = {} if process.answers else {"clusterIP": "None"}
    port = {"name": "http", "port": 80 if process.answers else configuration.PORT, "targetPort": "http", "appProtocol": "http"}
    spec = {**headless, "selector": names.selector(process.service, process.part), "ports": [port]}
    return names.manifest("v1", "Service", names.process(process), names.labels(process.service, process.part), spec=spec)
