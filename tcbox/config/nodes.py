"""Values with their places: what a file, or a flag, says before it is known whether that makes sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox.config.faults import Fault


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, a list of nodes or a mapping of nodes.

    Attributes:
        raw: a scalar as it was written, so that a release `1.10` does not become the number 1.1.
        source: the file, or the flag; empty for what nobody said.
        line, column: counted from 1; 0 when it comes from no file.
        literal: whether references in it stay as they are, as in flags, where the shell has filled them in.
    """

    value: Any
    raw: str | None = None
    source: str = ""
    line: int = 0
    column: int = 0
    literal: bool = False

    @property
    def place(self) -> str:
        """`tcbox.yml:3:7`, or `--port`."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    def fault(self, key: str, expected: str, found: str, hint: str = "") -> Fault:
        """A fault at this place."""
        return Fault(key=key, expected=expected, found=found, hint=hint, file=self.source or None, line=self.line, column=self.column)


def overridden(root: Node, overrides: Mapping[str, Any]) -> Node:
    """A tree with flags over it: values by key, a dotted path of keys, or nested; those that are None say nothing."""
    for path, value in overrides.items():
        if value is not None:
            root = _put(root, path.split("."), _flag(value, f"--{path.replace('.', '-').replace('_', '-')}"))
    return root


def _put(node: Node, keys: list[str], value: Node) -> Node:
    if not keys:
        if isinstance(value.value, dict) and isinstance(node.value, dict):
            return Node({**node.value, **value.value}, source=value.source, literal=True)
        return value
    below = node.value if isinstance(node.value, dict) else {}
    child = below.get(keys[0], Node({}))
    return Node({**below, keys[0]: _put(child, keys[1:], value)}, None, node.source, node.line, node.column)


def _flag(value: Any, source: str) -> Node:
    if isinstance(value, Node):
        return value
    if isinstance(value, Mapping):
        value = {str(name): _flag(item, source) for name, item in value.items()}
    elif isinstance(value, (list, tuple)):
        value = [_flag(item, source) for item in value]
    return Node(value, str(value), source, literal=True)
