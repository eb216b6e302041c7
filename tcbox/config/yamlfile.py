"""Reads a YAML file into nodes that know their places; the YAML library is loaded only when there is a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox.config.faults import ConfigError, Fault
from tcbox.config.nodes import Node

if TYPE_CHECKING:
    import yaml

_TAG = "tag:yaml.org,2002:"
_NATIVE = {f"{_TAG}int", f"{_TAG}float", f"{_TAG}bool", f"{_TAG}null"}
_TEXT = {f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value", f"{_TAG}merge"}


def read(path: Path, faults: list[Fault], *, literal: bool = False, example: str = "port: 8090") -> Node:
    """The file as a tree; an empty file is an empty mapping. Faults that leave the rest readable are added to the list.

    Args:
        literal: whether texts in it stay as they are, also those that look like references.
        example: a line such as the file may have.

    Raises ConfigError when the file cannot be read, is no YAML, or is no mapping.
    """
    import yaml

    text = _text(path)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        tree = loader.get_single_node()
        if tree is None:
            return Node({}, source=str(path), line=1, column=1)
        node = _Converter(loader, str(path), faults, literal=literal).node(tree, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        hint = "indent with spaces, and quote texts with : or # in them"
        problem = (error.problem or "something else").removeprefix("but ").removeprefix("found ")
        raise _unreadable(path, "YAML", problem, hint, line=line, column=column) from error
    except yaml.YAMLError as error:
        raise _unreadable(path, "YAML", str(error).partition("\n")[0], "save it as plain text") from error
    finally:
        loader.dispose()
    if node.value is None:
        return Node({}, source=str(path), line=1, column=1)
    if not isinstance(node.value, dict):
        raise ConfigError([node.fault("", "keys with values", "none", f"write for example `{example}`")])
    return node


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _unreadable(path, "a file that can be read", str(error.strerror), "give the right path, or the right to read it") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "UTF-8", f"the byte 0x{error.object[error.start]:02x} at offset {error.start}", "save it as UTF-8") from error


def _unreadable(path: Path, expected: str, found: str, hint: str, *, line: int = 0, column: int = 0) -> ConfigError:
    return ConfigError([Fault(key="", expected=expected, found=found, hint=hint, file=str(path), line=line, column=column)])


class _Converter:
    """From the library's nodes to ours, with aliases and merge keys followed."""

    def __init__(self, loader: Any, source: str, faults: list[Fault], *, literal: bool) -> None:
        self._loader = loader
        self._source = source
        self._literal = literal
        self._faults = faults
        self._open: set[int] = set()

    def node(self, node: yaml.Node, key: str) -> Node:
        """A node; one that contains itself becomes a fault."""
        if id(node) in self._open:
            self._fault(node, key, "a value", "an alias of something that it is part of", "write the value out")
            return self._make(node, None)
        self._open.add(id(node))
        try:
            return self._make(node, self._value(node, key), str(node.value) if isinstance(node.value, str) else None)
        finally:
            self._open.discard(id(node))

    def _value(self, node: yaml.Node, key: str) -> Any:
        if isinstance(node.value, str):
            return self._scalar(node, key)
        if node.tag == f"{_TAG}seq":
            return [self.node(item, f"{key}.{index}") for index, item in enumerate(node.value)]
        if node.tag != f"{_TAG}map":
            self._fault(node, key, "a plain mapping or list", f"the tag {node.tag}", "remove the tag")
        return self._mapping(node, key)

    def _scalar(self, node: yaml.Node, key: str) -> Any:
        if node.tag in _NATIVE:
            try:
                return self._loader.construct_object(node)
            except ValueError:
                return node.value
        if node.tag not in _TEXT:
            references = "" if self._literal else "; variables are written ${env:NAME}, files ${file:path}"
            self._fault(node, key, "a plain value", f"the tag {node.tag}", f"remove the tag{references}")
        return node.value

    def _mapping(self, node: yaml.Node, key: str) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for name, value in node.value:
            if not isinstance(name.value, str):
                self._fault(name, key, "a plain text as key", "a list or a mapping")
            elif name.tag == f"{_TAG}merge":
                merged.update(self._merged(value, key))
            else:
                path = f"{key}.{name.value}" if key else name.value
                if name.value in found:
                    self._fault(name, path, "each key once", "it a second time", "remove one of them")
                found[name.value] = self.node(value, path)
        return {**merged, **found}

    def _merged(self, node: yaml.Node, key: str) -> dict[str, Node]:
        """What a merge key brings in; of several mappings the first wins."""
        found: dict[str, Node] = {}
        for source in node.value if node.tag == f"{_TAG}seq" else [node]:
            below = self.node(source, key).value
            if isinstance(below, dict):
                found = {**below, **found}
            elif below is not None:
                self._fault(source, key, "an alias of keys with values after <<", "something else", "write for example <<: *shared")
        return found

    def _make(self, node: yaml.Node, value: Any, raw: str | None = None) -> Node:
        return Node(value, raw, self._source, node.start_mark.line + 1, node.start_mark.column + 1, self._literal)

    def _fault(self, node: yaml.Node, key: str, expected: str, found: str, hint: str = "") -> None:
        self._faults.append(self._make(node, None).fault(key, expected, found, hint))
