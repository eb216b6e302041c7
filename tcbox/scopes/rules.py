"""What one role gives, taken apart for expansion.

A role is a rule: whoever has the scope `assume:<roleId>` has the role's scopes too. A role id that ends in `*` stands
for every role id that begins so, and `<..>` in its scopes for the rest of the id that was assumed. Source: Taskcluster's
manual on roles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tcbox.scopes.sets import normalise

PREFIX = "assume:"
_REST = "<..>"
_MARK = "\x1a"  # stands for the first `<..>` of a scope; no scope has this character


class RoleScopeError(ValueError):
    """A scope of a role uses `<..>` in a way that has no meaning."""

    def __init__(self, role_id: str, scope: str, reason: str) -> None:
        self.role_id = role_id
        self.scope = scope
        super().__init__(f"scope '{scope}' of role '{role_id}' {reason}")


def assumed(scope: str) -> str | None:
    """The role id, or pattern of role ids, that a scope assumes; None when it assumes none.

    Patterns shorter than `assume:`, such as `*` and `ass*`, assume every role.
    """
    if scope.startswith(PREFIX):
        return scope[len(PREFIX) :]
    if scope[-1:] == "*" and PREFIX.startswith(scope[:-1]):
        return "*"
    return None


@dataclass(frozen=True, slots=True)
class Rule:
    """One role.

    Attributes:
        plain: the scopes that it gives whatever was assumed.
        assumes: what those assume, as role ids and patterns of them.
        templates: before and after `<..>` of each scope that takes the rest.
    """

    role_id: str
    plain: tuple[str, ...]
    assumes: tuple[str, ...]
    templates: tuple[tuple[str, str], ...] = ()

    def filled(self, rest: str) -> list[str]:
        """The scopes from the templates.

        Where the rest ends in `*`, what follows `<..>` is dropped: the star stands for all of it.
        """
        if rest[-1:] == "*":
            return [before + rest for before, _ in self.templates]
        return [before + rest + after for before, after in self.templates]

    def reaches(self) -> list[str]:
        """What it may assume, for any rest, as role ids and patterns of them."""
        return [*self.assumes, *(role_id for scope in self.filled("*") if (role_id := assumed(scope)) is not None)]


def rule(role_id: str, scopes: Iterable[str]) -> Rule:
    """Take a role apart; raises RoleScopeError for a `<..>` that has no meaning."""
    plain: Iterable[str] = scopes
    templates: list[tuple[str, str]] = []
    if role_id[-1:] == "*":
        scopes = tuple(scopes)
        plain = [scope for scope in scopes if _REST not in scope]
        for scope in normalise(scope.replace(_REST, _MARK, 1) for scope in scopes if _REST in scope):
            before, _, after = scope.partition(_MARK)
            _check(role_id, before, after)
            templates.append((before, after))
    plain = tuple(plain)
    assumes = tuple(other for scope in plain if (other := assumed(scope)) is not None)
    return Rule(role_id, plain, assumes, tuple(templates))


def _check(role_id: str, before: str, after: str) -> None:
    scope = before + _REST + after
    if _REST in after:
        raise RoleScopeError(role_id, scope, "contains '<..>' more than once: use it once in a scope")
    if before[-1:] == "*" and not after:
        raise RoleScopeError(role_id, scope, "ends in '*<..>', where the star could be read in two ways: leave out the star or the '<..>'")
