"""Fills in a schema's defaults: what a caller leaves out is there when the method's coroutine runs.

A schema becomes a tree of small closures once, holding only the parts that have defaults. A default counts where it
stands beside its property, in nested objects, list items, `allOf` and referenced schemas; in a `oneOf` or `anyOf` only
when exactly one branch fits the value.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urljoin

Filler = Callable[[Any], Any]
Document = Callable[[str], dict[str, Any]]
Accepts = Callable[[str], Callable[[Any], bool]]


class Compiler:
    """Makes fillers from published documents.

    Args:
        document: gives the document at a path.
        accepts: gives the check of the schema at a path with a pointer, for choosing among branches.
    """

    def __init__(self, document: Document, accepts: Accepts) -> None:
        self._document = document
        self._accepts = accepts
        self._made: dict[str, Filler | None] = {}
        self._open: set[str] = set()

    def filler(self, path: str, pointer: str = "") -> Filler | None:
        """What fills in the schema at a path and JSON pointer, or None when it has no defaults.

        Raises KeyError when there is no such schema.
        """
        key = f"{path}#{pointer}"
        if key in self._open:
            return self._recursive(key)
        if key not in self._made:
            self._open.add(key)
            self._made[key] = self._node(self._find(path, pointer), path, pointer)
            self._open.discard(key)
        return self._made[key]

    def _recursive(self, key: str) -> Filler:
        """What fills in a schema inside itself, which is only complete when all of it has been read."""

        def fill(value: Any) -> Any:
            step = self._made.get(key)
            return value if step is None else step(value)

        return fill

    def _find(self, path: str, pointer: str) -> Any:
        node: Any = self._document(path)
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            node = node[int(name)] if isinstance(node, list) else node[name]
        return node

    def _node(self, node: Any, path: str, pointer: str) -> Filler | None:
        if not isinstance(node, dict):
            return None
        if isinstance(node.get("$ref"), str):
            target, _, inner = urljoin(path, node["$ref"]).partition("#")
            return self.filler(target, inner)
        steps = [self._object(node, path, pointer), self._array(node, path, pointer)]
        steps += [self._node(part, path, f"{pointer}/allOf/{i}") for i, part in enumerate(node.get("allOf", ()))]
        steps += [self._choice(node[word], path, f"{pointer}/{word}") for word in ("oneOf", "anyOf") if word in node]
        return _sequence([step for step in steps if step is not None])

    def _object(self, node: dict[str, Any], path: str, pointer: str) -> Filler | None:
        properties: dict[str, Any] = node.get("properties", {})
        makers = [(name, _maker(sub["default"])) for name, sub in properties.items() if isinstance(sub, dict) and "default" in sub]
        inner: list[tuple[str, Filler]] = []
        for name, sub in properties.items():
            step = self._node(sub, path, f"{pointer}/properties/{_escaped(name)}")
            if step is not None:
                inner.append((name, step))
        others = self._node(node.get("additionalProperties"), path, f"{pointer}/additionalProperties")
        if not makers and not inner and others is None:
            return None
        known = frozenset(properties)

        def fill(value: Any) -> Any:
            if type(value) is not dict:
                return value
            for name, make in makers:
                if name not in value:
                    value[name] = make()
            for name, step in inner:
                if name in value:
                    value[name] = step(value[name])
            if others is not None:
                for name in value.keys() - known:
                    value[name] = others(value[name])
            return value

        return fill

    def _array(self, node: dict[str, Any], path: str, pointer: str) -> Filler | None:
        step = self._node(node.get("items"), path, f"{pointer}/items")
        if step is None:
            return None

        def fill(value: Any) -> Any:
            if type(value) is list:
                for i, item in enumerate(value):
                    value[i] = step(item)
            return value

        return fill

    def _choice(self, branches: Sequence[Any], path: str, pointer: str) -> Filler | None:
        steps = [self._node(branch, path, f"{pointer}/{i}") for i, branch in enumerate(branches)]
        if not any(steps):
            return None
        checks: list[Callable[[Any], bool]] = []

        def fill(value: Any) -> Any:
            if not checks:
                checks.extend(self._accepts(f"{path}#{pointer}/{i}") for i in range(len(steps)))
            fitting: list[Any] = []
            for step, accepts in zip(steps, checks, strict=True):
                filled = copy.deepcopy(value) if step is None else step(copy.deepcopy(value))
                if accepts(filled):
                    fitting.append(filled)
            return fitting[0] if len(fitting) == 1 else value

        return fill


def _sequence(steps: list[Filler]) -> Filler | None:
    if len(steps) < 2:
        return steps[0] if steps else None

    def fill(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return fill


def _maker(default: Any) -> Callable[[], Any]:
    if default == [] and type(default) is list:
        return list
    if default == {} and type(default) is dict:
        return dict
    if isinstance(default, (list, dict)):
        return lambda: copy.deepcopy(default)
    return lambda: default


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
