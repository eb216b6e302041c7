"""A Taskcluster of another maker's version: its answers have the published form, more properties than this version knows, and small pages."""

from __future__ import annotations

from typing import Any

from aiohttp import web

_THEN = "2020-01-01T00:00:00.000Z"
_PAGE = 2
_ROUTES = {
    "auth": {"listRoles2": "/roles2/", "listClients": "/clients/"},
    "hooks": {"listHookGroups": "/hooks", "listHooks": "/hooks/<hookGroupId>"},
    "worker-manager": {"listWorkerPools": "/worker-pools", "listProviders": "/providers"},
    "secrets": {"list": "/secrets", "get": "/secret/<name>"},
}
_SCOPES = {
    "/roles2/": "auth:list-roles", "/clients/": "auth:list-clients", "/hooks": "hooks:list-hooks:", "/worker-pools": "worker-manager:list-worker-pools",
    "/providers": "worker-manager:list-providers", "/secrets": "secrets:list-secrets",
}  # fmt: skip


class Upstream:
    """An instance that can be read.

    Attributes:
        denied: scopes that the caller lacks.
        calls: the paths that were asked for, in order.
    """

    def __init__(self) -> None:
        self.roles: dict[str, list[str]] = {}
        self.clients: dict[str, dict[str, Any]] = {}
        self.hooks: dict[str, dict[str, Any]] = {}
        self.pools: dict[str, dict[str, Any]] = {}
        self.providers: dict[str, str] = {}
        self.secrets: dict[str, Any] = {}
        self.denied: set[str] = set()
        self.calls: list[str] = []
        self.app = web.Application()
        self.app.router.add_get("/references/{service}/v1/api.json", self.reference)
        self.app.router.add_get("/api/{service}/v1{path:/.*}", self.answer)

    async def reference(self, request: web.Request) -> web.Response:
        service = request.match_info["service"]
        if service not in _ROUTES:
            raise web.HTTPNotFound
        entries = [{"type": "function", "name": name, "method": "get", "route": route, "args": []} for name, route in _ROUTES[service].items()]
        return web.json_response({"$schema": "/schemas/common/api-reference-v0.json#", "serviceName": service, "apiVersion": "v1", "entries": entries})

    async def answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.calls.append(path)
        scope = _SCOPES.get(path) or {"hooks": "hooks:list-hooks:", "secrets": "secrets:get:"}[request.match_info["service"]] + path.split("/", 2)[2]
        if scope in self.denied:
            return web.json_response({"code": "InsufficientScopes", "message": f"Client ID x lacks {scope}", "requestInfo": {}}, status=403)
        if path.startswith("/hooks/"):
            return self._group(path.removeprefix("/hooks/"))
        if path.startswith("/secret/"):
            return web.json_response({"secret": self.secrets[path.removeprefix("/secret/")], "expires": "2099-01-01T00:00:00.000Z"})
        if path == "/hooks":
            return web.json_response({"groups": sorted({name.split("/")[0] for name in self.hooks} | {"gone"})})
        name, entries = self._list(path)
        start = int(request.query.get("continuationToken", "0"))
        reply: dict[str, Any] = {name: entries[start : start + _PAGE]}
        if start + _PAGE < len(entries):
            reply["continuationToken"] = str(start + _PAGE)
        return web.json_response(reply)

    def _group(self, group: str) -> web.Response:
        found = [{"hookGroupId": group, "hookId": name.split("/", 1)[1], **each} for name, each in self.hooks.items() if name.startswith(f"{group}/")]
        if not found:
            return web.json_response({"code": "ResourceNotFound", "message": "No such group", "requestInfo": {}}, status=404)
        return web.json_response({"hooks": found})

    def _list(self, path: str) -> tuple[str, list[Any]]:
        times = {"created": _THEN, "lastModified": _THEN}
        if path == "/roles2/":
            return "roles", [
                {"roleId": name, "scopes": scopes, "description": "", "expandedScopes": [*scopes, "more:*"], **times} for name, scopes in self.roles.items()
            ]
        if path == "/clients/":
            said = {**times, "lastDateUsed": _THEN, "lastRotated": _THEN, "expandedScopes": ["more:*"], "disabled": False, "deleteOnExpiration": False}
            return "clients", [
                {"clientId": name, "description": "", "expires": "2099-01-01T00:00:00Z", "scopes": [], **said, **each} for name, each in self.clients.items()
            ]
        if path == "/worker-pools":
            numbers = {"currentCapacity": 4, "requestedCount": 1, "runningCount": 1, "existingCapacity": 3, "wantsMore": True}
            return "workerPools", [
                {"workerPoolId": name, "owner": "a@example.com", "emailOnError": False, "description": "", **each, **numbers, **times}
                for name, each in self.pools.items()
            ]
        if path == "/providers":
            return "providers", [{"providerId": name, "providerType": kind} for name, kind in self.providers.items()]
        return "secrets", sorted(self.secrets)


def example() -> Upstream:
    """One with a few things of each kind."""
    found = Upstream()
    found.roles = {"anonymous": ["b", "a*", "a"], "project:x": [], "repo:y": ["assume:project:x"]}
    found.clients = {
        "project/x": {"scopes": ["z", "y"]},
        "static/taskcluster/root": {"scopes": ["*"]},
        "github/1|a": {"disabled": True, "deleteOnExpiration": True},
    }
    about = {"name": "n", "description": "d", "owner": "a@example.com"}
    found.hooks = {
        "x/a/b": {
            "metadata": {**about, "emailOnError": False},
            "task": {"z": 1, "a": [1.5]},
            "schedule": ["0 0 4 * * *"],
            "triggerSchema": {"type": "object"},
            "bindings": [],
        },
        "y/c": {"metadata": about, "task": {}, "schedule": [], "triggerSchema": {}, "extra": 1},
    }
    found.pools = {
        "x/a": {"providerId": "aws-main", "config": {"minCapacity": 1, "launchConfigs": []}}, "x/gone": {"providerId": "null-provider", "config": {}},
        "y/b": {"providerId": "static", "config": {}},
    }  # fmt: skip
    found.providers = {"static": "static", "aws-main": "aws", "unused": "google"}
    found.secrets = {"project/x/key": {"token": "hunter2"}, "other": {}}
    return found
