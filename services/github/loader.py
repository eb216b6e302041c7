"""Reads YAML as GitHub's users expect it: YAML 1.2's plain values, each key once, nothing that grows without bounds.

PyYAML reads YAML 1.1, in which `on` is true and `12:30` a number. Here a plain word is a boolean, a null or a number
only if the core schema of YAML 1.2 says so; times stay text.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_NODES = 200_000
"""Values, when each alias is replaced by what it stands for."""
MAX_DEPTH = 100
_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*|0[0-9_]+)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+0123456789.")),
)


class LoadError(Exception):
    """The text is no YAML that is taken; the message says where and why."""


class _Loader(_Base):  # type: ignore[misc, valid-type]
    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """A mapping whose keys are text, each once."""
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[str] = set()
        for key in own:
            name = _key(key)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is there twice", key.start_mark)
            seen.add(name)
        self.flatten_mapping(node)
        return {_key(key): self.construct_object(value, deep=True) for key, value in node.value}


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "a key must be text", node.start_mark)
    return str(node.value)


def _int(loader: Any, node: yaml.ScalarNode) -> int:
    text = str(node.value).replace("_", "")
    sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2].lower(), 10)
    return sign * int(digits[2:] if base != 10 else digits, base)


def _float(loader: Any, node: yaml.ScalarNode) -> float:
    text = str(node.value).lower().replace(".inf", "inf").replace(".nan", "nan")
    value = float(text)
    if not math.isfinite(value):
        raise yaml.constructor.ConstructorError(None, None, "JSON has no such number", node.start_mark)
    return value


def _map(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    made: dict[str, Any] = loader.construct_mapping(node)
    return made


def _list(loader: Any, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _refuse(loader: Any, node: yaml.Node) -> Any:
    raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag} is not taken", node.start_mark)


for _name, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _map)
_Loader.add_constructor("tag:yaml.org,2002:seq", _list)
for _tag in ("binary", "omap", "pairs", "set", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _refuse)


def load(text: str) -> Any:
    """The value of a YAML document.

    Raises LoadError.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise LoadError(f"The file has more than {MAX_BYTES // 1024} KiB: make it smaller.")
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, 0)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        context = f" ({error.context})" if error.context else ""
        raise LoadError(f"This is no valid YAML{where}: {error.problem}{context}.") from None
    except yaml.YAMLError as error:
        raise LoadError(f"This is no valid YAML: {error}.") from None
    except (ValueError, OverflowError) as error:
        raise LoadError(f"This is no valid YAML: {error}.") from None
    except RecursionError:
        raise LoadError(f"The file nests lists and mappings more than {MAX_DEPTH} deep: make it flatter.") from None
    finally:
        if loader is not None:
            loader.dispose()


def _measure(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """How many values a node has, aliases replaced; raises LoadError when there are too many, or when one holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    known = sizes.get(id(node))
    if known == 0:
        raise LoadError(f"The value in line {node.start_mark.line + 1} holds itself by an alias.")
    if known is None:
        if depth > MAX_DEPTH:
            raise LoadError(f"The file nests lists and mappings more than {MAX_DEPTH} deep, in line {node.start_mark.line + 1}: make it flatter.")
        sizes[id(node)] = 0
        below = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair]
        known = sizes[id(node)] = 1 + sum(_measure(each, sizes, depth + 1) for each in below)
        if known > MAX_NODES:
            raise LoadError(f"The file has more than {MAX_NODES} values, with aliases replaced by what they stand for: make it smaller.")
    return known
