"""The plan for one host: a Compose file, the settings of each service, and a proxy before them."""

from __future__ import annotations

from typing import Any

from tcbox.export import yamltext
from tcbox.export.compose import around, proxy, services
from tcbox.export.compose.values import variables
from tcbox.export.plan import Plan
from tcbox.export.tree import Tree


def tree(plan: Plan) -> Tree:
    """Every file by its path."""
    made: dict[str, Any] = {"proxy": proxy.service(plan)}
    for service in plan.services:
        made |= services.of(plan, service)
    if plan.worker is not None:
        made |= services.worker(plan, plan.worker)
    made |= around.servers(plan)
    volumes: dict[str, Any] = {name: {} for name in around.volumes(plan)}
    secrets = services.secrets(plan)
    document = {"name": plan.export.name, "services": made, **({"volumes": volumes} if volumes else {}), **({"secrets": secrets} if secrets else {})}
    files = {"compose.yaml": yamltext.file([document]), "proxy/nginx.conf": proxy.written(plan), ".env.example": _example(plan)}
    files[".gitignore"] = f"{yamltext.HEAD}.env\n"
    for service in plan.services:
        files[services.settings_path(service)] = yamltext.HEAD + service.settings
        files[services.migration_path(service)] = yamltext.HEAD + service.migration
    return dict(sorted(files.items()))


def _example(plan: Plan) -> str:
    lines = ["# What compose.yaml needs in a file .env beside it: `tcbox export --target compose --secrets > .env` writes it.", ""]
    return yamltext.HEAD + "\n".join([*lines, *(f"{name}=" for name in variables(plan))]) + "\n"
