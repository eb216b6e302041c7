"""The services as containers: each waits for its migration, none may write but to two folders in memory."""

from __future__ import annotations

from typing import Any

from tcbox.export import configuration, references
from tcbox.export.compose import around
from tcbox.export.compose.values import filled, host_path, variable
from tcbox.export.plan import CONFIGURATION, Plan, Service, Worker
from tcbox.export.references import References

USER = "10001:10001"
_CHECK = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{configuration.PORT}/__lbheartbeat__', timeout=3)"


def settings_path(service: Service) -> str:
    """Where a service's settings lie beside the Compose file."""
    return f"settings/{service.name}.yml"


def migration_path(service: Service) -> str:
    """And those of its migration."""
    return f"settings/{service.name}-migration.yml"


def of(plan: Plan, service: Service) -> dict[str, Any]:
    """A service, and the migration that is done before it starts."""
    image, sizes = plan.image(service.version), service.processes[0].sizes
    migrate = {
        **_common(service, image, service.migrate(), service.migration_refers, path=migration_path(service), mark=service.migration_hash),
        "restart": "on-failure:10",
        **({"depends_on": around.database(plan)} if around.database(plan) else {}),
    }
    serve = {
        **_common(service, image, ["serve", service.name, "--config", CONFIGURATION], service.refers, path=settings_path(service), mark=service.settings_hash),
        "restart": "unless-stopped",
        "stop_grace_period": f"{2 * plan.drain + 10}s",
        "mem_limit": _bytes(sizes.memory_limit),
        "healthcheck": {
            # no start_interval: Compose refuses it where the engine is older than 25, and Debian 12 has 20.10
            "test": ["CMD", "/opt/tcbox/bin/python", "-c", _CHECK], "interval": "10s", "timeout": "5s", "retries": 3, "start_period": "60s",
        },
        "depends_on": {f"{service.name}-migration": {"condition": "service_completed_successfully"}, **around.servers_needed(plan)},
    }  # fmt: skip
    return {f"{service.name}-migration": migrate, service.name: serve}


def worker(plan: Plan, worker: Worker) -> dict[str, Any]:
    """The worker for built-in/succeed and built-in/fail."""
    environment = {"TASKCLUSTER_CLIENT_ID": worker.client_id, **_environment(worker, worker.refers)}
    made = {"image": plan.image(worker.version), "command": worker.command(plan.root_url), **_RIGHTS, "environment": environment}
    return {"builtin-worker": {**made, "restart": "unless-stopped", "stop_grace_period": f"{plan.drain + 20}s", "depends_on": {"proxy": _STARTED}}}


def secrets(plan: Plan) -> dict[str, Any]:
    """The files that settings refer to, as they lie on the host."""
    files = {file for service in plan.services for file in (*service.refers.files, *service.migration_refers.files)}
    return {file.name: {"file": host_path(plan.template, file.path)} for file in sorted(files)}


_STARTED = {"condition": "service_started"}
_RIGHTS: dict[str, Any] = {
    "user": USER, "init": True, "read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
    "tmpfs": ["/tmp:mode=1777", f"{configuration.PLACE['data']}:mode=0700,uid=10001,gid=10001"],  # noqa: S108 - within the container
}  # fmt: skip


def _common(service: Service, image: str, command: list[str], refers: References, *, path: str, mark: str) -> dict[str, Any]:
    environment = _environment(service, refers)
    files = [{"source": file.name, "target": f"{references.FOLDER}/{file.name}"} for file in refers.files]
    return {
        "image": image,
        "command": command,
        **_RIGHTS,
        **({"environment": environment} if environment else {}),
        "volumes": [f"./{path}:{CONFIGURATION}:ro"],
        **({"secrets": files} if files else {}),
        "labels": {"tcbox.settings-hash": mark},  # another content has the container made anew
    }


def _environment(owner: Service | Worker, refers: References) -> dict[str, str]:
    return {name: filled(variable(owner, name)) for name in refers.variables}


def _bytes(quantity: str) -> str:
    """A quantity of memory in the words of Compose, whose units are powers of 1024."""
    for suffix, factor in (("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("Ti", 2**40), ("k", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12)):
        if quantity.endswith(suffix):
            return f"{int(quantity.removesuffix(suffix)) * factor}b"
    return f"{quantity}b"
