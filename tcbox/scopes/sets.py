"""Sets of scopes, the permissions of Taskcluster.

A scope is printable ASCII. In a set, a scope that ends in `*` is a pattern: it satisfies each scope that begins
with what stands before the star. Source: Taskcluster's manual on scopes, and the order in which the published
services list them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from tcbox.scopes.kept import weigh

_VALID = re.compile(r"[\x20-\x7e]*")
_FEW = 12  # up to this many stars, str.startswith with a tuple is quicker than a search


class InvalidScopeError(ValueError):
    """A scope has other characters than printable ASCII, or is no text."""

    def __init__(self, scope: object) -> None:
        self.scope = scope
        super().__init__(f"{scope!r} is not a scope: a scope is text of printable ASCII characters (0x20 to 0x7e); remove the others")


def valid_scope(text: object) -> bool:
    """Whether this is a scope: text of nothing but printable ASCII characters, possibly empty."""
    return isinstance(text, str) and _VALID.fullmatch(text) is not None


def validate(scopes: Iterable[object]) -> None:
    """Check that each of these is a scope; raises InvalidScopeError for the first that is not."""
    for scope in scopes:
        if not valid_scope(scope):
            raise InvalidScopeError(scope)


def sort_key(scope: str) -> str:
    """The key that sorts scopes as published: by character, but `a*` before `a`, and so before all that it implies."""
    return scope[:-1] + "\x00" if scope[-1:] == "*" else scope + "\x01"


def normalise(scopes: Iterable[str]) -> tuple[str, ...]:
    """The same permissions in the fewest scopes, sorted as published."""
    kept: list[str] = []
    prefix = None
    for scope in sorted(set(scopes), key=sort_key):
        if prefix is not None and scope.startswith(prefix):
            continue
        kept.append(scope)
        if scope[-1:] == "*":
            prefix = scope[:-1]
    return tuple(kept)


def _outermost(prefixes: list[str]) -> list[str]:
    """The prefixes, sorted, less those that begin with another of them."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


class ScopeSet:
    """An immutable set of scopes; two are equal when they give the same permissions."""

    __slots__ = ("_exact", "_hash", "_joined", "_many", "_prefixes", "_scopes")

    def __init__(self, scopes: Iterable[str] = ()) -> None:
        self._exact = frozenset(scopes)
        prefixes = [scope[:-1] for scope in self._exact if scope[-1:] == "*"]
        self._many = len(prefixes) > _FEW
        self._prefixes = tuple(_outermost(prefixes) if self._many else prefixes)
        self._scopes: tuple[str, ...] | None = None
        self._hash: int | None = None
        self._joined: tuple[ScopeSet, ScopeSet] | None = None  # with which set, and what came of it

    @property
    def everything(self) -> bool:
        """Whether the set has the pattern `*`, and so every scope there is."""
        return "*" in self._exact

    @property
    def weight(self) -> int:
        """About how many bytes of memory the set takes."""
        return weigh(self._exact)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes, none implied by another, sorted as published."""
        if self._scopes is None:
            self._scopes = normalise(self._exact) if self._prefixes else tuple(sorted(self._exact))
        return self._scopes

    def satisfies(self, scope: str) -> bool:
        """Whether the set has this scope, or a pattern that implies it. A pattern is satisfied only as a whole."""
        return scope in self._exact or self._starred(scope)

    def _starred(self, text: str) -> bool:
        """Whether a text begins as one of the patterns does."""
        prefixes = self._prefixes
        if not self._many:
            return text.startswith(prefixes)
        place = bisect_right(prefixes, text)
        return place > 0 and text.startswith(prefixes[place - 1])

    def _covers(self, scope: str) -> bool:
        """Whether all that a scope gives is in the set; `**` satisfies `*` as a text, but does not cover it."""
        if scope in self._exact:
            return True
        return self._starred(scope[:-1] if scope[-1:] == "*" else scope)

    def satisfies_all(self, scopes: Iterable[str]) -> bool:
        """Whether the set satisfies each of these."""
        return all(map(self.satisfies, scopes))

    def missing(self, scopes: Iterable[str]) -> list[str]:
        """Those of the scopes that the set does not satisfy, in the order given."""
        return [scope for scope in scopes if not self.satisfies(scope)]

    def union(self, other: ScopeSet) -> ScopeSet:
        """What either set gives; one of the two itself, where it has all that the other has. The last is remembered."""
        joined = self._joined
        if joined is not None and joined[0] is other:
            return joined[1]
        if other._exact <= self._exact:
            return self
        if self._exact <= other._exact:
            return other
        made = ScopeSet(self._exact | other._exact)
        self._joined = (other, made)
        return made

    def with_scopes(self, scopes: Iterable[str]) -> ScopeSet:
        """What the set gives, and these scopes; itself, where it has them all."""
        more = self._exact.union(scopes)
        return self if len(more) == len(self._exact) else ScopeSet(more)

    def intersect(self, other: ScopeSet) -> ScopeSet:
        """What both sets give."""
        return ScopeSet([*filter(other._covers, self._exact), *filter(self._covers, other._exact)])

    def __iter__(self) -> Iterator[str]:
        return iter(self.scopes)

    def __len__(self) -> int:
        return len(self.scopes)

    def __contains__(self, scope: object) -> bool:
        raise TypeError("a scope set is asked with .satisfies(scope), since patterns imply scopes that are not listed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScopeSet):
            return False
        if self._exact == other._exact:
            return True
        # without patterns nothing is implied, so that only what is listed counts
        return bool(self._prefixes or other._prefixes) and self.scopes == other.scopes

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.scopes)
        return self._hash

    def __repr__(self) -> str:
        return f"ScopeSet({list(self.scopes)!r})"


EMPTY = ScopeSet()
