"""An OpenAPI 3.1 document for a service, from its declarations and schemas."""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import urljoin

from tcbox.api.declare import Api, Method, published
from tcbox.api.schemas import SchemaSet

_ERROR = {
    "type": "object",
    "required": ["code", "message", "requestInfo"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "requestInfo": {"type": "object"}},
}
_ERRORS = {
    "400": "The request is not well-formed, or its body does not match the schema.",
    "401": "The credentials are not valid.",
    "403": "The caller lacks scopes that this request needs.",
    "404": "There is nothing of that name.",
    "409": "The request conflicts with what is there.",
}


def document(api: Api, schemas: SchemaSet, *, version: str) -> dict[str, Any]:
    """The service's API as an OpenAPI 3.1 document with every schema it uses inside."""
    used: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for method in filter(lambda each: each.published, api.methods.values()):
        path = f"/api/{api.service}/v1" + method.route.replace("<", "{").replace(">", "}")
        paths.setdefault(path, {})[method.verb] = _operation(method, schemas, used)
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "description": api.description, "version": version},
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, **used},
            "securitySchemes": {"hawk": {"type": "http", "scheme": "hawk", "description": "Requests signed with a client id and access token."}},
        },
    }


def _operation(method: Method, schemas: SchemaSet, used: dict[str, Any]) -> dict[str, Any]:
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in method.params]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string", "pattern": published(p)}} for name, p in method.query.items()]
    done: dict[str, Any] = {"description": "Done."}
    if method.output not in (None, "blob"):
        done["content"] = _json(_component(method.service, method.output or "", schemas, used))
    operation: dict[str, Any] = {
        "operationId": method.name,
        "summary": method.title,
        "description": method.description,
        "tags": [method.category],
        "parameters": parameters,
        "responses": {
            "200": done,
            **{code: {"description": text, "content": _json({"$ref": "#/components/schemas/Error"})} for code, text in _ERRORS.items()},
        },
        "x-taskcluster-stability": method.stability,
    }
    if method.input is not None:
        operation["requestBody"] = {"required": True, "content": _json(_component(method.service, method.input, schemas, used))}
    if method.scopes is not None:
        operation["security"] = [{"hawk": []}]
        operation["x-taskcluster-scopes"] = method.scopes
    if method.stability == "deprecated":
        operation["deprecated"] = True
    return operation


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _component(service: str, name: str, schemas: SchemaSet, used: dict[str, Any]) -> dict[str, Any]:
    return {"$ref": _collect(schemas.path(service, name).split("#")[0], schemas, used)}


def _collect(path: str, schemas: SchemaSet, used: dict[str, Any]) -> str:
    """Put a schema, and all that it refers to, among the components; gives its place."""
    name = path.removeprefix("/schemas/").removesuffix(".json").replace("/", "-")
    if name not in used:
        used[name] = {}
        body = copy.deepcopy(schemas.document(path))
        body.pop("$id", None)
        body.pop("$schema", None)
        used[name] = _relink(body, path, schemas, used)
    return f"#/components/schemas/{name}"


def _relink(node: Any, base: str, schemas: SchemaSet, used: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_relink(item, base, schemas, used) for item in node]
    if not isinstance(node, dict):
        return node
    ref = node.get("$ref")
    if isinstance(ref, str):
        target, _, pointer = urljoin(base, ref).partition("#")
        place = _collect(target or base, schemas, used)
        return {**{k: v for k, v in node.items() if k != "$ref"}, "$ref": place + pointer}
    return {key: _relink(value, base, schemas, used) for key, value in node.items()}
