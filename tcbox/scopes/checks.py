"""Scope expressions checked while they are rendered: no scope is put together that the decision does not need.

Each call of the API is decided so; an expression is rendered whole only to tell a caller what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcbox.scopes import templates
from tcbox.scopes.sets import ScopeSet
from tcbox.scopes.templates import Params

Check = Callable[[ScopeSet, Params], bool | None]
"""Whether the scopes satisfy the expression for these parameters; None where a condition asks for nothing."""


def compile(template: Any) -> Check:  # noqa: A001 - as in re.compile
    """The check of a template that is well-formed."""
    if isinstance(template, str):
        fill = templates.scope(template)
        return lambda scopes, params: scopes.satisfies(fill(params))
    if "AllOf" in template:
        return _all([_loop(each, every=True) if "for" in each else compile(each) for each in template["AllOf"]])
    if "AnyOf" in template:
        return _any([_loop(each, every=False) if "for" in each else compile(each) for each in template["AnyOf"]])
    name = template["if"]
    then, other = (compile(template[key]) if key in template else _nothing for key in ("then", "else"))
    return lambda scopes, params: (then if templates.truth(params, name) else other)(scopes, params)


def _nothing(_: ScopeSet, __: Params) -> None:
    return None


def _all(checks: list[Check]) -> Check:
    def check(scopes: ScopeSet, params: Params) -> bool:
        for each in checks:  # noqa: SIM110 - quicker than all()
            if each(scopes, params) is False:
                return False
        return True

    return check


def _any(checks: list[Check]) -> Check:
    def check(scopes: ScopeSet, params: Params) -> bool:
        for each in checks:  # noqa: SIM110 - quicker than any()
            if each(scopes, params):
                return True
        return False

    return check


def _loop(template: dict[str, str], *, every: bool) -> Check:
    """Whether every scope of a loop is there, or any."""
    variable, source = template["for"], template["in"]
    fill = templates.scope(template["each"])

    def check(scopes: ScopeSet, params: Params) -> bool:
        values = templates.values(params, source)
        if values:
            inner = dict(params)
            for inner[variable] in values:
                if scopes.satisfies(fill(inner)) is not every:
                    return not every
        return every

    return check
