"""Scopes: sets of them, the expressions that methods declare, and the roles that expand them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tcbox.scopes.cycles import RoleCycle
from tcbox.scopes.expressions import Expression, ExpressionError, Rendered, compile, satisfied, satisfying, unsatisfied  # noqa: A004
from tcbox.scopes.growth import RoleGrowth
from tcbox.scopes.roles import Roles
from tcbox.scopes.rules import RoleScopeError
from tcbox.scopes.sets import EMPTY, InvalidScopeError, ScopeSet, normalise, sort_key, valid_scope, validate

__all__ = [
    "EMPTY",
    "Expression",
    "ExpressionError",
    "InvalidScopeError",
    "Rendered",
    "RoleCycle",
    "RoleGrowth",
    "RoleScopeError",
    "Roles",
    "ScopeSet",
    "check_cycles",
    "compile",
    "normalise",
    "satisfied",
    "satisfying",
    "sort_key",
    "unsatisfied",
    "valid_scope",
    "validate",
]


def check_cycles(roles: Mapping[str, Iterable[str]]) -> None:
    """Check roles before they are stored.

    Raises RoleCycle when they assume each other in a circle, RoleScopeError for a `<..>` that has no meaning.
    """
    Roles(roles)
