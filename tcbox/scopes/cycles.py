"""Refuses roles that assume each other in a circle: with `<..>` such a circle could grow without end.

A role depends on another when a scope that it gives, for any value of `<..>`, assumes that other role. Each circle of
such dependencies is refused, also one that would do no harm; the published services do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tcbox.scopes.rules import PREFIX, Rule

_Matching = Callable[[str], Iterable[tuple[Rule, str]]]


class RoleCycle(ValueError):
    """Roles assume each other in a circle.

    Attributes:
        cycle: the roles in the order in which each assumes the next, as `assume:<roleId>`, the first again at the end.
    """

    def __init__(self, role_ids: Iterable[str]) -> None:
        self.cycle = [PREFIX + role_id for role_id in role_ids]
        path = "' -> '".join(self.cycle)
        super().__init__(f"Roles must not assume each other in a circle, but these do: '{path}'. Remove one of these steps.")


def refuse_cycles(rules: Iterable[Rule], matching: _Matching) -> None:
    """Raise RoleCycle when a circle can be reached from one of these rules.

    `matching` gives the rules that apply to a role id or pattern of role ids.
    """
    done: set[str] = set()
    for start in rules:
        if start.role_id not in done:
            _visit(start, matching, done)


def _visit(start: Rule, matching: _Matching, done: set[str]) -> None:
    """Depth first, without recursion, as chains of roles may be long."""
    path: dict[str, Iterator[Rule]] = {start.role_id: _dependencies(start, matching)}
    while path:
        role_id = next(reversed(path))
        for other in path[role_id]:
            if other.role_id in path:
                names = list(path)
                raise RoleCycle([*names[names.index(other.role_id) :], other.role_id])
            if other.role_id not in done:
                path[other.role_id] = _dependencies(other, matching)
                break
        else:
            del path[role_id]
            done.add(role_id)


def _dependencies(rule: Rule, matching: _Matching) -> Iterator[Rule]:
    seen: set[str] = set()
    for role_id in rule.reaches():
        if role_id in seen:
            continue
        seen.add(role_id)
        for other, _ in matching(role_id):
            yield other
