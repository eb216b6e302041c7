"""The servers that run on the same host by choice: PostgreSQL, RabbitMQ, and one that speaks S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tcbox.export.compose.values import interpolated, literal
from tcbox.export.plan import Plan
from tcbox.export.references import login

POSTGRES = "postgres:17-alpine"
RABBITMQ = "rabbitmq:4-alpine"
S3 = "versity/versitygw:v1.8.0"
_HEALTHY = {"condition": "service_healthy"}
_DONE = {"condition": "service_completed_successfully"}
_SAFE: dict[str, Any] = {"restart": "unless-stopped", "security_opt": ["no-new-privileges:true"]}


def servers(plan: Plan) -> dict[str, Any]:
    """Those that were chosen."""
    chosen = plan.export.compose
    found: dict[str, Any] = {}
    if chosen.postgres:
        found["postgres"] = _postgres(plan)
    if chosen.rabbitmq:
        found["rabbitmq"] = _rabbitmq(plan)
    if chosen.s3:
        found |= _s3(plan)
    return found


def volumes(plan: Plan) -> Iterator[str]:
    """Where they keep their state."""
    chosen = plan.export.compose
    yield from (name for name in ("postgres", "rabbitmq", "s3") if getattr(chosen, name))


def database(plan: Plan) -> dict[str, Any]:
    """What a migration waits for."""
    return {"postgres": _HEALTHY} if plan.export.compose.postgres else {}


def servers_needed(plan: Plan) -> dict[str, Any]:
    """What a service waits for beside its migration."""
    chosen = plan.export.compose
    found: dict[str, Any] = {"rabbitmq": _HEALTHY} if chosen.rabbitmq else {}
    return {**found, **({"s3": {"condition": "service_started"}} if chosen.s3 else {})}


def _postgres(plan: Plan) -> dict[str, Any]:
    user, password, name = login(str(plan.template.settings.database))
    return {
        "image": POSTGRES,
        "environment": {"POSTGRES_USER": interpolated(user), "POSTGRES_PASSWORD": interpolated(password), "POSTGRES_DB": interpolated(name)},
        "volumes": ["postgres:/var/lib/postgresql/data"],
        "healthcheck": {"test": ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", interpolated(user), "-d", interpolated(name)], "interval": "2s", "retries": 60},
        "shm_size": "256m",
        "stop_grace_period": "60s",
        **_SAFE,
    }


def _rabbitmq(plan: Plan) -> dict[str, Any]:
    user, password, vhost = login(str(plan.template.settings.events))
    return {
        "image": RABBITMQ,
        "hostname": "rabbitmq",  # its state is kept under this name
        "environment": {
            "RABBITMQ_DEFAULT_USER": interpolated(user), "RABBITMQ_DEFAULT_PASS": interpolated(password),
            "RABBITMQ_DEFAULT_VHOST": interpolated(vhost) or "/",
        },
        "volumes": ["rabbitmq:/var/lib/rabbitmq"],
        "healthcheck": {"test": ["CMD", "rabbitmq-diagnostics", "-q", "check_port_connectivity"], "interval": "5s", "timeout": "30s", "retries": 30},
        "stop_grace_period": "60s",
        **_SAFE,
    }  # fmt: skip


def _s3(plan: Plan) -> dict[str, Any]:
    blobs = plan.template.settings.blobs
    bucket = literal(blobs.url.removeprefix("s3://").partition("/")[0])
    port = urlsplit(blobs.endpoint).port or (443 if blobs.endpoint.startswith("https") else 80)
    made = {"image": S3, "entrypoint": ["mkdir", "-p", f"/data/{bucket}"], "volumes": ["s3:/data"], "restart": "no"}
    serve = {
        "image": S3,
        "command": ["posix", "/data"],
        "environment": {
            "ROOT_ACCESS_KEY": interpolated(blobs.access_key_id), "ROOT_SECRET_KEY": interpolated(blobs.secret_access_key),
            "VGW_REGION": interpolated(blobs.region) or "us-east-1", "VGW_PORT": ":9000", "VGW_CORS_ALLOW_ORIGIN": plan.root_url,
        },
        "ports": [f"{port}:9000"],
        "volumes": ["s3:/data"],
        "depends_on": {"s3-bucket": _DONE},
        **_SAFE,
    }  # fmt: skip
    return {"s3-bucket": made, "s3": serve}
