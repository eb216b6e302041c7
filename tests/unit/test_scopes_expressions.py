"""Scope expressions: rendering templates, and checking what they became."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox.scopes import ExpressionError, ScopeSet, satisfied, satisfying, unsatisfied
from tcbox.scopes import compile as compile_expression

CREATE = {
    "AllOf": [
        {"for": "scope", "in": "scopes", "each": "<scope>"},
        "queue:scheduler-id:<schedulerId>",
        {"AnyOf": [{"for": "p", "in": "priorities", "each": "queue:create-task:<p>:<pool>"}]},
        {"if": "private", "then": {"AllOf": ["private:<a.b>"]}},
    ]
}


@pytest.mark.parametrize(
    ("template", "params", "rendered"),
    [
        ("a", {}, "a"),
        ("a:<b>", {"b": "c"}, "a:c"),
        ("a:<b>/<c>-", {"b": "x", "c": 7}, "a:x/7-"),
        ("a:<b.c>", {"b": {"c": "x"}}, "a:x"),
        ("<..>:<1>", {}, "<..>:<1>"),
        ("a:<b>", {"b": "<b>"}, "a:<b>"),
        ({"AllOf": [{"for": "x", "in": "xs", "each": "s:<x>"}, "t"]}, {"xs": []}, {"AllOf": ["t"]}),
        ({"AnyOf": [{"for": "x", "in": "xs", "each": "s:<x>:<y>"}]}, {"xs": ["1", "2"], "y": "z"}, {"AnyOf": ["s:1:z", "s:2:z"]}),
        ({"if": "p", "then": "a"}, {"p": False}, None),
        ({"if": "p", "then": "a"}, {"p": True}, "a"),
        ({"if": "p", "then": "a:<x>", "else": {"AnyOf": ["b"]}}, {"p": False}, {"AnyOf": ["b"]}),
        ({"AllOf": [{"if": "p", "then": "a"}, "b"]}, {"p": False}, {"AllOf": ["b"]}),
        (
            CREATE,
            {"scopes": ["s", "t"], "schedulerId": "-", "priorities": ["low"], "pool": "a/b", "private": True, "a": {"b": "c"}},
            {"AllOf": ["s", "t", "queue:scheduler-id:-", {"AnyOf": ["queue:create-task:low:a/b"]}, {"AllOf": ["private:c"]}]},
        ),
    ],
)
def test_rendering(template, params, rendered):
    """Parameters are filled in, loops spliced, conditions taken or dropped; None when nothing is needed."""
    assert compile_expression(template).render(params) == rendered


def test_params():
    """An expression names what it needs from outside: not a loop's own variable."""
    assert compile_expression(CREATE).params == {"scopes", "schedulerId", "priorities", "pool", "private", "a.b"}
    assert compile_expression("a").params == set()


@pytest.mark.parametrize(
    ("template", "params", "message"),
    [
        ("a:<b>", {}, "'b'"),
        ("a:<b>:<c>", {"b": "x"}, "give the parameter 'c'"),
        ("a:<b.c>", {"b": {}}, "'b.c'"),
        ("a:<b>", {"b": True}, "'b' must be text or a number"),
        ("a:<b>", {"b": None}, "'b' must be text or a number"),
        ({"AllOf": [{"for": "x", "in": "xs", "each": "<x>"}]}, {"xs": "text"}, "'xs' must be a list"),
        ({"AllOf": [{"for": "x", "in": "xs", "each": "<x>"}]}, {"xs": [None]}, "'x' must be text"),
        ({"if": "p", "then": "a"}, {"p": "true"}, "'p' must be true or false"),
    ],
)
def test_parameters_that_do_not_fit_are_named(template, params, message):
    """A missing parameter, or one of the wrong type, is named, with the template that needs it."""
    with pytest.raises(ExpressionError, match=message):
        compile_expression(template).render(params)


@pytest.mark.parametrize(
    "template",
    [
        3,
        None,
        {},
        {"AllOf": "a"},
        {"AllOf": [], "AnyOf": []},
        {"for": "x", "in": "xs", "each": "a"},
        {"if": "x"},
        {"AllOf": [{"for": "x", "in": "x", "each": {}}]},
    ],
)
def test_malformed_templates_are_refused(template):
    """What is no scope expression is refused when it is declared."""
    with pytest.raises(ExpressionError):
        compile_expression(template)


@pytest.mark.parametrize(
    ("held", "expression", "left", "used"),
    [
        (["a*"], "ab", None, ["ab"]),
        (["a"], "b", "b", None),
        ([], {"AllOf": []}, None, []),
        ([], {"AnyOf": []}, {"AnyOf": []}, None),
        (["a"], {"AllOf": ["a", "b"]}, "b", None),
        (["a"], {"AllOf": ["a", "b", "c"]}, {"AllOf": ["b", "c"]}, None),
        (["a", "c"], {"AnyOf": ["a", "b", "c"]}, None, ["a", "c"]),
        (["z"], {"AnyOf": ["a", {"AllOf": ["z", "b"]}]}, {"AnyOf": ["a", "b"]}, None),
        (["a", "z"], {"AnyOf": ["a", {"AllOf": ["z", "b"]}]}, None, ["a"]),
    ],
)
def test_checking(held, expression, left, used):
    """An expression is satisfied, or what is missing is left of it; and the scopes it used are told."""
    scopes = ScopeSet(held)
    assert satisfied(scopes, expression) == (left is None)
    assert unsatisfied(scopes, expression) == left
    got = satisfying(scopes, expression)
    assert (got and list(got)) == (used and list(used)) if used else (got is None) == (used is None)


TREES = st.recursive(
    st.text("ab", max_size=2),
    lambda inner: st.builds(lambda key, parts: {key: parts}, st.sampled_from(["AllOf", "AnyOf"]), st.lists(inner, max_size=3)),
    max_leaves=8,
)


@given(st.lists(st.text("ab*", max_size=2), max_size=4), TREES)
def test_the_three_checks_agree(held, tree):
    """What is satisfied leaves nothing; what it used suffices; and adding what is left satisfies."""
    scopes = ScopeSet(held)
    left, used = unsatisfied(scopes, tree), satisfying(scopes, tree)
    assert satisfied(scopes, tree) == (used is not None) == (left is None)
    if used is not None:
        assert satisfied(used, tree)
    elif satisfied(ScopeSet(["*"]), tree):
        assert satisfied(scopes.union(satisfying(ScopeSet(["*"]), left)), tree)
