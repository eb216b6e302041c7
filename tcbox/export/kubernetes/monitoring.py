"""What tells Prometheus's operator to scrape a service's processes."""

from __future__ import annotations

from typing import Any

from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Service


def monitor(names: Names, service: Service) -> dict[str, Any]:
    """One for all kinds of process of the service."""
    spec = {
        "selector": {"matchLabels": names.selector(service.name)},
        "targetLabels": ["app.kubernetes.io/name", "app.kubernetes.io/component"],
        "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s"}],
    }
    return names.manifest("monitoring.coreos.com/v1", "ServiceMonitor", names.owner(service), names.labels(service.name), spec=spec)
