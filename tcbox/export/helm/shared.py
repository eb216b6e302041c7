"""What the chart has for all services together."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tcbox.export import references
from tcbox.export.helm.values import Values


def top(values: Values) -> dict[str, Any]:
    """The values at the top."""
    plan, settings = values.plan, values.settings
    export, parts = settings.export, urlsplit(references.bare(settings.events))
    made: dict[str, Any] = {
        "rootUrl": plan.root_url,
        "applicationName": settings.services.github.status_context,
        "nodeEnv": "production",
        "forceSSL": False,
        "trustProxy": True,
        "useKubernetesDnsServiceDiscovery": True,
        "pulseHostname": parts.hostname or "",
        "pulseVhost": references.login(str(settings.events))[2] or "/",
        "pulseAmqps": parts.scheme == "amqps",
        "prometheus": {"enabled": export.service_monitors},
    }
    if export.pull_secrets:
        made["imagePullSecret"] = export.pull_secrets[0]
    if export.ingress.class_name:
        made |= {"ingressType": export.ingress.class_name, "ingressTlsSecretName": export.ingress.tls_secret}
    if export.gateway.name:
        made["ingressType"] = "gateway"
    return made
