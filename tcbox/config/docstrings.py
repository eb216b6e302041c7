"""The docstrings under a class's attributes, read from its source when somebody asks."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any


def docstrings(kind: type) -> dict[str, str]:
    """The docstring under each attribute, on one line; empty where the program was packed without its source."""
    return dict(_attributes(_classes(kind.__module__).get(kind.__name__)))


def docstring(kind: type) -> str:
    """The docstring of a class, on one line."""
    return " ".join((kind.__doc__ or "").split())


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(_source(module)).body if isinstance(node, ast.ClassDef)}


def _source(module: str) -> str:
    """A module's text; empty where there is none. Not every loader gives it: pytest's does not."""
    spec: Any = importlib.util.find_spec(module)
    if spec is None:
        return ""
    if hasattr(spec.loader, "get_source"):
        return spec.loader.get_source(module) or ""
    path = Path(spec.origin or "")
    return path.read_text(encoding="utf-8") if path.suffix == ".py" and path.is_file() else ""


def _attributes(node: ast.ClassDef | None) -> Iterator[tuple[str, str]]:
    for item, following in pairwise(node.body if node is not None else ()):
        if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            yield item.target.id, " ".join(str(following.value.value).split())
