"""How a setting is written as a value of the chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tcbox.config import Settings
from tcbox.export import references
from tcbox.export.plan import Plan


@dataclass
class Files:
    """The values that come from files, by their path among the values."""

    found: dict[str, str] = field(default_factory=dict)

    def without(self, document: Any, key: str = "") -> Any:
        """A document without the values that are files as a whole; these are noted."""
        if isinstance(document, Mapping):
            return {name: self.without(each, f"{key}.{name}" if key else str(name)) for name, each in document.items()}
        if isinstance(document, list):
            return [self.without(each, f"{key}[{index}]") for index, each in enumerate(document)]
        parts = references.split(document) if isinstance(document, str) else []
        if len(parts) == 3 and isinstance(parts[1], references.Reference) and parts[1].kind == "file" and not parts[0] and not parts[2]:
            self.found[key] = parts[1].name
            return ""
        return "".join(_filled(part) for part in parts) if parts else document

    def option(self, key: str, path: str) -> str:
        """With what helm is told of a file: one that is JSON goes in as such."""
        return f'--set-json "{key}=$(cat {path})"' if key.endswith(".credentials") else f"--set-file '{key}={path}'"


def _filled(part: str | references.Reference) -> str:
    if isinstance(part, str):
        return part
    return f"${{{part.name if part.kind == 'env' else references.file_name(part.name)}}}"


@dataclass(frozen=True)
class Values:
    """The settings as the chart wants them. References stay in them until the end."""

    plan: Plan
    files: Files

    @property
    def settings(self) -> Settings:
        """The settings, references in them as they were written."""
        return self.plan.template.settings

    def token(self, service: str) -> str:
        """The access token of a service."""
        return f"${{env:TCBOX_{service.upper().replace('-', '_')}_TOKEN}}"

    def client(self, service: str) -> dict[str, str]:
        """As whom a service calls others."""
        return {"taskcluster_client_id": f"static/taskcluster/{service}", "taskcluster_access_token": self.token(service)}

    def database(self) -> dict[str, str]:
        """Where its tables are."""
        return {"read_db_url": str(self.settings.database), "write_db_url": str(self.settings.database)}

    def keys(self) -> dict[str, Any]:
        """With what it seals."""
        return {"db_crypto_keys": [{"id": "tcbox", "algo": "aes-256", "key": str(self.settings.services.secrets.key)}]}

    def pulse(self) -> dict[str, str]:
        """As whom it signs in at RabbitMQ."""
        user, password, _ = references.login(str(self.settings.events))
        return {"pulse_username": user, "pulse_password": password}

    def given(self, names: Mapping[str, str], section: Any) -> dict[str, Any]:
        """Settings by the chart's names for them, without those that are empty."""
        found = {name: getattr(section, key) for name, key in names.items()}
        return {name: list(value) if isinstance(value, tuple) else str(value) if isinstance(value, str) else value for name, value in found.items() if value}
