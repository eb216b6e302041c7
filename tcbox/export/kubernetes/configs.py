"""ConfigMaps: what a service reads, and nothing else. They never change; another content is another ConfigMap."""

from __future__ import annotations

from typing import Any

from tcbox.export.kubernetes.names import Names
from tcbox.export.plan import Service


def settings(names: Names, service: Service) -> dict[str, Any]:
    """Of a service's processes."""
    return _config_map(names, names.settings(service), service, service.settings)


def migration(names: Names, service: Service) -> dict[str, Any]:
    """Of its migration."""
    return _config_map(names, names.migration_settings(service), service, service.migration)


def _config_map(names: Names, name: str, service: Service, text: str) -> dict[str, Any]:
    return names.manifest("v1", "ConfigMap", name, names.labels(service.name), immutable=True, data={"tcbox.yml": text})
