"""References and schemas as instances publish them: of a made-up service, and of all services in the tree."""

from __future__ import annotations

import copy
from importlib import import_module
from pathlib import Path
from typing import Any

from tcbox.api.references import References
from tcbox.api.schemas import SchemaSet
from tcbox.box import services
from tcbox.generate import model, schemas

API, EXCHANGES = "/references/demo/v1/api.json", "/references/demo/v1/exchanges.json"

REFERENCES: dict[str, Any] = {
    API: {
        "serviceName": "demo",
        "apiVersion": "v1",
        "title": "Demo Service",
        "description": 'It shows "what" there is: C:\\new, */ and """.',
        "entries": [
            {
                "type": "function", "name": "makeThing", "method": "put", "route": "/thing/<class>/<name>", "args": ["class", "name"], "query": [],
                "title": "Make Thing", "description": "Makes it.\n\n- one\n- two", "stability": "stable", "scopes": "demo:make:<name>",
                "input": "v1/thing.json#", "output": "v1/thing.json#",
            },
            {
                "type": "function", "name": "list-things", "method": "get", "route": "/things", "args": [], "query": ["continuationToken", "limit", "from"],
                "title": "List Things", "description": "List Things", "stability": "experimental", "scopes": "demo:list", "output": "v1/things.json#",
            },
            {
                "type": "function", "name": "picture", "method": "get", "route": "/picture", "args": [], "query": [], "title": "Picture",
                "description": "One.", "stability": "deprecated", "output": "blob",
            },
            {
                "type": "function", "name": "import", "method": "post", "route": "/import", "args": [], "query": [], "title": "Import", "description": "",
                "stability": "stable", "scopes": "demo:import", "input": "v1/anything.json#",
            },
        ],
    },
    EXCHANGES: {
        "serviceName": "demo",
        "apiVersion": "v1",
        "title": "Demo Events",
        "description": "",
        "exchangePrefix": "exchange/taskcluster-demo/v1/",
        "entries": [
            {
                "type": "topic-exchange", "exchange": "thing-made", "name": "thingMade", "title": "Thing Made", "description": "It is there.",
                "routingKey": [
                    {"name": "kind", "summary": "", "constant": "primary", "multipleWords": False, "required": True},
                    {"name": "class", "summary": "Its class.", "multipleWords": False, "required": True},
                    {"name": "reserved", "summary": "", "multipleWords": True, "required": False},
                ],
                "schema": "v1/thing.json#",
            }
        ],
    },
}  # fmt: skip

SCHEMAS: dict[str, Any] = {
    "/schemas/demo/v1/thing.json": {
        "$id": "/schemas/demo/v1/thing.json#",
        "title": "Thing",
        "description": "A thing.",
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Its name."},
            "from": {"type": "string", "format": "date-time"},
            "state": {"$ref": "parts.json#/definitions/state"},
            "size": {"type": ["integer", "null"]},
            "free": {"type": "object", "additionalProperties": True},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "inner": {"type": "array", "items": {"$ref": "thing.json#"}},
            "how": {
                "oneOf": [
                    {"type": "object", "properties": {"kind": {"enum": ["fast"]}, "speed": {"type": "number"}}, "required": ["kind", "speed"]},
                    {"type": "object", "properties": {"kind": {"const": "safe"}, "walls": {"type": "integer"}}, "required": ["kind"]},
                ]
            },
            "never": {"not": {}},
        },
        "required": ["name", "state", "size"],
        "additionalProperties": False,
    },
    "/schemas/demo/v1/parts.json": {
        "definitions": {"state": {"type": "string", "enum": ["not-even-thought-of", "thought-of", "there", "gone again for good"], "description": "How it is."}}
    },
    "/schemas/demo/v1/things.json": {
        "title": "Things",
        "type": "object",
        "properties": {"things": {"type": "array", "items": {"$ref": "thing.json#"}}, "continuationToken": {"type": "string"}},
        "required": ["things"],
    },
    "/schemas/demo/v1/anything.json": {"title": "Anything"},
}


def demo(**changed: Any) -> model.Instance:
    """The made-up service; `changed` are properties of a thing, in the place of its own."""
    documents = copy.deepcopy(SCHEMAS)
    documents["/schemas/demo/v1/thing.json"]["properties"] |= changed
    return model.read(copy.deepcopy(REFERENCES), documents, {"demo": "1.2.3"})


def types(schema: Any, **others: Any) -> schemas.Types:
    """The types of one schema, `thing.json`, already asked for; `others` are documents beside it, by name."""
    documents = {f"/schemas/demo/v1/{name}.json": document for name, document in {"thing": schema, **others}.items()}
    made = schemas.Types("demo", documents)
    made.named("/schemas/demo/v1/thing.json#")
    return made


def tree() -> model.Instance:
    """All services in the tree."""
    apis, exchanges, folders = {}, {}, {}
    for name in services.NAMES:
        service = import_module(f"tcbox.services.{services.package(name)}.service").Service
        apis[name] = service.api
        if service.exchanges is not None:
            exchanges[name] = service.exchanges
        folders[name] = Path(__file__).resolve().parents[2] / "services" / services.package(name) / "schemas"
    documents = References(apis, exchanges, schema_set := SchemaSet.load(folders))
    return model.read(
        {path: documents.document(path) for path in documents.paths()},
        {path: schema_set.document(path) for path in schema_set.paths()},
        dict.fromkeys(services.NAMES, "0.1.0"),
    )
