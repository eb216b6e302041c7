"""Refuses roles that multiply: where each gives two scopes that assume the next with `<..>`, twenty of them give a million.

No circle is needed for it. What is counted of a role is how many scopes with `<..>` are filled at most when it is
assumed once, for any rest, by it and by all that its own scopes with `<..>` assume. Its other scopes do not multiply: they are
given once, however often the role is come by.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from tcbox.scopes.rules import PREFIX, Rule

MOST_FILLED = 20_000
"""Scopes with `<..>` that one expansion fills in, the work of a tenth of a second or two."""
MOST_GROWTH = 5_000
"""Those of one role that is assumed once: callers may assume several such roles."""
LONG_REST = 100
"""Characters: what fills a scope in counts once more for each time that it is so long."""


class RoleGrowth(ValueError):
    """A role's `<..>` scopes assume roles whose `<..>` scopes assume others, and come to too many.

    Attributes:
        role_id: the role at which they were too many.
    """

    def __init__(self, role_id: str, most: int) -> None:
        self.role_id = role_id
        super().__init__(
            f"Roles multiply: by the role '{role_id}', and the roles that its scopes assume with '<..>', more than {most} scopes with '<..>' "
            "would have to be filled in. Take scopes of the form 'assume:...<..>...' out of these roles, or assume fewer of them at once."
        )


def growth(stars: Mapping[str, Rule]) -> dict[str, int]:
    """How many scopes are filled when a role is assumed once, by role id; only of roles with `<..>`, and counted up to just above `MOST_GROWTH`.

    Args:
        stars: the roles whose id ends in a star, by the id without it; no circle among them.
    """
    return _Count({prefix: rule for prefix, rule in stars.items() if rule.templates}).all()


class _Count:
    def __init__(self, stars: Mapping[str, Rule]) -> None:
        self._stars = stars
        self._sorted = sorted(stars)
        self._lengths = sorted({len(prefix) for prefix in stars})
        self._known: dict[str, int] = {}  # by prefix
        self._chains: dict[str, int] = {}  # by what stands before `<..>`

    def all(self) -> dict[str, int]:
        """By role id."""
        for prefix in self._sorted:
            self._visit(prefix)
        return {prefix + "*": count for prefix, count in self._known.items()}

    def _visit(self, first: str) -> None:
        """Depth first, without recursion, as chains of roles may be long."""
        path = [(first, self._needed(first))] if first not in self._known else []
        while path:
            prefix, needed = path[-1]
            missing = next((other for other in needed if other not in self._known), None)
            if missing is not None:
                path.append((missing, self._needed(missing)))
                continue
            path.pop()
            rule = self._stars[prefix]
            self._known[prefix] = min(len(rule.templates) + sum(map(self._chain, _assumed(rule))), MOST_GROWTH + 1)

    def _needed(self, prefix: str) -> Iterator[str]:
        for before in _assumed(self._stars[prefix]):
            yield from self._over(before)
            yield from self._below(before)

    def _over(self, before: str) -> Iterator[str]:
        """Roles that are met whatever the rest is."""
        return (before[:length] for length in self._lengths if length <= len(before) and before[:length] in self._stars)

    def _below(self, before: str) -> Iterator[str]:
        """Roles that are met by some rests."""
        for place in range(bisect_left(self._sorted, before), len(self._sorted)):
            prefix = self._sorted[place]
            if not prefix.startswith(before):
                break
            if prefix != before:
                yield prefix

    def _chain(self, before: str) -> int:
        """What one role id that begins so comes to at most: the roles that it meets have prefixes of which each begins with the one before."""
        known = self._chains.get(before)
        if known is not None:
            return known
        nested: list[str] = []
        total = most = 0
        for prefix in self._below(before):
            while nested and not prefix.startswith(nested[-1]):
                total -= self._known[nested.pop()]
            nested.append(prefix)
            total += self._known[prefix]
            most = max(most, total)
        made = self._chains[before] = most + sum(self._known[prefix] for prefix in self._over(before))
        return made


def _assumed(rule: Rule) -> Iterator[str]:
    """The beginnings of the role ids that its scopes with `<..>` assume. One shorter than `assume:` would make a circle."""
    return (before[len(PREFIX) :] for before, _ in rule.templates if before.startswith(PREFIX))


def refuse_growth(changed: Rule, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Raise RoleGrowth when a role that was changed comes to too much, or makes another do so that did not.

    Args:
        before, after: the growth of all roles before and after the change.
    """
    for role_id, count in after.items():
        if count > MOST_GROWTH and (role_id == changed.role_id or before.get(role_id, 0) <= MOST_GROWTH):
            raise RoleGrowth(role_id, MOST_GROWTH)
