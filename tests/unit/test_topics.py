"""Topic patterns, as AMQP 0-9-1 defines them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox.events import topics


@pytest.mark.parametrize(
    ("pattern", "key", "taken"),
    [
        ("#", "", True), ("#", "a.b.c", True), ("*", "a", True), ("*", "a.b", False), ("a.*", "a.b", True), ("a.*", "a", False),
        ("a.#", "a", True), ("a.#", "a.b.c", True), ("#.c", "a.b.c", True), ("#.c", "c", True), ("a.#.c", "a.c", True),
        ("a.#.c", "a.x.y.c", True), ("a.#.c", "a.x.y", False), ("*.*.c", "a.b.c", True), ("primary.*.x", "primary._.x", True),
        ("route.index.a.b", "route.index.a.b", True), ("a.b", "axb", False), ("#.#", "a", True),
    ],
)  # fmt: skip
def test_patterns(pattern, key, taken):
    """`*` takes one word, `#` any number of words, all else itself."""
    assert topics.matches(pattern, key) is taken


def naive(pattern, key):
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(naive(pattern[1:], key[i:]) for i in range(len(key) + 1))
    return bool(key) and pattern[0] in ("*", key[0]) and naive(pattern[1:], key[1:])


words = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6)


@given(st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=6), words)
def test_agrees_with_the_definition(pattern, key):
    """For any pattern and key of at least one word, the compiled pattern agrees with the naive definition."""
    assert topics.matches(".".join(pattern), ".".join(key)) is naive(pattern, key), re.escape(".".join(pattern))
