"""From a request's path to a method and its parameters.

A parameter takes one segment of the path, percent-decoded, so that `%2F` may stand in it. The last parameter of a
route that ends with it takes the rest of the path too, slashes included, as artifact names are commonly written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from tcbox.api.declare import PARAMETER, Method


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    methods: dict[str, Method] = field(default_factory=dict)
    greedy: dict[str, Method] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A method with the values of its route's parameters."""

    method: Method
    params: dict[str, str]


class Routes:
    """The routes of one service."""

    def __init__(self, methods: list[Method]) -> None:
        self._root = _Node()
        for method in methods:
            self._add(method)

    def _add(self, method: Method) -> None:
        node = self._root
        for segment in method.route.split("/")[1:]:
            if PARAMETER.fullmatch(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literal.setdefault(segment, _Node())
        node.methods[method.verb] = method
        if method.route.endswith(">"):
            node.greedy[method.verb] = method

    def find(self, verb: str, path: str) -> Match | None:
        """The method that answers this path (raw, below the service's version), or None."""
        segments = path.split("/")[1:]
        values: list[str] = []
        found = self._walk(self._root, verb, segments, 0, values)
        if found is None:
            return None
        return Match(found, {name: unquote(v) if "%" in v else v for name, v in zip(found.params, values, strict=True)})

    def _walk(self, node: _Node, verb: str, segments: list[str], at: int, values: list[str]) -> Method | None:
        if at == len(segments):
            return node.methods.get(verb)
        segment = segments[at]
        below = node.literal.get(segment)
        if below is not None and (found := self._walk(below, verb, segments, at + 1, values)) is not None:
            return found
        if node.parameter is None or not segment:
            return None
        depth = len(values)
        values.append(segment)
        found = self._walk(node.parameter, verb, segments, at + 1, values)
        if found is None and verb in node.parameter.greedy:
            found = node.parameter.greedy[verb]
            values[depth:] = ["/".join(segments[at:])]
        if found is None:
            del values[depth:]
        return found

    def verbs(self, path: str) -> list[str]:
        """The verbs that some method answers at this path."""
        return [verb for verb in ("get", "put", "post", "delete") if self.find(verb, path)]
