"""What a worker makes of each part of a payload, as data: docs/compatibility.md is made from it, and tests hold it against the schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Answer = Literal["yes", "by setting", "refused"]
SUPERSEDER = "Taskcluster no longer supersedes tasks; newer ones replace older ones by cancelling them"


@dataclass(frozen=True, slots=True)
class Row:
    """A part of a payload.

    Attributes:
        part: where in the payload, as `parts` names it, such as `features.interactive`; a row goes for all below it that
            has no row of its own.
        says: what else there is to know, or with which words it is refused.
        tests: what shows it, each as `acceptance/test_docker_worker.py::test_artifacts`, below tests/.
    """

    part: str
    answer: Answer
    says: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """All parts of one kind of payload.

    Attributes:
        schemas: references of the published schemas whose parts all have a row here.
        beyond: rows for what no schema has: parts that were withdrawn, and what the worker does around the task.
    """

    title: str
    schemas: tuple[str, ...]
    rows: tuple[Row, ...]
    beyond: tuple[Row, ...] = ()


def parts(schema: Mapping[str, Any]) -> list[str]:
    """Every part that a payload of a schema can have, each once, in the schema's order.

    A part is a path of names, with `<name>` for keys that the payload chooses, `[]` for items that are objects, and
    `=value` behind for each of the values that a text may have.
    """
    return list(dict.fromkeys(_walk(schema, schema, "")))


def row_of(part: str, rows: Mapping[str, Row]) -> Row | None:
    """The row for a part: its own, or that of the nearest part above it."""
    if part in rows:
        return rows[part]
    above = part.partition("=")[0] if "=" in part else part.rpartition("[]")[0] if part.endswith("[]") else part.rpartition(".")[0]
    return row_of(above, rows) if above else None


def _walk(root: Mapping[str, Any], node: Mapping[str, Any], path: str) -> Iterator[str]:
    if "$ref" in node:
        node = _resolved(root, node["$ref"])
    variants = [each for word in ("oneOf", "anyOf", "allOf") for each in node.get(word, ())]
    further, items = node.get("additionalProperties"), node.get("items")
    below = [(f"{path}.{name}".lstrip("."), sub) for name, sub in node.get("properties", {}).items()]
    below += [(path, each) for each in variants]
    if isinstance(further, dict) and _deep(root, further):
        below.append((f"{path}.<name>".lstrip("."), further))
    if isinstance(items, dict) and _deep(root, items):
        below.append((f"{path}[]", items))
    if not below:
        yield from ([f"{path}={value}" for value in node["enum"]] if "enum" in node else [path])
    for name, sub in below:
        yield from _walk(root, sub, name)


def _deep(root: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    if "$ref" in node:
        node = _resolved(root, node["$ref"])
    return any(word in node for word in ("properties", "oneOf", "anyOf", "allOf"))


def _resolved(root: Mapping[str, Any], ref: str) -> Mapping[str, Any]:
    found: Any = root
    for step in ref.removeprefix("#/").split("/"):
        found = found[step]
    resolved: Mapping[str, Any] = found
    return resolved
