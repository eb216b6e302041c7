"""Roles, compiled for expansion: from the scopes that a client was given to all those that it has.

Expansion is a walk over what is assumed. Roles without a star are found in a dict, those with one by each length
that such a prefix has; a pattern finds its roles as a stretch of the sorted ids. Results are kept, by what was asked.

Scopes with `<..>` can multiply from role to role, so a walk fills in no more than so many. All else that it gives is stored.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping

from tcbox.scopes import growth
from tcbox.scopes.cycles import refuse_cycles
from tcbox.scopes.growth import RoleGrowth
from tcbox.scopes.kept import Kept, weigh
from tcbox.scopes.rules import Rule, assumed, rule
from tcbox.scopes.sets import ScopeSet

_REMEMBERED = 4096  # expansions kept for each state of the roles
_EXPANDED_BYTES, _WALKED_BYTES = 64 << 20, 16 << 20  # what these may take
_LISTED = 100  # a longer list is not kept: credentials come as sets, and what is asked for by name is asked once


class Roles:
    """All roles of an instance, immutable.

    Args:
        roles: the scopes of each role id.

    Raises RoleCycle when roles assume each other in a circle, RoleScopeError for a `<..>` that has no meaning.
    """

    __slots__ = ("_exact", "_expanded", "_growth", "_ids", "_lengths", "_stars", "_walked")

    def __init__(self, roles: Mapping[str, Iterable[str]] | None = None) -> None:
        rules = [rule(role_id, scopes) for role_id, scopes in (roles or {}).items()]
        self._take(
            {made.role_id: made for made in rules if made.role_id[-1:] != "*"},
            {made.role_id[:-1]: made for made in rules if made.role_id[-1:] == "*"},
            sorted((_stem(made.role_id), made.role_id) for made in rules),
        )
        refuse_cycles(rules, self.matching)

    def _take(self, exact: dict[str, Rule], stars: dict[str, Rule], ids: list[tuple[str, str]]) -> None:
        self._exact = exact
        self._stars = stars
        self._ids = ids
        self._lengths = tuple(sorted({len(prefix) for prefix in stars}))
        self._growth: dict[str, int] | None = None
        self._expanded: Kept[object, ScopeSet] = Kept(_REMEMBERED, _EXPANDED_BYTES)
        self._walked: Kept[tuple[str, ...], tuple[str, ...]] = Kept(_REMEMBERED, _WALKED_BYTES)

    def __len__(self) -> int:
        return len(self._ids)

    def replace(self, role_id: str, scopes: Iterable[str] | None) -> Roles:
        """The roles with this one made, changed, or, for None, removed.

        Raises as the constructor does, and RoleGrowth when roles would multiply that did not.
        """
        changed = Roles.__new__(Roles)
        exact, stars = self._exact.copy(), self._stars.copy()
        star = role_id[-1:] == "*"
        key, rules = (role_id[:-1], stars) if star else (role_id, exact)
        ids = self._ids
        old = rules.pop(key, None)
        known, made = old is not None, None
        if known and scopes is None:
            ids = [entry for entry in ids if entry[1] != role_id]
        if scopes is not None:
            rules[key] = made = rule(role_id, scopes)
            if not known:
                ids = ids.copy()
                insort(ids, (_stem(role_id), role_id))
        changed._take(exact, stars, ids)  # noqa: SLF001 - the same class
        if made is not None:
            refuse_cycles([made], changed.matching)
        if not any(each is not None and each.templates for each in (old, made)):
            changed._growth = self._growth  # noqa: SLF001 - as above
        if made is not None:
            changed._refuse_growth(made, self)  # noqa: SLF001 - as above
        return changed

    def _refuse_growth(self, made: Rule, before: Roles) -> None:
        if made.templates:
            growth.refuse_growth(made, before.growth(), self.growth())
        met = (other for role_id in set(made.assumes) if role_id[-1:] != "*" for other, _ in self.matching(role_id))
        if sum(self.growth().get(other.role_id, 0) for other in met) > growth.MOST_GROWTH:
            raise RoleGrowth(made.role_id, growth.MOST_GROWTH)

    def growth(self) -> dict[str, int]:
        """How many scopes with `<..>` are filled when a role is assumed once, by the ids of those that have such scopes."""
        if self._growth is None:
            self._growth = growth.growth(self._stars)
        return self._growth

    def expand(self, scopes: Iterable[str]) -> ScopeSet:
        """These scopes and all that follow from the roles which they assume.

        Raises RoleGrowth when more scopes with `<..>` would be filled in for it than `growth.MOST_FILLED`.
        """
        key = scopes if isinstance(scopes, ScopeSet) else tuple(scopes)
        known = self._expanded.get(key)
        if known is not None:
            self._expanded.move_to_end(key)
            return known
        given = key if isinstance(key, ScopeSet) else ScopeSet(key)
        # roles add nothing to `*`, and asking them for it would gather each scope of each role
        made = given if given.everything else given.with_scopes(self._walk(key))
        if isinstance(key, ScopeSet) or len(key) <= _LISTED:
            self._expanded.keep(key, made, made.weight if made is key else made.weight + given.weight)
        return made

    def _walk(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """What the scopes' roles give, directly and by way of others, apart from the scopes themselves."""
        start = tuple(role_id for scope in scopes if (role_id := assumed(scope)) is not None)
        if not start:
            return ()
        known = self._walked.get(start)
        if known is None:
            known = self._follow(start)
            if len(start) <= _LISTED:
                self._walked.keep(start, known, weigh(known) + weigh(start))
        return known

    def _follow(self, start: tuple[str, ...]) -> tuple[str, ...]:
        found: set[str] = set()
        given: set[str] = set()  # ids of roles whose plain scopes are in `found`
        seen = set(start)
        waiting = list(start)
        filling = 0
        while waiting:
            for made, rest in self.matching(waiting.pop()):
                reached: list[str] = []
                if made.role_id not in given:
                    given.add(made.role_id)
                    found.update(made.plain)
                    reached += made.assumes
                if made.templates:
                    if rest != "*":  # which is filled in as often as is stored
                        filling += len(made.templates) * (1 + len(rest) // growth.LONG_REST)
                        if filling > growth.MOST_FILLED:
                            raise RoleGrowth(made.role_id, growth.MOST_FILLED)
                    filled = made.filled(rest)
                    found.update(filled)
                    reached += [role_id for scope in filled if (role_id := assumed(scope)) is not None]
                fresh = [role_id for role_id in reached if role_id not in seen]
                seen.update(fresh)
                waiting += fresh
        return tuple(found)

    def matching(self, role_id: str) -> Iterator[tuple[Rule, str]]:
        """The rules that apply when `assume:<role_id>` is held, each with the rest that fills its `<..>`.

        A role_id that ends in `*` is a pattern: it meets each role that it could stand for, and each star role that
        stands for all of it. For the former the rest is unknown, and so `*`.
        """
        pattern = role_id[-1:] == "*"
        stem = role_id[:-1] if pattern else role_id
        stars = self._stars
        for length in self._lengths:
            if length > len(stem):
                break
            made = stars.get(stem[:length])
            if made is not None:
                yield made, role_id[length:]
        if not pattern:
            if role_id in self._exact:
                yield self._exact[role_id], ""
            return
        ids = self._ids
        for place in range(bisect_left(ids, (stem,)), len(ids)):
            beginning, name = ids[place]
            if not beginning.startswith(stem):
                break
            if name[-1:] != "*":
                yield self._exact[name], ""
            elif beginning != stem:
                yield stars[beginning], "*"


def _stem(role_id: str) -> str:
    return role_id[:-1] if role_id[-1:] == "*" else role_id
