"""The docstrings under a class's attributes, read from its source when somebody asks."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any


def docstrings(kind: type) -> dict[str, str]:
    """The docstring under each attribute, on one line; empty where the program was packed without its source."""
    return dict(_attributes(_classes(kind.__module__).get(kind.__name__)))


def docstring(kind: type) -> str:
    """The docstring of a class, on one line."""
    return " ".join((kind.__doc__ or "").split())


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    spec: Any = importlib.util.find_spec(module)
    source = spec.loader.get_source(module) if spec is not None and hasattr(spec.loader, "get_source") else None
    return {node.name: node for node in ast.parse(source or "").body if isinstance(node, ast.ClassDef)}


def _attributes(node: ast.ClassDef | None) -> Iterator[tuple[str, str]]:
    for item, following in pairwise(node.body if node is not None else ()):
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            yield item.target.id, " ".join(str(following.value.value).split())
