"""Scope expressions: what a method needs, as a template, rendered for one call, and checked against a caller's scopes.

A template is published JSON: a scope with `<parameter>` in it; `{"AnyOf": […]}` and `{"AllOf": […]}`; inside these
`{"for": name, "in": parameter, "each": scope}`, one scope per value of a list; and `{"if": parameter, "then": …,
"else": …}`, where the parameter is a boolean. Rendered, only scopes, AnyOf and AllOf are left.
Source: the published references, and Taskcluster's manual on API methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcbox.scopes import checks, templates
from tcbox.scopes.sets import ScopeSet
from tcbox.scopes.templates import ExpressionError, Params

__all__ = ["Expression", "ExpressionError", "Params", "Rendered", "compile", "satisfied", "satisfying", "unsatisfied"]

Rendered = str | dict[str, list[Any]]
_Render = Callable[[Params], Any]  # gives a rendered expression, None for nothing, or a list to be spliced in


class Expression:
    """A compiled template.

    Attributes:
        template: the JSON it was made from.
        params: the names of the parameters it needs, dotted where it reaches into an object.
        conditional: whether it may turn out that nothing is needed.
    """

    __slots__ = ("_check", "conditional", "params", "render", "template")

    def __init__(self, template: Any) -> None:
        self.template = template
        needs: set[str] = set()
        made = _compile(template, needs, frozenset(), root=True)
        self.params = frozenset(needs)
        self.conditional = isinstance(template, dict) and "if" in template
        self.render: Callable[[Params], Rendered | None] = _guarded(made, template, self.params)
        """The expression for these parameters, or None when nothing is needed.

        Raises ExpressionError, which names the parameters that are missing or of the wrong type.
        """
        self._check = checks.compile(template)

    def satisfied(self, scopes: ScopeSet, params: Params) -> bool:
        """Whether the scopes satisfy the expression for these parameters, found out without rendering more than that needs.

        Raises ExpressionError, which names the parameters that are missing or of the wrong type.
        """
        try:
            return self._check(scopes, params) is not False
        except (ExpressionError, KeyError, TypeError) as error:
            raise _explained(error, self.template, self.params, params) from None

    def __repr__(self) -> str:
        return f"Expression({self.template!r})"


def compile(template: Any) -> Expression:  # noqa: A001 - as in re.compile
    """Compile a template; raises ExpressionError where it is malformed."""
    return Expression(template)


def satisfied(scopes: ScopeSet, rendered: Rendered) -> bool:
    """Whether the scopes satisfy a rendered expression. An empty AllOf is satisfied, an empty AnyOf never."""
    if isinstance(rendered, str):
        return scopes.satisfies(rendered)
    if "AllOf" in rendered:
        for part in rendered["AllOf"]:  # noqa: SIM110 - quicker than all()
            if not (scopes.satisfies(part) if type(part) is str else satisfied(scopes, part)):
                return False
        return True
    return any(satisfied(scopes, part) for part in rendered["AnyOf"])


def unsatisfied(scopes: ScopeSet, rendered: Rendered) -> Rendered | None:
    """What is left of a rendered expression without the scopes that are there; None when it is satisfied."""
    if isinstance(rendered, str):
        return None if scopes.satisfies(rendered) else rendered
    if "AllOf" in rendered:
        left = [rest for part in rendered["AllOf"] if (rest := unsatisfied(scopes, part)) is not None]
        if len(left) > 1:
            return {"AllOf": left}
        return left[0] if left else None
    choices = [unsatisfied(scopes, part) for part in rendered["AnyOf"]]
    if None in choices:
        return None
    return choices[0] if len(choices) == 1 else {"AnyOf": choices}


def satisfying(scopes: ScopeSet, rendered: Rendered) -> ScopeSet | None:
    """The scopes of the expression that are there, all branches of an AnyOf included; None when it is not satisfied."""
    used = _used(scopes, rendered)
    return None if used is None else ScopeSet(used)


def _used(scopes: ScopeSet, rendered: Rendered) -> list[str] | None:
    if isinstance(rendered, str):
        return [rendered] if scopes.satisfies(rendered) else None
    everything = "AllOf" in rendered
    parts = [_used(scopes, part) for part in rendered["AllOf" if everything else "AnyOf"]]
    found = [part for part in parts if part is not None]
    if (everything and len(found) < len(parts)) or not (everything or found):
        return None
    return [scope for part in found for scope in part]


def _compile(template: Any, needs: set[str], bound: frozenset[str], *, root: bool) -> _Render:
    if isinstance(template, str):
        return _string(template, needs, bound)
    keys = set(template) if isinstance(template, dict) else set()
    if keys in ({"AllOf"}, {"AnyOf"}):
        return _combination(template, next(iter(keys)), needs, bound)
    if keys == {"for", "in", "each"} and not root:
        return _loop(template, needs, bound)
    if keys in ({"if", "then"}, {"if", "then", "else"}):
        return _condition(template, needs, bound)
    raise ExpressionError(
        f"{template!r} is not a scope expression{' of its own' if root else ''}: write a scope, AnyOf, AllOf, if/then(/else), "
        "or, inside AnyOf and AllOf, for/in/each"
    )


def _string(template: str, needs: set[str], bound: frozenset[str]) -> templates.Scope:
    needs.update(name for name in templates.names(template) if name not in bound)
    return templates.scope(template)


def _combination(template: dict[str, Any], key: str, needs: set[str], bound: frozenset[str]) -> _Render:
    if not isinstance(template[key], list):
        raise ExpressionError(f"{key} takes a list of scope expressions, not {template[key]!r}")
    parts = [_compile(part, needs, bound, root=False) for part in template[key]]
    if all(isinstance(part, str) for part in template[key]):
        return lambda params: {key: [part(params) for part in parts]}

    def render(params: Params) -> dict[str, list[Any]]:
        made: list[Any] = []
        for part in parts:
            value = part(params)
            if isinstance(value, list):
                made += value
            elif value is not None:
                made.append(value)
        return {key: made}

    return render


def _loop(template: dict[str, Any], needs: set[str], bound: frozenset[str]) -> _Render:
    variable, source, each = template["for"], _parameter(template["in"], "in", needs, bound), template["each"]
    if not templates.is_name(variable) or not isinstance(each, str):
        raise ExpressionError(f"{template!r}: 'for' takes a name, 'each' one scope")
    part = _compile(each, needs, bound | {variable}, root=False)

    def render(params: Params) -> list[Any]:
        inner = dict(params)
        made = []
        for inner[variable] in templates.values(params, source):
            made.append(part(inner))
        return made

    return render


def _condition(template: dict[str, Any], needs: set[str], bound: frozenset[str]) -> _Render:
    name = _parameter(template["if"], "if", needs, bound)
    branches: dict[bool, _Render] = {True: _compile(template["then"], needs, bound, root=True), False: lambda _: None}
    if "else" in template:
        branches[False] = _compile(template["else"], needs, bound, root=True)

    def render(params: Params) -> Any:
        return branches[templates.truth(params, name)](params)

    return render


def _parameter(name: Any, key: str, needs: set[str], bound: frozenset[str]) -> str:
    if not isinstance(name, str) or not templates.is_name(name):
        raise ExpressionError(f"'{key}' takes the name of a parameter, not {name!r}")
    if name not in bound:
        needs.add(name)
    return name


def _guarded(render: _Render, template: Any, needs: frozenset[str]) -> _Render:
    def guarded(params: Params) -> Any:
        try:
            return render(params)
        except (ExpressionError, KeyError, TypeError) as error:
            raise _explained(error, template, needs, params) from None

    return guarded


def _explained(error: Exception, template: Any, needs: frozenset[str], params: Params) -> ExpressionError:
    """What the author of a method is told of parameters that do not fit."""
    if isinstance(error, ExpressionError):
        return ExpressionError(f"cannot render the scope expression {template!r}: {error}")
    missing = ", ".join(f"'{name}'" for name in sorted(needs) if not _present(params, name))
    return ExpressionError(f"cannot render the scope expression {template!r}: give the parameter {missing}")


def _present(params: Params, name: str) -> bool:
    try:
        templates.value_of(params, name)
    except (KeyError, TypeError):
        return False
    return True
