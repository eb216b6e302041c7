"""The published documents of an instance: manifest, references, schemas and OpenAPI, all from the declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import tcbox
from tcbox.api import openapi, wire
from tcbox.api.declare import Api, Method
from tcbox.api.schemas import SchemaSet
from tcbox.events import Exchanges

if TYPE_CHECKING:
    from aiohttp import web


def entry(method: Method) -> dict[str, Any]:
    """One method as it stands in `/references/<service>/v1/api.json`."""
    made: dict[str, Any] = {
        "type": "function",
        "name": method.name,
        "method": method.verb,
        "route": method.route,
        "args": list(method.params),
        "query": list(method.query),
        "title": method.title,
        "description": method.description or method.title,
        "category": method.category,
        "stability": method.stability,
    }
    if method.scopes is not None:
        made["scopes"] = method.scopes
    if method.input is not None:
        made["input"] = f"v1/{method.input}.json#"
    if method.output is not None:
        made["output"] = "blob" if method.output == "blob" else f"v1/{method.output}.json#"
    return made


def reference(api: Api) -> dict[str, Any]:
    """The published document of a service's methods."""
    return {
        "$schema": "/schemas/common/api-reference-v0.json#",
        "apiVersion": api.version,
        "serviceName": api.service,
        "title": api.title,
        "description": api.description,
        "entries": [entry(method) for method in api.methods.values() if method.published],
    }


class References:
    """All documents of an instance, each made when it is first asked for."""

    def __init__(self, apis: Mapping[str, Api], exchanges: Mapping[str, Exchanges], schemas: SchemaSet) -> None:
        self._apis = apis
        self._exchanges = exchanges
        self._schemas = schemas
        self._encoded: dict[str, bytes] = {}  # by path, of which there is one for each document

    def paths(self) -> list[str]:
        """The paths of all references, as the manifest lists them."""
        listed = []
        for service in sorted(self._apis):
            listed.append(f"/references/{service}/v1/api.json")
            if service in self._exchanges:
                listed.append(f"/references/{service}/v1/exchanges.json")
        return listed

    def document(self, path: str) -> Any:
        """The document at a path, or None."""
        if path == "/references/manifest.json":
            return {"$schema": "/schemas/common/manifest-v3.json#", "references": self.paths()}
        if path == "/references/references.json":
            return [{"filename": p.lstrip("/"), "content": self.document(p)} for p in [*self._schemas.paths(), *self.paths()]]
        if path.startswith("/schemas/"):
            return self._schemas.document(path) if path in self._schemas.paths() else None
        parts = path.split("/")
        if len(parts) != 5 or parts[1] != "references" or parts[3] != "v1" or parts[2] not in self._apis:
            return None
        service, name = parts[2], parts[4]
        if name == "api.json":
            return reference(self._apis[service])
        if name == "exchanges.json" and service in self._exchanges:
            return self._exchanges[service].reference()
        if name == "openapi.json":
            return openapi.document(self._apis[service], self._schemas, version=tcbox.__version__)
        return None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request below /references/ or /schemas/."""
        from aiohttp import web

        path = request.path
        if path not in self._encoded:
            made = self.document(path)
            if made is None:
                missing = {"code": "ResourceNotFound", "message": f"There is no document {path}; /references/manifest.json lists those that there are."}
                return web.Response(status=404, body=wire.encode(missing), headers={"Content-Type": wire.JSON, "Access-Control-Allow-Origin": "*"})
            self._encoded[path] = wire.encode(made)
        headers = {"Content-Type": wire.JSON, "Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}
        return web.Response(body=self._encoded[path], headers=headers)
