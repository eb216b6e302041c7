"""The settings described: what is in force and where it was said, a JSON schema, and the reference page."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tcbox.config.docstrings import docstring, docstrings
from tcbox.config.reader import fields, required
from tcbox.config.settings import Origin, Settings
from tcbox.config.values import MASK, Form, Range, Secret, Source, Url

_JSON = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "string", Secret: "string", Url: "string"}
_WORDS = {
    str: "text", Url: "URL", int: "whole number", float: "number", bool: "true or false", Secret: "secret text", Path: "path", Source: "path or URL",
}  # fmt: skip
_REFERENCE = r".*\$\{(env|file):[^}]+\}.*"


def describe(settings: Settings) -> dict[str, dict[str, Any]]:
    """What is in force, by the path of each key: its `value`, masked where it is secret, and its `origin`."""
    return {key: {"value": value, "origin": origin} for key, value, origin in in_force(settings)}


def in_force(settings: Settings, origins: Mapping[str, Origin] | None = None) -> Iterator[tuple[str, Any, str]]:
    """Each key's path, its value, masked where it is secret, and where it was said, or `default`."""
    yield from _walk(settings, "", settings.origins if origins is None else origins)


def _walk(value: Any, key: str, origins: Mapping[str, Origin]) -> Iterator[tuple[str, Any, str]]:
    if dataclasses.is_dataclass(value):
        for item in fields(value):
            yield from _walk(getattr(value, item.name), f"{key}.{item.name}" if key else item.name, origins)
    elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        for index, each in enumerate(value):
            yield from _walk(each, f"{key}.{index}", origins)
    elif isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _walk(each, f"{key}.{name}", origins)
    else:
        yield key, _shown(value), str(origins.get(key, Origin()))


def _shown(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK if value else ""
    if isinstance(value, Url):
        return value.shown
    if isinstance(value, Path):
        return str(value)
    return [_shown(each) for each in value] if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def json_schema() -> dict[str, Any]:
    """A JSON schema (2020-12) of `tcbox.yml`, for editors; references such as `${env:NAME}` fit wherever a value does."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tcbox.yml", **_section(Settings)}


def _section(kind: Any) -> dict[str, Any]:
    hints, texts = typing.get_type_hints(kind, include_extras=True), docstrings(kind)
    properties = {item.name: {**_schema(hints[item.name]), "description": texts.get(item.name, "")} for item in fields(kind)}
    for item in fields(kind):
        default = _default(item)
        if default not in (None, "", []):
            properties[item.name]["default"] = default
    made = {"type": ["object", "null"], "additionalProperties": False, "properties": properties, "required": [i.name for i in fields(kind) if required(i)]}
    return {"anyOf": [{"type": "string"}, made]} if hasattr(kind, "shorthand") else made


def _schema(kind: Any) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _schema(next(arg for arg in args if arg is not type(None)))
    if dataclasses.is_dataclass(kind):
        return _section(kind)
    if origin is tuple:
        return {"type": "array", "items": _schema(args[0])}
    if origin is typing.Literal:
        return _or_reference({"enum": list(args)})
    if hasattr(kind, "__metadata__"):
        return _bounded(args[0] if args else kind.__origin__, kind.__metadata__[0])
    if origin is not None:
        return {"type": ["object", "null"], "additionalProperties": _schema(args[1])}
    return {"type": "string"} if issubclass(kind, str) else _or_reference({"type": _JSON[kind]})


def _bounded(base: Any, bound: Form | Range) -> dict[str, Any]:
    if isinstance(bound, Form):
        return _or_reference({"type": "string", "pattern": f"^({bound.pattern})$"})
    limits = {"minimum": bound.least, "maximum": bound.most}
    return _or_reference({"type": _JSON[base], **{name: limit for name, limit in limits.items() if limit is not None}})


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "string", "pattern": _REFERENCE}]}


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default is dataclasses.MISSING:
        return None
    return _shown(item.default)


def reference() -> str:
    """The reference page's body: a heading for each section, below it its keys with type, and what they mean, in Markdown."""
    return "\n".join(_page(Settings, "")).strip() + "\n"


def _page(kind: Any, key: str) -> Iterator[str]:
    hints, texts = typing.get_type_hints(kind, include_extras=True), docstrings(kind)
    if key:
        yield from (f"## `{key}`", "", docstring(kind), "")
    below: list[tuple[Any, str]] = []
    for item in fields(kind):
        path = f"{key}.{item.name}" if key else item.name
        inner = _inner(hints[item.name])
        if inner is None:
            yield f"- `{path}` ({_words(hints[item.name])}{', required' if required(item) else ''}): {texts.get(item.name, '')}"
        else:
            below.append((inner[0], path + inner[1]))
            if inner[1]:
                yield f"- `{path}` ({inner[2]}): {texts.get(item.name, '')}"
    yield ""
    for section, path in below:
        yield from _page(section, path)


def _inner(hint: Any) -> tuple[Any, str, str] | None:
    """The section that a key holds, or holds many of: its class, what follows in the path, and what holds them."""
    args = typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return hint, "", ""
    if typing.get_origin(hint) is tuple and dataclasses.is_dataclass(args[0]):
        return args[0], "[]", "list"
    if len(args) > 1 and isinstance(args[1], type) and dataclasses.is_dataclass(args[1]):
        return args[1], ".<name>", "by name"
    return None


def _words(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _words(next(arg for arg in args if arg is not type(None)))
    if origin is typing.Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin is tuple:
        return f"list of {_words(args[0])}"
    if len(args) > 1 and args[1] is Secret:
        return f"{_words(args[1])} by name"
    return _WORDS[args[0] if args else hint]
