"""From a request's path to a method and its parameters.

A parameter takes one segment of the path, percent-decoded, so that `%2F` may stand in it. The last parameter of a
route that ends with it takes the rest of the path too, slashes included, as artifact names are commonly written.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from tcbox.api.declare import PARAMETER, Method

_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    colon: _Node | None = None
    methods: dict[str, Method] = field(default_factory=dict)
    greedy: dict[str, Method] = field(default_factory=dict)


class Match:
    """A method with the values of its route's parameters.

    Attributes:
        malformed: what is wrong with the parameters' encoding.
    """

    __slots__ = ("malformed", "method", "params")

    def __init__(self, method: Method, params: dict[str, str], malformed: tuple[str, ...] = ()) -> None:
        self.method = method
        self.params = params
        self.malformed = malformed


class Routes:
    """The routes of one service; see `of`."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._root = _Node()
        for method in methods:
            self._add(method, method.route)
            if method.also is not None:
                self._add(method, method.also)

    def _add(self, method: Method, route: str) -> None:
        node = self._root
        for segment in route.split("/")[1:]:
            if PARAMETER.fullmatch(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            elif segment.endswith(">:"):
                node.colon = node.colon or _Node()
                node = node.colon
            else:
                node = node.literal.setdefault(segment, _Node())
        node.methods[method.verb] = method
        if route.endswith(">"):
            node.greedy[method.verb] = method

    def find(self, verb: str, path: str) -> Match | None:
        """The method that answers this path (raw, below the service's version), or None.

        A slash at the end, too many or missing, makes no difference.
        """
        values: list[str] = []
        found = self._walk(self._root, verb, path.split("/"), 1, values)
        if found is None:
            values = []
            other = path[:-1] if path.endswith("/") else f"{path}/"
            found = self._walk(self._root, verb, other.split("/"), 1, values)
            if found is None:
                return None
        if "%" in path or not path.isascii():
            return _decoded(found, values)
        return Match(found, dict(zip(found.params, values, strict=True)))

    def _walk(self, node: _Node, verb: str, segments: list[str], at: int, values: list[str]) -> Method | None:
        if at == len(segments):
            return node.methods.get(verb)
        segment = segments[at]
        below = node.literal.get(segment)
        if below is not None and (found := self._walk(below, verb, segments, at + 1, values)) is not None:
            return found
        if node.parameter is None:
            return None
        if not segment:
            return self._empty(node.parameter, verb, segments, at, values)
        depth = len(values)
        for end in (at + 1, at + 2):  # a task queue's id may come with its slash as it is
            if end > len(segments):
                break
            values.append("/".join(segments[at:end]))
            if node.colon is not None and values[-1].endswith(":"):
                whole, values[-1] = values[-1], values[-1][:-1]
                if (found := self._walk(node.colon, verb, segments, end, values)) is not None:
                    return found
                values[depth:] = [whole]
            found = self._walk(node.parameter, verb, segments, end, values)
            if found is not None:
                return found
            del values[depth:]
        found = node.parameter.greedy.get(verb)
        if found is not None:
            values.append("/".join(segments[at:]))
        return found

    def _empty(self, node: _Node, verb: str, segments: list[str], at: int, values: list[str]) -> Method | None:
        """A method whose last parameter may be empty, when nothing follows the slash."""
        method = node.methods.get(verb)
        if method is None or not method.empty or at + 1 < len(segments):
            return None
        values.append("")
        return method


@functools.lru_cache(maxsize=64)
def of(methods: tuple[Method, ...]) -> Routes:
    """The routes of these methods; made once a process, since each instance in it has the same."""
    return Routes(methods)


def _decoded(method: Method, values: list[str]) -> Match:
    params: dict[str, str] = {}
    malformed: list[str] = []
    for name, value in zip(method.params, values, strict=True):
        raw = unquote_to_bytes(value.encode("latin-1", "replace"))
        params[name] = raw.decode("utf-8", "replace")
        if not _ESCAPES.fullmatch(value) or raw != params[name].encode():
            malformed.append(f"URL parameter '{name}' given as '{value}' is not well-formed: percent-encode its UTF-8 bytes")
        elif b"\0" in raw:
            malformed.append(f"URL parameter '{name}' given as '{value}' has a NUL character in it")
    return Match(method, params, tuple(malformed))
