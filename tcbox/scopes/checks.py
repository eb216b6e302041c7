"""Scope expressions checked while they are rendered: no scope is put together that the decision does not need.

Each call of the API is decided so; an expression is rendered whole only to tell a caller what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tcbox.scopes.sets import ScopeSet

Params = Mapping[str, Any]
Check = Callable[[ScopeSet, Params], bool | None]
"""Whether the scopes satisfy the expression for these parameters; None where a condition asks for nothing."""

Compiled = Callable[[Any], Callable[[Params], Any]]


def compile(template: Any, part: Compiled) -> Check:  # noqa: A001 - as in re.compile
    """The check of a template that is well-formed.

    Args:
        part: compiles a scope, or a loop, into what renders it: to text, or to a list of texts.
    """
    if isinstance(template, str):
        render = part(template)
        return lambda scopes, params: scopes.satisfies(render(params))
    if "AllOf" in template:
        return _all([compile(each, part) for each in template["AllOf"]])
    if "AnyOf" in template:
        return _any([_among(each, part) for each in template["AnyOf"]])
    if "for" in template:
        loop = part(template)
        return lambda scopes, params: scopes.satisfies_all(loop(params))
    choose = part(template["if"])
    then, other = (compile(template[key], part) if key in template else _nothing for key in ("then", "else"))
    return lambda scopes, params: (then if choose(params) else other)(scopes, params)


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
