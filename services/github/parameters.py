"""`{{ … }}` in files of version 0: names that stand for values, and functions that they are piped through.

An expression is a name or a quoted text, then any number of functions, each after a `|`. What is not known stays as
it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_WHOLE = re.compile(r"\{\{[^}]+\}\}")
_PART = re.compile(r"\{\{([^}]*)\}\}")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_UNKNOWN = object()
Functions = Mapping[str, Callable[..., Any]]


def substitute(value: Any, params: Mapping[str, Any], functions: Functions) -> Any:
    """A value with all expressions in its texts and keys replaced; a text that is one expression takes its type."""
    if isinstance(value, str):
        return _text(value, params, functions)
    if isinstance(value, list):
        return [substitute(item, params, functions) for item in value]
    if isinstance(value, dict):
        made = {}
        for key, item in value.items():
            name = _text(key, params, functions)
            made[name if isinstance(name, str) else key] = substitute(item, params, functions)
        return made
    return value


def _text(text: str, params: Mapping[str, Any], functions: Functions) -> Any:
    if _WHOLE.fullmatch(text):
        value = _evaluate(text[2:-2], params, functions)
        return text if value is _UNKNOWN else value
    return _PART.sub(lambda found: _shown(_evaluate(found[1], params, functions), found[0]), text)


def _evaluate(expression: str, params: Mapping[str, Any], functions: Functions) -> Any:
    first, *rest = expression.split("|")
    quoted = _QUOTED.search(first)
    name = first.strip()
    if quoted is not None:
        value: Any = quoted[1] or quoted[2] or ""
    elif name in functions:
        value = functions[name]()
    elif name in params:
        value = params[name]
    else:
        return _UNKNOWN
    for each in rest:
        function = functions.get(each.strip())
        if function is None:
            return _UNKNOWN
        value = function(value)
    return value


def _shown(value: Any, otherwise: str) -> str:
    if value is _UNKNOWN:
        return otherwise
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
