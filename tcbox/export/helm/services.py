"""What the chart has for each service."""

from __future__ import annotations

from typing import Any

from tcbox.export.helm.values import Values
from tcbox.export.plan import Plan


def services(values: Values) -> dict[str, dict[str, Any]]:
    """The values of each, as the chart calls it; it runs them all, switched off here or not."""
    return {
        "auth": _auth(values),
        "built_in_workers": {"taskcluster_client_id": "static/taskcluster/built-in-workers", "taskcluster_access_token": values.token("built-in-workers")},
        "github": _github(values),
        "hooks": {**values.client("hooks"), **values.database(), **values.keys(), **values.pulse()},
        "index": {**values.client("index"), **values.database(), **values.pulse()},
        "notify": _notify(values),
        "object": _object(values),
        "purge_cache": {**values.client("purge-cache"), **values.database()},
        "queue": _queue(values),
        "secrets": {**values.client("secrets"), **values.database(), **values.keys()},
        "web_server": _web_server(values),
        "worker_manager": _worker_manager(values),
        "ui": _ui(values.plan),
        "references": {},
    }


_OWN = ("built-in-workers", "github", "hooks", "index", "notify", "object", "purge-cache", "queue", "secrets", "web-server", "worker-manager", "root")


def _auth(values: Values) -> dict[str, Any]:
    chosen = values.settings.services.auth
    own = [{"clientId": f"static/taskcluster/{name}", "accessToken": values.token(name), "description": "made by tcbox export"} for name in _OWN]
    configured = [
        {"clientId": client.client_id, "accessToken": str(client.access_token), "scopes": list(client.scopes), "description": client.description}
        for client in chosen.static_clients
    ]
    made: dict[str, Any] = {**values.database(), **values.keys(), **values.pulse(), "static_clients": own + configured}
    made |= values.given({"websocktunnel_secret": "websocktunnel_secret"}, chosen)
    sentry = {"sentry_host": "url", "sentry_auth_token": "auth_token", "sentry_organization": "organization", "sentry_team": "team"}
    if chosen.sentry.url:
        made |= values.given({**sentry, "sentry_key_prefix": "key_prefix"}, chosen.sentry)
        made["sentry_host"] = chosen.sentry.url.partition("://")[2].rstrip("/")
    s3 = chosen.aws_s3
    if s3.access_key_id:
        bucket = {"accessKeyId": s3.access_key_id, "secretAccessKey": str(s3.secret_access_key), "buckets": list(s3.buckets)}
        made["aws_credentials_allowed_buckets"] = [bucket]
    if chosen.gcp.project_id:
        project = {"credentials": str(chosen.gcp.credentials), "allowedServiceAccounts": list(chosen.gcp.service_accounts)}
        made["gcp_credentials_allowed_projects"] = {chosen.gcp.project_id: project}
    if chosen.github.apps:
        made["github_credentials_apps"] = {name: {"appId": app.app_id, "privateKey": str(app.private_key)} for name, app in chosen.github.apps.items()}
    return made


def _github(values: Values) -> dict[str, Any]:
    chosen = values.settings.services.github
    provisioner, _, worker = chosen.docker_task_queue.partition("/")
    made = {
        "bot_username": chosen.bot_name,
        "github_app_id": chosen.app_id,
        "github_private_pem": str(chosen.private_key),
        "webhook_secret": " ".join(map(str, chosen.webhook_secrets)),
        "provisioner_id": provisioner,
        "worker_type": worker,
    }
    return {**values.client("github"), **values.database(), **values.pulse(), **made}


def _notify(values: Values) -> dict[str, Any]:
    chosen = values.settings.services.notify
    made: dict[str, Any] = {**values.client("notify"), **values.database(), **values.pulse(), "email_source_address": chosen.email.source}
    made |= {"aws_access_key_id": "${env:SES_ACCESS_KEY_ID}", "aws_secret_access_key": "${env:SES_SECRET_ACCESS_KEY}"}  # it sends by SES, not by SMTP
    if chosen.email_denylist:
        made["email_blacklist"] = list(chosen.email_denylist)
    made |= values.given({"matrix_base_url": "base_url", "matrix_access_token": "access_token", "matrix_user_id": "user_id"}, chosen.matrix)
    return {**made, **(values.given({"slack_access_token": "access_token", "slack_api_url": "api_url"}, chosen.slack) if chosen.slack.access_token else {})}


def _bucket(values: Values) -> str:
    return values.settings.blobs.url.removeprefix("s3://").partition("/")[0]


def _object(values: Values) -> dict[str, Any]:
    blobs = values.settings.blobs
    backend: dict[str, Any] = {"backendType": "aws", "bucket": _bucket(values), "signGetUrls": True}
    backend |= {"accessKeyId": str(blobs.access_key_id), "secretAccessKey": str(blobs.secret_access_key)}
    if blobs.endpoint:
        backend |= {"endpoint": blobs.endpoint, "s3ForcePathStyle": True}
    places = {"backends": {"tcbox": backend}, "backend_map": [{"backendId": "tcbox", "when": "all"}]}
    return {**values.client("object"), **values.database(), **places}


def _queue(values: Values) -> dict[str, Any]:
    chosen, blobs = values.settings.services.queue, values.settings.blobs
    bucket = _bucket(values)
    made: dict[str, Any] = {"public_artifact_bucket": bucket, "private_artifact_bucket": bucket, "sign_public_artifact_urls": True}
    made |= {"aws_access_key_id": str(blobs.access_key_id), "aws_secret_access_key": str(blobs.secret_access_key), "artifact_region": blobs.region}
    if blobs.endpoint:
        made |= {"aws_endpoint": blobs.endpoint, "aws_force_path_style": True}
    limits = {
        "task_claim_timeout": chosen.claim_timeout,
        "max_task_deadline_days": chosen.max_task_deadline_days,
        "task_max_dependencies": chosen.task_max_dependencies,
    }
    return {**values.client("queue"), **values.database(), **values.pulse(), **made, **limits}


def _web_server(values: Values) -> dict[str, Any]:
    chosen = values.settings.services.web_server
    github = chosen.github
    strategies = {"github": {"clientId": github.client_id, "clientSecret": str(github.client_secret)}} if github.client_id else {}
    tools = [
        {
            "clientId": tool.client_id, "responseType": tool.response_type, "scope": list(tool.scope), "redirectUri": list(tool.redirect_uri),
            "maxExpires": tool.max_expires, "whitelisted": tool.whitelisted,
        }
        for tool in chosen.registered_clients
    ]  # fmt: skip
    return {
        **values.client("web-server"), **values.database(), **values.keys(), **values.pulse(),
        "public_url": values.plan.root_url, "additional_allowed_cors_origin": "", "registered_clients": tools,
        "ui_login_strategies": strategies, "session_secret": "${env:TCBOX_SESSION_SECRET}",
    }  # fmt: skip


def _worker_manager(values: Values) -> dict[str, Any]:
    configured = values.settings.providers.items()
    made = {name: {"providerType": each.type, **{key: str(text) for key, text in each.credentials.items()}} for name, each in configured if each.type != "null"}
    providers = {"static": {"providerType": "static"}, **made}
    return {**values.client("worker-manager"), **values.database(), **values.keys(), **values.pulse(), "providers": providers}


def _ui(plan: Plan) -> dict[str, Any]:
    signed_in_by = "github" if plan.template.settings.services.web_server.github.client_id else ""
    return {
        "graphql_endpoint": f"{plan.root_url}/graphql",
        "graphql_subscription_endpoint": f"{plan.root_url}/subscription",
        "ui_login_strategy_names": signed_in_by,
    }
