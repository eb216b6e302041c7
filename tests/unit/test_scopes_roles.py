"""Roles: expansion to the end, patterns, parameters, and circles refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcbox.scopes import RoleCycle, RoleGrowth, Roles, RoleScopeError, ScopeSet, check_cycles, growth, normalise
from tcbox.scopes.kept import Kept


def naive(roles, scopes):
    """Expansion by its definition: apply each rule to each scope until nothing new comes."""
    everything = {f"assume:{role_id}": granted for role_id, granted in roles.items()}
    have, waiting = set(scopes), list(scopes)
    while waiting:
        scope = waiting.pop()
        star = scope.endswith("*")
        stem = scope[:-1] if star else scope
        for rule, granted in everything.items():
            if rule.endswith("*") and stem.startswith(rule[:-1]):
                rest = scope[len(rule) - 1 :]
            elif rule == scope or (star and rule.removesuffix("*").startswith(stem)):
                rest = "*"
            else:
                continue
            if rule.endswith("*"):
                granted = [one.partition("<..>")[0] + rest if "<..>" in one and rest.endswith("*") else one.replace("<..>", rest) for one in granted]
            fresh = set(granted) - have
            have |= fresh
            waiting += fresh
    return normalise(have)


ROLE_IDS = st.text("ab*", min_size=1, max_size=4)
GIVEN = st.one_of(
    st.builds(
        lambda before, rest, after: f"assume:{before}{rest}{after}",
        st.text("ab", max_size=3),
        st.sampled_from(["", "<..>"]),
        st.sampled_from(["", "a", "*", "b*"]),
    ),
    st.builds(
        lambda before, rest, after: f"X{before}{rest}{after}", st.text("ab*", max_size=2), st.sampled_from(["", "<..>"]), st.sampled_from(["", "a", "*"])
    ),
)
ROLES = st.dictionaries(ROLE_IDS, st.lists(GIVEN, max_size=3), max_size=6)
HELD = st.lists(st.one_of(ROLE_IDS.map(lambda role_id: f"assume:{role_id}"), st.sampled_from(["*", "as*", "assume*", ":*", "b"])), max_size=3)


def made(roles):
    try:
        return Roles(roles)
    except (RoleCycle, RoleScopeError):
        return None


@settings(max_examples=1500, deadline=None)
@given(ROLES, HELD)
def test_expansion_is_what_its_definition_says(roles, held):
    """The compiled roles give what applying every rule until nothing changes gives."""
    compiled = made(roles)
    if compiled is not None:
        assert compiled.expand(held).scopes == naive(roles, held)
        assert compiled.expand(ScopeSet(held)).scopes == naive(roles, held)


@settings(max_examples=500, deadline=None)
@given(ROLES, ROLE_IDS, st.none() | st.lists(GIVEN, max_size=3), HELD)
def test_replacing_a_role_is_building_anew(roles, role_id, scopes, held):
    """A replaced, added or removed role gives, and refuses, what roles built from scratch would."""
    compiled = made(roles)
    if compiled is None:
        return
    after = {key: value for key, value in roles.items() if key != role_id} | ({} if scopes is None else {role_id: scopes})
    expected = made(after)
    if expected is None:
        with pytest.raises((RoleCycle, RoleScopeError)):
            compiled.replace(role_id, scopes)
    else:
        assert compiled.replace(role_id, scopes).expand(held) == expected.expand(held)
        assert len(compiled.replace(role_id, scopes)) == len(after)
    assert compiled.expand(held).scopes == naive(roles, held)


@pytest.mark.parametrize(
    ("roles", "held", "expected"),
    [
        ({}, ["c*", "a", "b"], ["a", "b", "c*"]),
        ({"a": ["A"], "aa": ["AA"], "b": ["B"]}, ["assume:a"], ["A", "assume:a"]),
        ({"a": ["A"], "aa": ["AA"], "a*": ["S"], "b": ["B"]}, ["assume:a*"], ["A", "AA", "S", "assume:a*"]),
        ({"*": ["S"], "a*": ["A"], "ab*": ["AB"]}, ["assume:a"], ["A", "S", "assume:a"]),
        ({"a": ["A"], "b": ["B"]}, ["assu*"], ["A", "B", "assu*"]),
        ({"a": ["A"]}, [":*"], [":*"]),
        ({"a": ["A"]}, ["*"], ["*"]),
        ({"a*": ["A<..>"]}, ["assume:abc"], ["Abc", "assume:abc"]),
        ({"a*": ["A<..>"]}, ["assume:a"], ["A", "assume:a"]),
        ({"a*": ["A<..>X"]}, ["assume:abc"], ["AbcX", "assume:abc"]),
        ({"a*": ["A<..>X"]}, ["assume:abc*"], ["Abc*", "assume:abc*"]),
        ({"abc*": ["A<..>X"]}, ["assume:a*"], ["A*", "assume:a*"]),
        ({"a*b": ["1"], "a*bc": ["2"], "ab": ["3"]}, ["assume:a*b*"], ["1", "2", "assume:a*b*"]),
        ({"a": ["A<..>"]}, ["assume:a"], ["A<..>", "assume:a"]),
        ({"a*": ["A$<..>"]}, ["assume:a$&"], ["A$$&", "assume:a$&"]),
        ({"r:*": ["assume:s:<..>:x"], "s:*": ["S:<..>"], "s:p:x": ["P"]}, ["assume:r:p"], ["P", "S:p:x", "assume:r:p", "assume:s:p:x"]),
    ],
)
def test_expansion(roles, held, expected):
    """Role ids and what is assumed may both end in a star; `<..>` is the rest, and swallows what follows when it ends in one."""
    assert list(Roles(roles).expand(held)) == expected


@pytest.mark.parametrize(
    ("roles", "cycle"),
    [
        ({"a": ["assume:a"]}, ["assume:a", "assume:a"]),
        ({"a": ["*"]}, ["assume:a", "assume:a"]),
        ({"a": ["assume:c"], "b": ["assume:c"], "c": ["assume:a"]}, ["assume:a", "assume:c", "assume:a"]),
        ({"a*": ["assume:b<..>"], "b*": ["assume:a<..>x"]}, ["assume:a*", "assume:b*", "assume:a*"]),
        ({"ab": ["assume:a*"]}, ["assume:ab", "assume:ab"]),
        ({"a*": ["assume:ab"]}, ["assume:a*", "assume:a*"]),
        ({"a": ["assume:c"], "c*": ["assume:<..>"]}, ["assume:a", "assume:c*", "assume:a"]),
    ],
)
def test_circles_are_refused(roles, cycle):
    """Roles that assume each other in a circle are refused, with the circle."""
    with pytest.raises(RoleCycle) as refused:
        check_cycles(roles)
    assert refused.value.cycle == cycle
    assert "' -> '".join(cycle) in str(refused.value)


@pytest.mark.parametrize("scope", ["assume:b*<..>", "b<..>c<..>", "b<..><..>", "b<..>c<..>d"])
def test_a_rest_without_meaning_is_refused(scope):
    """`<..>` twice, or after a final star, is refused, and the scope named; without a star in the role id it is just text."""
    with pytest.raises(RoleScopeError, match="role 'a\\*'") as refused:
        check_cycles({"a*": [scope]})
    assert refused.value.scope == scope
    check_cycles({"a": [scope]})


def test_long_chains():
    """A chain of 2,000 roles expands to its end."""
    roles = Roles({f"r{number}:": [f"assume:r{number + 1}:", f"s{number}"] for number in range(2000)})
    assert len(roles.expand(["assume:r0:"])) == 4001


def test_the_result_is_remembered():
    """Asked twice, the same set object is answered, and scopes beside the roles are not lost."""
    roles = Roles({"a": ["A"]})
    assert roles.expand(("assume:a", "x")) is roles.expand(["assume:a", "x"])
    assert roles.expand(("assume:a", "y")).scopes == ("A", "assume:a", "y")


def test_who_may_everything_is_not_given_each_scope_of_each_role():
    """What has `*` is answered as it is: after each change of a role, all scopes of all roles would be gathered anew."""
    held = ScopeSet(["*", "a:b"])
    assert Roles({f"r{n}": [f"s:{n}"] for n in range(3)}).expand(held) is held
    assert Roles({"r": ["s"]}).expand(["*"]).scopes == ("*",)


def doubling(steps, prefix="p/"):
    """Roles of which each has two scopes that assume the next."""
    return {f"{prefix}{n}-*": [f"assume:{prefix}{n + 1}-<..>x", f"assume:{prefix}{n + 1}-<..>y"] for n in range(steps)}


def test_roles_that_multiply_are_not_expanded_to_the_end():
    """Roles that double at each step are given up soon, with the name of one; what does not come by them is expanded."""
    roles = Roles(doubling(40) | {"a": ["A"]})
    with pytest.raises(RoleGrowth, match="the role 'p/") as refused:
        roles.expand(["assume:p/0-a"])
    assert refused.value.role_id in doubling(40)
    assert roles.expand(["assume:a", "assume:p/39-a"]).scopes == ("A", "assume:a", "assume:p/39-a", "assume:p/40-ax", "assume:p/40-ay")
    assert roles.expand(["assume:*"]).scopes == ("A", "assume:*")


def test_a_long_rest_counts_for_as_much_as_it_fills():
    """What is filled in by a very long rest is bounded in characters, not in scopes."""
    roles = Roles({"p*": [f"s{n}:<..>" for n in range(100)]})
    assert len(roles.expand(["assume:p" + "a" * 1000])) == 101
    with pytest.raises(RoleGrowth):
        roles.expand(["assume:p" + "a" * 100_000])


def test_roles_are_refused_when_they_begin_to_multiply():
    """The role with which it gets too much is refused wherever it stands in the chain; roles beside it, and what mends it, are not."""
    steps, whole = growth.MOST_GROWTH.bit_length(), doubling(40)
    for missing in (0, 3, steps - 1):
        name = f"p/{missing}-*"
        before = Roles({key: value for key, value in doubling(steps).items() if key != name})
        with pytest.raises(RoleGrowth):
            before.replace(name, whole[name])
        before.replace(name, ["plain"]).replace("q", ["assume:p/39-"])
    short = Roles(doubling(steps - 2))
    assert max(short.growth().values()) <= growth.MOST_GROWTH
    with pytest.raises(RoleGrowth, match="'many'"):
        short.replace("many", [f"assume:p/0-{n}" for n in range(9)])
    stored = Roles(whole)
    assert stored.replace("a*", ["A<..>"]).expand(["assume:ab"]).scopes == ("Ab", "assume:ab")
    with pytest.raises(RoleGrowth):
        stored.replace("p/1-*", [*whole["p/1-*"], "more"])
    mended = stored.replace("p/20-*", None).replace("p/10-*", ["s:<..>"])
    assert len(mended.expand(["assume:p/3-a"])) == 2**8 - 1 + 2**7


@settings(max_examples=500, deadline=None)
@given(ROLES, st.text("ab", min_size=1, max_size=4))
def test_growth_is_never_less_than_what_is_filled(roles, held):
    """Of no role is less counted than an expansion really fills in."""
    compiled = made({role_id: [scope for scope in given if "<..>" in scope] for role_id, given in roles.items() if role_id.endswith("*")})
    if compiled is not None:
        counted = sum(compiled.growth().get(rule.role_id, 0) for rule, _ in compiled.matching(held))
        assert len(compiled.expand([f"assume:{held}"])) - 1 <= counted


def test_many_roles_with_parameters_expand_for_who_may_assume_all():
    """Who holds `assume:*` has all that is stored, however much it is."""
    roles = Roles({f"r{n}:*": [f"s:{n}:{m}:<..>" for m in range(30)] for n in range(1000)})
    assert len(roles.expand(["assume:*"])) == 30_001


def test_what_is_kept_is_bounded_by_weight():
    """Expansions are kept up to a weight, the latest of them; one that would drive out most others, or came as a long list, is not kept."""
    roles = Roles({"all": [f"scope:{n}" for n in range(20_000)]})
    for n in range(100):
        roles.expand([f"assume:all{n}", "assume:all"])
    assert roles._expanded.taken <= 64 << 20
    assert len(roles._expanded) < 60
    before = len(roles._expanded), len(roles._walked)
    roles.expand([f"assume:all{n}" for n in range(200)])
    roles.expand(["a" * (9 << 20)])
    assert (len(roles._expanded), len(roles._walked)) == before
    credentials = ScopeSet([f"assume:all{n}" for n in range(200)])
    assert roles.expand(credentials) is roles.expand(ScopeSet(credentials.scopes)), "credentials come at each request"


def test_what_was_asked_last_is_kept():
    """The results that were not asked for the longest go first, by number and by weight."""
    kept = Kept(2, 800)
    for key, weight in (("a", 1), ("b", 2), ("heavy", 101), ("c", 100)):
        kept.keep(key, key, weight)
    assert (list(kept), kept.taken) == (["b", "c"], 102)
    kept = Kept(100, 800)
    for n in range(20):
        kept.keep(n, n, 100)
    assert (list(kept), kept.taken) == (list(range(12, 20)), 800)


def test_a_union_is_remembered_by_its_set_alone():
    """The same union is not made twice, and goes when its set goes."""
    some, other = ScopeSet(["a"]), ScopeSet(["b"])
    assert some.union(other) is some.union(other)
    assert some.union(ScopeSet(["c"])).scopes == ("a", "c")
    assert some.union(other).scopes == ("a", "b")
