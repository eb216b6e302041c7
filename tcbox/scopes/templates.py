"""One scope of an expression as a template: text with `<parameter>` in it, filled in for a call.

Source: Taskcluster's manual on API methods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Params = Mapping[str, Any]
Scope = Callable[[Params], str]
"""Fills a template in. Raises KeyError or TypeError for a parameter that is not there, ExpressionError for one that is no text."""

_NAME = r"[a-zA-Z]\w*(?:\.[a-zA-Z]\w*)*"
_PLACE = re.compile(rf"<({_NAME})>", re.ASCII)
_WHOLE_NAME = re.compile(_NAME, re.ASCII)


class ExpressionError(ValueError):
    """A template is not a scope expression, or its parameters do not fit it."""


def is_name(text: object) -> bool:
    """Whether this can be the name of a parameter, dotted where it reaches into an object."""
    return isinstance(text, str) and _WHOLE_NAME.fullmatch(text) is not None


def names(template: str) -> list[str]:
    """The names of the parameters in a template."""
    return _PLACE.findall(template)


def scope(template: str) -> Scope:
    """What fills this template in."""
    pieces = _PLACE.split(template)
    wanted = pieces[1::2]
    if not wanted:
        return lambda _: template
    if len(wanted) == 1 and "." not in wanted[0]:
        before, name, after = pieces

        def fill_one(params: Params) -> str:
            value = params[name]
            return before + (value if type(value) is str else text(value, name)) + after

        return fill_one
    form = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])

    def fill(params: Params) -> str:
        return form % tuple([text(value_of(params, name), name) for name in wanted])

    return fill


def value_of(params: Params, name: str) -> Any:
    """A parameter, by its name."""
    if "." not in name:
        return params[name]
    value: Any = params
    for step in name.split("."):
        value = value[step]
    return value


def text(value: Any, name: str) -> str:
    """A parameter's value as it stands in a scope; raises ExpressionError when it is neither text nor number."""
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value)) if value == int(value) else repr(value)
    raise ExpressionError(f"parameter '{name}' must be text or a number, not {value!r}")


def values(params: Params, name: str) -> list[Any] | tuple[Any, ...]:
    """The list that a loop goes through; raises ExpressionError when it is none."""
    found = value_of(params, name)
    if not isinstance(found, (list, tuple)):
        raise ExpressionError(f"parameter '{name}' must be a list, not {found!r}")
    return found


def truth(params: Params, name: str) -> bool:
    """A condition's parameter; raises ExpressionError when it is not true or false."""
    value = value_of(params, name)
    if value is not True and value is not False:
        raise ExpressionError(f"parameter '{name}' must be true or false, not {value!r}")
    return value
