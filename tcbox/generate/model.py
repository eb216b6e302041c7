"""An instance's references as values: services, their methods and exchanges, and the schemas that these speak of."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tcbox import errors

API, EXCHANGES = "api.json", "exchanges.json"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PROSE = ("title", "description", "$id", "$schema", "examples", "default")


@dataclass(frozen=True)
class Method:
    """One method; `input` and `output` are paths of schemas, such as "/schemas/queue/v1/task.json#", or None."""

    name: str
    verb: str
    route: str
    args: tuple[str, ...]
    query: tuple[str, ...]
    title: str
    description: str
    stability: str
    input: str | None
    output: str | None
    blob: bool
    signed: bool


@dataclass(frozen=True)
class Word:
    """One word of a routing key, or several where `several`."""

    name: str
    summary: str
    constant: str | None
    several: bool


@dataclass(frozen=True)
class Exchange:
    """One exchange, with its full name and the schema of its messages."""

    name: str
    address: str
    title: str
    description: str
    words: tuple[Word, ...]
    schema: str


@dataclass(frozen=True)
class Service:
    """All that an instance says of one service.

    Attributes:
        release: the version that the service says it has, or "" when it says none.
        digest: of the contract alone: a text that is told in other words does not change it.
    """

    name: str
    version: str
    release: str
    title: str
    description: str
    methods: tuple[Method, ...]
    exchanges: tuple[Exchange, ...]
    digest: str


@dataclass(frozen=True)
class Instance:
    """All services, in order, and the schemas by path."""

    services: tuple[Service, ...]
    schemas: Mapping[str, Mapping[str, Any]]

    @property
    def release(self) -> str:
        """The version of the instance; where services were released on their own, all that there are."""
        return ", ".join(sorted({service.release for service in self.services if service.release})) or "unknown"


def read(references: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]], releases: Mapping[str, str]) -> Instance:
    """The values of documents.

    Args:
        references: by path, such as "/references/queue/v1/api.json".
        schemas: by path, with all that they refer to.
        releases: of services, by name.

    Raises TcboxError when a document is not of the published form.
    """
    apis: dict[str, tuple[str, Mapping[str, Any]]] = {}
    exchanges: dict[str, Mapping[str, Any]] = {}
    for path in sorted(references):
        document = references[path]
        try:
            if path.endswith(API):
                apis[document["serviceName"]] = (path, document)
            else:
                exchanges[document["serviceName"]] = document
        except (KeyError, TypeError) as error:
            raise errors.TcboxError(f"{path} is no reference of a service: it lacks {error}") from error
    made = []
    for name, (path, document) in sorted(apis.items()):
        try:
            _named(path, name, document, exchanges.get(name))
            made.append(_service(name, document, exchanges.get(name), schemas, releases.get(name, "")))
        except (KeyError, TypeError, AttributeError) as error:
            raise errors.TcboxError(f"{path} is no reference that can be read: {error!r}") from error
    return Instance(tuple(made), schemas)


def wanted(document: Mapping[str, Any]) -> Iterator[str]:
    """The paths of the schemas that a reference names itself."""
    base = f"/schemas/{document['serviceName']}/"
    for entry in document["entries"]:
        for key in ("input", "output", "schema"):
            if entry.get(key) and entry[key] != "blob":
                yield absolute(base, entry[key]).partition("#")[0]


def referred(path: str, schema: Any) -> Iterator[str]:
    """The paths of the documents that a schema refers to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str) and "://" not in (ref := absolute(path, schema["$ref"])):
            yield ref.partition("#")[0]
        for value in schema.values():
            yield from referred(path, value)
    elif isinstance(schema, list):
        for value in schema:
            yield from referred(path, value)


def absolute(base: str, ref: str) -> str:
    """A reference as seen from a document: "/schemas/<service>/v1/<name>.json#<pointer>"."""
    path, _, pointer = ref.partition("#")
    if not path:
        path = base.partition("#")[0]
    elif "://" not in path:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(base.partition("#")[0]), path))
    return f"{path}#{pointer}"


def contract(schema: Any, *, names: bool = False) -> Any:
    """A schema without its prose, which two instances may word differently; `names` within an object of properties."""
    if isinstance(schema, dict):
        inner = ("properties", "patternProperties", "definitions")
        return {key: contract(value, names=key in inner and not names) for key, value in schema.items() if names or key not in _PROSE}
    if isinstance(schema, list):
        return [contract(value) for value in schema]
    return schema


def _named(path: str, service: str, *documents: Mapping[str, Any] | None) -> None:
    """See that all names can be told in code: they come from whoever answers at the root URL.

    Raises TcboxError when one cannot.
    """
    found = [service]
    for document in filter(None, documents):
        for entry in document["entries"]:
            words = [word["name"] for word in entry.get("routingKey", ())]
            found += [entry["name"], *entry.get("args", ()), *entry.get("query", ()), *words]
    for name in found:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise errors.TcboxError(f"{path}: {name!r} is no name that a client could have")


def _service(
    name: str, api: Mapping[str, Any], exchanges: Mapping[str, Any] | None, schemas: Mapping[str, Mapping[str, Any]], release: str
) -> Service:  # fmt: skip
    entries = [entry for entry in api["entries"] if entry["type"] == "function"]
    sent = list(exchanges["entries"]) if exchanges else []
    prefix = exchanges["exchangePrefix"] if exchanges else ""
    return Service(
        name, api.get("apiVersion", "v1"), release, api["title"], api["description"],
        tuple(_method(name, entry) for entry in entries),
        tuple(_exchange(name, prefix, entry) for entry in sent),
        _digest(name, [*entries, *sent], schemas),
    )  # fmt: skip


def _method(service: str, entry: Mapping[str, Any]) -> Method:
    given, answered = entry.get("input"), entry.get("output")
    blob = answered == "blob"
    base = f"/schemas/{service}/"
    return Method(
        entry["name"], entry["method"].lower(), entry["route"], tuple(entry["args"]), tuple(entry.get("query", ())),
        entry.get("title", ""), entry.get("description", ""), entry.get("stability", "stable"),
        absolute(base, given) if given else None,
        absolute(base, answered) if answered and not blob else None,
        blob, entry.get("scopes") is not None,
    )  # fmt: skip


def _exchange(service: str, prefix: str, entry: Mapping[str, Any]) -> Exchange:
    words = tuple(Word(word["name"], word.get("summary", ""), word.get("constant"), bool(word.get("multipleWords"))) for word in entry["routingKey"])
    return Exchange(
        entry["name"], prefix + entry["exchange"], entry.get("title", ""), entry.get("description", ""), words,
        absolute(f"/schemas/{service}/", entry["schema"]),
    )  # fmt: skip


def _digest(service: str, entries: list[Any], schemas: Mapping[str, Any]) -> str:
    kept = ("name", "method", "route", "args", "query", "scopes", "input", "output", "exchange", "routingKey", "schema")
    plain = [{key: entry[key] for key in kept if key in entry} for entry in entries]
    for entry in plain:
        if "routingKey" in entry:
            entry["routingKey"] = [{key: value for key, value in word.items() if key != "summary"} for word in entry["routingKey"]]
    paths = closure({path for entry in plain for path in wanted({"serviceName": service, "entries": [entry]})}, schemas)
    whole = [plain, {path: contract(schemas[path]) for path in paths}]
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def closure(paths: set[str], schemas: Mapping[str, Any]) -> list[str]:
    """These documents and all that they refer to, in order."""
    found: set[str] = set()
    while paths:
        found |= paths
        paths = {each for path in paths for each in referred(path, schemas[path])} - found
    return sorted(found)
