"""The Job that brings a service's part of the database up to its release before any pod of that release starts.

Its name has a mark of what it runs, so each release has a Job of its own and a finished one is never in the way. New pods wait
in their first container for the schema that they need, while those of before go on: whatever order things are applied in,
no code meets a schema older than it.
"""

from __future__ import annotations

from typing import Any

from tcbox.export import yamltext
from tcbox.export.kubernetes import pods
from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Plan, Service, digest

_WEEK = 7 * 24 * 3600


def job(plan: Plan, names: Names, service: Service) -> dict[str, Any]:
    """The Job of a service's present release."""
    labels = names.labels(service.name, "migration")
    spec = _spec(plan, names, service, labels)
    return names.manifest("batch/v1", "Job", f"{names.of(service.name)}-migrate-{digest(yamltext.dump(spec))}", labels, spec=spec)


def _spec(plan: Plan, names: Names, service: Service, labels: dict[str, str]) -> dict[str, Any]:
    secret, refers = names.owner(service), service.migration_refers
    run = pods.container(
        "migrate", plan.image(service.version), service.migrate(), secret=secret, refers=refers, resources=pods.resources("100m", "128Mi", "512Mi")
    )
    pod = pods.spec(
        plan, account=secret, secret=secret, refers=refers, config_maps={"settings": names.migration_settings(service)},
        containers=[run], restartPolicy="Never",
    )  # fmt: skip
    return {"backoffLimit": 10, "ttlSecondsAfterFinished": _WEEK, "template": {"metadata": {"labels": labels}, "spec": pod}}
