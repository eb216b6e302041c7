"""Reads nodes into the settings' classes, and says what was expected where one does not fit."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import math
import types
import typing
from pathlib import Path
from typing import Any

from tcbox.config import guesses
from tcbox.config.faults import Fault
from tcbox.config.nodes import Node
from tcbox.config.references import Resolver
from tcbox.config.settings import Origin
from tcbox.config.values import Range, Secret, Source, Url, masked

BAD: Any = object()
"""Stands for a value with mistakes, which have been noted."""

_WORDS = {
    str: "a text", Url: "a URL", int: "a whole number", float: "a number", bool: "true or false", Path: "a path", Source: "a path, or a URL",
    Secret: "a secret text",
}  # fmt: skip


def fields(kind: Any) -> list[dataclasses.Field[Any]]:
    """The keys of a section."""
    return [item for item in dataclasses.fields(kind) if item.metadata.get("key", True)]


@functools.cache
def _types(kind: Any) -> dict[str, Any]:
    """What the keys of a section are to be."""
    return typing.get_type_hints(kind, include_extras=True)


def required(item: dataclasses.Field[Any]) -> bool:
    """Whether a key must be there."""
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


class Reader:
    """Turns nodes into values of the types that the settings declare.

    Attributes:
        origins: where each value that was given stands, by the path of its key.
        nodes: the nodes themselves, by the same.
        bad: the keys whose values have mistakes.
        kept: the texts with references that were left as they are, by the same.
    """

    def __init__(self, resolver: Resolver, faults: list[Fault]) -> None:
        self.origins: dict[str, Origin] = {}
        self.nodes: dict[str, Node] = {}
        self.bad: set[str] = set()
        self.kept: dict[str, str] = {}
        self._resolver = resolver
        self._faults = faults

    def section(self, kind: Any, node: Node, key: str = "") -> Any:
        """A section; a key with mistakes gets its default, and BAD stands for a section that cannot be made at all."""
        shorthand = getattr(kind, "shorthand", None)
        if shorthand and isinstance(node.value, str):
            node = dataclasses.replace(node, value={shorthand: node}, raw=None)
        if node.value is None:
            node = dataclasses.replace(node, value={})
        known = fields(kind)
        names = [item.name for item in known]
        if not isinstance(node.value, dict):
            return self._wrong(node, key, f"the keys {', '.join(names)}", _kind(node))
        hints = _types(kind) if node.value else {}
        found, complete = {}, True
        for name, child in node.value.items():
            path = f"{key}.{name}" if key else name
            if name not in names:
                self._unknown(child, path, name, names)
            elif (value := self.value(hints[name], child, path)) is not BAD:
                found[name] = value
        for item in known:
            if required(item) and item.name not in found:
                complete = False
                if item.name not in node.value:
                    self._wrong(node, key, f"the key {item.name}", "none", f"add {item.name}")
        return kind(**found) if complete else BAD

    def value(self, kind: Any, node: Node, key: str) -> Any:
        """A value of one type, or BAD."""
        self.nodes[key] = node
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            inner = next(arg for arg in args if arg is not type(None))
            return None if node.value is None else self.value(inner, node, key)
        if dataclasses.is_dataclass(kind):
            return self.section(kind, node, key)
        if origin is tuple:
            return self._list(args[0], node, key)
        if origin is collections.abc.Mapping:
            return self._mapping(args[1], node, key)
        bound = kind.__metadata__[0] if hasattr(kind, "__metadata__") else None
        base = args[0] if bound is not None else str if origin is typing.Literal else kind
        value = self._scalar(base, node, key, bound)
        if origin is typing.Literal and value is not BAD and key not in self.kept and value not in args:
            return self._choice(args, value, node, key)
        return value

    def _list(self, kind: Any, node: Node, key: str) -> Any:
        if not isinstance(node.value, list):
            hint = "write [value], or each value on a line of its own after a dash" if node.value is not None else "write [] for an empty list"
            return self._wrong(node, key, "a list", _kind(node), hint)
        self._note(node, key)
        values = [self.value(kind, child, f"{key}.{index}") for index, child in enumerate(node.value)]
        return tuple(value for value in values if value is not BAD)

    def _mapping(self, kind: Any, node: Node, key: str) -> Any:
        if node.value is not None and not isinstance(node.value, dict):
            return self._wrong(node, key, "names, each with its keys below", _kind(node))
        values = {name: self.value(kind, child, f"{key}.{name}") for name, child in (node.value or {}).items()}
        return {name: value for name, value in values.items() if value is not BAD}

    def _choice(self, choices: tuple[str, ...], value: str, node: Node, key: str) -> Any:
        return self._wrong(node, key, " or ".join(choices), repr(value), guesses.meant(value, choices))

    def _scalar(self, kind: type, node: Node, key: str, bound: Any) -> Any:
        words = f"{_WORDS[kind]} {bound}" if isinstance(bound, Range) else str(bound) if bound is not None else _WORDS[kind]
        value = self._resolved(node, key)
        if value is BAD:
            return BAD
        if key in self.kept:
            return kind(value) if issubclass(kind, str) else BAD  # BAD: what is not known yet counts as left to its default
        made = _converted(kind, node, value)
        if made is BAD or (bound is not None and not bound.fits(made)):
            return self._wrong(node, key, words, _found(kind, node, value), _hint(kind, node))
        if kind is Source and made and "://" not in made:
            return Source(self._path(Path(made), node))
        return self._path(made, node) if kind is Path else made

    def _resolved(self, node: Node, key: str) -> Any:
        """A scalar with its references filled in, its origin noted."""
        if not isinstance(node.value, str) or node.literal or "${" not in node.value:
            self._note(node, key)
            return node.value
        resolved = self._resolver.resolve(node.value)
        for found, hint in resolved.faults:
            self._wrong(node, key, "a reference to something that is there", found, hint)
        self.origins[key] = Origin(", from ".join([node.place, *resolved.sources]))
        if self._resolver.keeps and resolved.sources and not resolved.faults:
            self.kept[key] = node.value
            return node.value
        return BAD if resolved.faults else resolved.text

    def _path(self, path: Path, node: Node) -> Path:
        """Paths in the file start from its folder, those of flags from the current one; both become absolute."""
        path = path.expanduser()
        return Path.cwd() / path if node.literal else (Path.cwd() / self._resolver.folder / path)

    def _note(self, node: Node, key: str) -> None:
        self.origins[key] = Origin(node.place)

    def _unknown(self, node: Node, path: str, name: str, known: list[str]) -> None:
        if path == "services.auth.enabled":
            self._wrong(node, path, "no such key", "it", "auth always runs, for every other service asks it who calls: remove the key")
            return
        if path.count(".") == 1 and path.startswith("services."):
            self._wrong(node, path, f"a service of this version ({', '.join(known)})", name, guesses.meant(name, known) or "remove it")
            return
        hint = guesses.meant(name, known) or guesses.elsewhere(name) or "remove it"
        self._wrong(node, path, f"one of the keys {', '.join(known)}", f"the unknown key {name}", hint)

    def _wrong(self, node: Node, key: str, expected: str, found: str, hint: str = "") -> Any:
        self.bad.add(key)
        self._faults.append(node.fault(key, expected, found, hint))
        return BAD


def _converted(kind: type, node: Node, value: Any) -> Any:
    """A scalar as a value of a simple type; BAD when it is none."""
    if issubclass(kind, str) or kind is Path:
        if value is None or isinstance(value, (dict, list)):
            return BAD
        text = value if isinstance(value, str) else node.raw if node.raw is not None else str(value)
        return BAD if kind is Path and not text else kind(text)
    referred = isinstance(value, str) and value is not node.value
    if kind is bool:
        given = {"true": True, "false": False}.get(value.lower(), BAD) if referred else value
        return given if isinstance(given, bool) else BAD
    if referred:
        try:
            value = int(value) if kind is int else float(value)
        except ValueError:
            return BAD
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return BAD
    return float(value) if kind is float else value if isinstance(value, int) else BAD


def _kind(node: Node) -> str:
    """What sort of thing a node is, without showing what may be secret in it."""
    names = {dict: "keys with values", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(node.value), "a number")


def _found(kind: type, node: Node, value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        return _kind(node)
    if kind is Secret:
        return "a text of another form" if isinstance(value, str) else _kind(node)
    if isinstance(value, str) and value is not node.value:
        return f"what {node.value} stands for, which is of another form"
    shown = masked(value) if isinstance(value, str) else node.raw or str(value)
    return repr(shown if len(shown) <= 80 else f"{shown[:77]}...") if isinstance(value, str) else shown


def _hint(kind: type, node: Node) -> str:
    if kind in (int, float, bool) and isinstance(node.value, str) and node.raw is not None and node.value.lower() in ("true", "false"):
        return "leave the quotes out"
    return "leave the quotes out" if kind in (int, float) and isinstance(node.value, str) and node.value.replace(".", "", 1).isdigit() else ""
