"""The settings described: what is in force and where it was said, a JSON schema, and the reference page."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tcbox.config.load import Origin
from tcbox.config.settings import Blobs, Secret, Settings

_JSON = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "string", Secret: "string"}


def in_force(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[tuple[str, Any, str]]:
    """Each key's path, its value (secrets as `***`) and where it was said (`default` if nowhere)."""
    yield from _walk(settings, "", origins)


def _walk(value: Any, key: str, origins: Mapping[str, Origin]) -> Iterator[tuple[str, Any, str]]:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _walk(getattr(value, field.name), f"{key}.{field.name}" if key else field.name, origins)
    elif isinstance(value, list) and value and dataclasses.is_dataclass(value[0]):
        for index, item in enumerate(value):
            yield from _walk(item, f"{key}.{index}", origins)
    elif isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _walk(item, f"{key}.{name}", origins)
    else:
        shown = "***" if isinstance(value, Secret) and value else str(value) if isinstance(value, Path) else value
        yield key, shown, origins[key].place if key in origins else "default"


def docstrings(kind: type) -> dict[str, str]:
    """The docstring under each attribute of a class."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)).body
    found = {}
    for node, following in zip(body, body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[node.target.id] = " ".join(str(following.value.value).split())
    return found


def json_schema(kind: Any = Settings) -> dict[str, Any]:
    """A JSON schema (2020-12) of `tcbox.yml`, for editors."""
    schema = _schema(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tcbox.yml", **schema} if kind is Settings else schema


def _schema(kind: Any) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _schema(next(a for a in args if a is not type(None)))
    if dataclasses.is_dataclass(kind):
        hints, texts = typing.get_type_hints(kind), docstrings(kind)  # type: ignore[arg-type]
        properties = {field.name: {**_schema(hints[field.name]), "description": texts.get(field.name, "")} for field in dataclasses.fields(kind)}
        made = {"type": "object", "additionalProperties": False, "properties": properties}
        return {"anyOf": [{"type": "string"}, made]} if kind is Blobs else made
    if origin is list:
        return {"type": "array", "items": _schema(args[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(args[1])}
    if origin is typing.Literal:
        return {"enum": list(args)}
    return {"type": _JSON[kind]}


def reference() -> str:
    """The reference page's list of all keys, in Markdown."""
    return "\n".join(_reference(Settings, ""))


def _reference(kind: type, key: str) -> Iterator[str]:
    hints, texts = typing.get_type_hints(kind), docstrings(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        path = f"{key}.{field.name}" if key else field.name
        hint = hints[field.name]
        inner: Any = hint
        if typing.get_origin(hint) is list:
            inner, path_below = typing.get_args(hint)[0], f"{path}.N"
        elif typing.get_origin(hint) is dict:
            inner, path_below = typing.get_args(hint)[1], f"{path}.NAME"
        else:
            path_below = path
        if dataclasses.is_dataclass(inner):
            yield from _reference(inner, path_below)  # type: ignore[arg-type]
        else:
            yield f"- `{path}`: {texts.get(field.name, '')}"
