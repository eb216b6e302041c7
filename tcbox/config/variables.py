"""Settings from variables of the environment: `TCBOX_DATABASE`, `TCBOX_SERVICES_QUEUE_CLAIM_TIMEOUT`.

A variable's name is the key's path in capital letters, its parts joined by `_`; where a name of one's own choice is among
them, as that of a provider, by `__`. Lists and groups of keys are JSON. A text that is a reference as a whole, such as
`${file:/run/secrets/key}`, is filled in; any other is taken as it is.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Any, cast

from tcbox.config.faults import ConfigError, Fault
from tcbox.config.nodes import Node

PREFIX = "TCBOX_"
OTHER = frozenset(
    f"{PREFIX}{name}" for name in ("READY", "TASK_FOLDER", "CONFIG", "HOME", "PACKAGE", "COMPOSE", "IMAGE", "PROOF", "SCALE", "TEST_CLUSTER", "TEST_LARGE")
)
"""Variables with this prefix that are no settings: of processes among each other, of the file for GitLab CI, and of tests."""


def overrides(env: Mapping[str, str]) -> dict[str, Any]:
    """The settings that variables give, by their dotted path."""
    found: dict[str, Any] = {}
    for name in sorted(env):
        if name.startswith(PREFIX) and name not in OTHER:
            key = path(name)
            if key is not None:
                node = _node(name, env[name], key)
                short = getattr(_kind(key), "shorthand", None) if isinstance(node.value, str) else None
                found[".".join((*key, short) if short else key)] = node
    return found


def unknown(env: Mapping[str, str]) -> list[str]:
    """Variables with the prefix that set nothing, a misspelt one perhaps."""
    return [name for name in sorted(env) if name.startswith(PREFIX) and name not in OTHER and path(name) is None]


def told(env: Mapping[str, str]) -> list[str]:
    """A sentence on each of these, with what was probably meant."""
    from tcbox.config.guesses import meant, paths
    from tcbox.config.settings import Settings

    found = unknown(env)
    known = [PREFIX + path.replace(".", "_").upper() for path in paths(Settings)] if found else []
    hints = ((name, meant(name, known)) for name in found)
    return [f"the variable {name} sets nothing{f': {hint}' if hint else ''} (docs/configuration.md has all keys)" for name, hint in hints]


def path(name: str) -> tuple[str, ...] | None:
    """The path of the key that a variable sets; None when there is no such key."""
    from tcbox.config.settings import Settings

    return _path(Settings, name.removeprefix(PREFIX))


def _path(kind: Any, rest: str) -> tuple[str, ...] | None:
    """The path below a type that the rest of a name stands for."""
    if not rest:
        return ()
    if dataclasses.is_dataclass(kind):
        hints = _hints(cast("type", kind))
        for item in sorted(hints, key=len, reverse=True):
            below = _after(rest, item.upper())
            if below is not None and (found := _path(hints[item], below)) is not None:
                return (item, *found)
        return None
    origin = typing.get_origin(kind)
    if origin is collections.abc.Mapping:
        own, _, below = rest.partition("__")
        found = _path(typing.get_args(kind)[1], below)
        return None if found is None else (own, *found)
    return None


def _after(rest: str, name: str) -> str | None:
    """What follows a name, without the `_` or `__` between; None when the name is not there as a whole."""
    if rest == name:
        return ""
    for joint in ("__", "_"):
        if rest.startswith(name + joint):
            return rest[len(name) + len(joint) :] or None
    return None


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(kind) if item.metadata.get("key", True)}


def _kind(key: Iterable[str]) -> Any:
    from tcbox.config.settings import Settings

    kind: Any = Settings
    for name in key:
        kind = _hints(cast("type", kind))[name] if dataclasses.is_dataclass(kind) else typing.get_args(kind)[1]
    return kind


def _node(name: str, text: str, key: tuple[str, ...]) -> Node:
    kind = _kind(key)
    origin = typing.get_origin(kind)
    structured = origin in (tuple, collections.abc.Mapping) or dataclasses.is_dataclass(kind)
    if structured and text.lstrip()[:1] in ("[", "{"):
        try:
            return _tree(name, json.loads(text))
        except ValueError as error:
            where = f"something else at column {error.colno}" if isinstance(error, json.JSONDecodeError) else "something else"
            hint = "quote names and texts with double quotes, and close all brackets"
            raise ConfigError([Fault(key=".".join(key), expected="JSON, since it begins as that does", found=where, hint=hint, file=name)]) from error
    return _scalar(name, text) if origin is not tuple else Node([_scalar(name, text)] if text else [], None, name)


def _tree(name: str, value: Any) -> Node:
    if isinstance(value, dict):
        return Node({str(key): _tree(name, item) for key, item in value.items()}, None, name)
    if isinstance(value, list):
        return Node([_tree(name, item) for item in value], None, name)
    if isinstance(value, str):
        return _scalar(name, value, plain=True)
    return Node(value, json.dumps(value), name)


def _scalar(name: str, text: str, *, plain: bool = False) -> Node:
    """A text; where it may be one, the number or truth value that it stands for, its writing kept for where a text is wanted."""
    if text.startswith("${") and text.endswith("}"):
        return Node(text, text, name)
    value: Any = text
    if not plain and text.lower() in ("true", "false"):
        value = text.lower() == "true"
    elif not plain and text.isascii() and text.replace(".", "", 1).removeprefix("-").isdecimal():
        value = float(text) if "." in text else int(text)
    return Node(value, text, name, literal=not isinstance(value, str) or "${" in text)
