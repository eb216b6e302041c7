"""Scope expressions checked while they are rendered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox import scopes
from tcbox.scopes import ScopeSet

TEMPLATES = [
    "a:<x>",
    "a:<x>:100%:<o.y>",
    {"AllOf": ["a:<x>", {"for": "v", "in": "list", "each": "<v>"}, {"if": "yes", "then": "b", "else": "c"}]},
    {"AllOf": [{"for": "v", "in": "list", "each": "a:<v>:<x>"}, {"AnyOf": [{"for": "v", "in": "list", "each": "b:<v>"}, "c"]}]},
    {"AnyOf": [{"AllOf": ["a:<x>", "b"]}, {"if": "yes", "then": {"AnyOf": ["c", "b:<x>"]}}]},
    {"AnyOf": [{"for": "v", "in": "list", "each": "<v>"}]},
    {"if": "yes", "then": {"AllOf": ["a:<x>", "b"]}},
]
WORD = st.sampled_from(["a", "b", "c", "x", "1"])
HELD = st.lists(st.sampled_from(["a:*", "a:a", "a:b:*", "b", "b:*", "b:a", "c", "a", "x", "*", "a:a:100%:b"]), max_size=4)


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
@given(held=HELD, x=WORD, y=WORD, listed=st.lists(WORD, max_size=3), yes=st.booleans())
def test_the_decision_is_that_of_the_rendered_expression(template, held, x, y, listed, yes):
    """A check decides as the rendered expression does, for any scopes and parameters; one that asks for nothing is satisfied."""
    params = {"x": x, "o": {"y": y}, "list": listed, "yes": yes}
    expression = scopes.compile(template)
    rendered = expression.render(params)
    assert expression.satisfied(ScopeSet(held), params) is (rendered is None or scopes.satisfied(ScopeSet(held), rendered))
    assert rendered is not None or expression.conditional


@pytest.mark.parametrize(
    ("params", "told"), [({}, "give the parameter 'list', 'x'"), ({"x": None}, "must be text or a number"), ({"x": "1", "list": 3}, "must be a list")]
)
def test_parameters_that_do_not_fit_are_told(params, told):
    """A parameter that is missing or of the wrong kind is an error, also where only the decision is asked for."""
    with pytest.raises(scopes.ExpressionError, match=told):
        scopes.compile({"AllOf": ["<x>", {"for": "v", "in": "list", "each": "<v>"}]}).satisfied(ScopeSet(["*"]), params)
