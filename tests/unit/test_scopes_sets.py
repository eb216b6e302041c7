"""Sets of scopes: patterns, normal form, union and intersection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox.scopes import InvalidScopeError, ScopeSet, normalise, valid_scope, validate

SCOPES = st.lists(st.text("ab*(", max_size=4), max_size=30)


def matches(pattern, scope):
    return pattern == scope or (pattern.endswith("*") and scope.startswith(pattern[:-1]))


def satisfies(scopes, scope):
    return any(matches(pattern, scope) for pattern in scopes)


def test_a_star_stands_for_any_rest():
    """A scope ending in a star satisfies what begins so, itself included, and a star elsewhere is a character."""
    held = ScopeSet(["queue:*", "a*b"])
    assert held.satisfies("queue:")
    assert held.satisfies("queue:x:*")
    assert held.satisfies("a*b")
    assert not held.satisfies("queue")
    assert not held.satisfies("axb")
    assert not held.satisfies("*")


def test_the_published_order():
    """`a*` comes before `a`, which comes before `a(`; duplicates and what is implied are left out."""
    assert ScopeSet(["b", "aa", "a(", "a", "b", ""]).scopes == ("", "a", "a(", "aa", "b")
    assert ScopeSet(["ab", "a", "a*", "b*b", "b*bx*", "b*bxy", "c", "c"]).scopes == ("a*", "b*b", "b*bx*", "c")
    assert ScopeSet(["x", "*", "y*"]).scopes == ("*",)


@given(SCOPES, SCOPES)
def test_normal_form_keeps_the_permissions(scopes, asked):
    """Normalised scopes satisfy the same, and none of them satisfies another."""
    kept = normalise(scopes)
    for scope in [*asked, *scopes]:
        assert satisfies(kept, scope) == satisfies(scopes, scope)
    assert not any(one != other and matches(one, other) for one in kept for other in kept)
    assert len(set(kept)) == len(kept)


@given(SCOPES, SCOPES, SCOPES)
def test_set_algebra(first, second, asked):
    """satisfies, missing, union and intersect agree with their definitions, for few patterns and for many."""
    one, two = ScopeSet(first), ScopeSet(second)
    for scope in [*asked, *first, *second]:
        assert one.satisfies(scope) == satisfies(first, scope)
        assert one.union(two).satisfies(scope) == (one.satisfies(scope) or two.satisfies(scope))
        assert one.intersect(two).satisfies(scope) == (one.satisfies(scope) and two.satisfies(scope))
    assert one.missing(asked) == [scope for scope in asked if not satisfies(first, scope)]
    assert one.satisfies_all(asked) == (not one.missing(asked))
    assert list(one) == list(one.scopes)
    assert len(one) == len(one.scopes)


def test_many_patterns():
    """A set of thousands of patterns, some within others, finds the one that fits."""
    held = ScopeSet([f"a:{number}:*" for number in range(3000)] + ["a:7*", "b"])
    assert held.satisfies("a:2999:x")
    assert held.satisfies("a:7")
    assert held.satisfies("a:700:x")
    assert not held.satisfies("a:3000:x")
    assert not held.satisfies("")


def test_sets_are_equal_by_what_they_permit():
    """Two sets with the same permissions are equal and hash alike."""
    assert ScopeSet(["a*", "ab"]) == ScopeSet(["a*"])
    assert hash(ScopeSet(["a*", "ab"])) == hash(ScopeSet(["a*"]))
    assert ScopeSet(["a"]) != ScopeSet(["a*"])


def test_adding_scopes():
    """A set with more scopes is another set, unless it has them all."""
    given = ScopeSet(["a", "b:*"])
    assert given.with_scopes(["a"]) is given
    assert given.with_scopes(["b:c", "d"]) == ScopeSet(["a", "b:*", "d"])
    assert (ScopeSet(["*"]).everything, ScopeSet(["**", "a*"]).everything) == (True, False)


def test_membership_is_refused_rather_than_misunderstood():
    """`in` would miss what patterns imply, so it raises and names the right question."""
    with pytest.raises(TypeError, match="satisfies"):
        "a" in ScopeSet(["*"])


def test_valid_scopes():
    """A scope is text of printable ASCII; a line break, even at the end, is not."""
    assert valid_scope("")
    assert valid_scope(" ~*")
    assert not valid_scope("a\n")
    assert not valid_scope("é")
    assert not valid_scope(3)
    with pytest.raises(InvalidScopeError, match="printable ASCII"):
        validate(["fine", "not\tfine"])
