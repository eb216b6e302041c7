"""How requests come in: an Ingress, or an HTTPRoute attached to a Gateway; one path a service, the rest to one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Plan

_PATIENCE = "60s"
"""How long an answer may take: workers wait 20 seconds for a task, and uploads are slow."""
_HIDDEN = "/metrics"


def files(plan: Plan, names: Names) -> dict[str, list[Any]]:
    """The files of what was chosen."""
    if plan.export.ingress.class_name:
        return {"ingress.yaml": [_ingress(plan, names)]}
    return {"route.yaml": [_route(plan, names)]} if plan.export.gateway.name else {}


def _paths(plan: Plan) -> Iterator[tuple[str, str]]:
    """Prefixes with the service that they lead to, the longest first, as readers expect them."""
    found = [(path, service.name) for service in plan.services for path in service.paths]
    yield from sorted(found, key=lambda each: (each[0] == "/", each[0]))


def _ingress(plan: Plan, names: Names) -> dict[str, Any]:
    chosen = plan.export.ingress
    paths = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": names.of(service), "port": {"name": "http"}}}} for path, service in _paths(plan)
    ]
    tls = [{"hosts": [plan.host], **({"secretName": chosen.tls_secret} if chosen.tls_secret else {})}]
    spec = {
        "ingressClassName": chosen.class_name,
        **({"tls": tls} if plan.root_url.startswith("https") else {}),
        "rules": [{"host": plan.host, "http": {"paths": paths}}],
    }
    annotations = {"annotations": dict(chosen.annotations)} if chosen.annotations else {}
    return names.manifest("networking.k8s.io/v1", "Ingress", names.prefix, names.labels("ingress"), metadata=annotations, spec=spec)


def _route(plan: Plan, names: Names) -> dict[str, Any]:
    chosen = plan.export.gateway
    parent = {"name": chosen.name, **({"namespace": chosen.namespace} if chosen.namespace else {})}
    parent |= {"sectionName": chosen.listener} if chosen.listener else {}
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": path}}],
            "backendRefs": [{"name": names.of(service), "port": 80}],
            "timeouts": {"request": _PATIENCE},
        }
        for path, service in _paths(plan)
    ]
    hidden = {"matches": [{"path": {"type": "PathPrefix", "value": _HIDDEN}}]}  # leads nowhere; behind an Ingress the processes see to it alone
    spec = {"parentRefs": [parent], "hostnames": [plan.host], "rules": [hidden, *rules]}
    return names.manifest("gateway.networking.k8s.io/v1", "HTTPRoute", names.prefix, names.labels("route"), spec=spec)
