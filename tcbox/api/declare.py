"""The declaration of an API method, and what a service's declarations make together.

A declaration stands above the coroutine that answers it. From it alone derive routing, checks, references, docs
and clients; one that disagrees with its coroutine's signature fails when its module is imported.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from tcbox import scopes as scope_sets

Stability = Literal["stable", "experimental", "deprecated"]
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
ScopeTemplate = str | dict[str, Any]

PARAMETER = re.compile(r"<(\w+)>")
PAGING = {"continuationToken": ".", "limit": r"^[0-9]{1,15}$"}
_END = re.compile(r"(\\.|\[(?:\\.|[^\]\\])*\])|\$", re.DOTALL)


def pattern(text: str) -> re.Pattern[str]:
    """A published pattern, as JavaScript reads it: `$` is the end alone, and no place before a last line break."""
    return re.compile(_END.sub(lambda found: found[1] or r"\Z", text))


def published(compiled: re.Pattern[str]) -> str:
    """The text that `pattern` was given."""
    return compiled.pattern.replace(r"\Z", "$")


@dataclass(frozen=True, eq=False)
class Method:
    """One method of a service's API, as published.

    Attributes:
        params: the names in the route, in order.
        input, output: names of schemas, or "blob" for an output that is no JSON.
        query: the query parameters it takes, each with the pattern that its value must match.
        eager: its coroutine never waits for anything but a bounded read, so it is run without a task of its own.
        conceal: the request's body must not stand in an error reply or a log.
        empty: the route's last parameter may be empty.
        also: another route, of long ago, that leads here too and stands in no reference; a colon may follow a parameter in it.
        published: whether it stands in the service's references; one that does not is there for old clients alone.
        patient: it may wait long before it answers, and is cancelled when its caller goes away.
        advice: for JSON pointers into the body, such as "/name", what a caller is told beside a fault there.
    """

    service: str
    name: str
    verb: str
    route: str
    title: str
    description: str
    category: str
    stability: Stability
    input: str | None
    output: str | None
    scopes: ScopeTemplate | None
    query: Mapping[str, re.Pattern[str]]
    eager: bool
    conceal: bool
    patient: bool
    empty: bool
    also: str | None
    published: bool
    advice: Mapping[str, str]
    attribute: str
    params: tuple[str, ...] = field(init=False)
    expression: scope_sets.Expression | None = field(init=False)
    by_route: bool = field(init=False)

    def __post_init__(self) -> None:
        expression = scope_sets.compile(self.scopes) if self.scopes is not None else None
        params = tuple(PARAMETER.findall(self.route))
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "expression", expression)
        object.__setattr__(self, "by_route", expression is not None and expression.params <= set(params))


class Api:
    """All methods of one service.

    Args:
        service: the name in URLs, such as "worker-manager".
        params: for each route parameter that has a form, the pattern that the whole value must match.
    """

    version = "v1"

    def __init__(self, service: str, *, title: str, description: str, params: Mapping[str, str] | None = None) -> None:
        self.service = service
        self.title = title
        self.description = inspect.cleandoc(description)
        self.params = {name: pattern(text) for name, text in (params or {}).items()}
        self.methods: dict[str, Method] = {}

    def get(self, route: str, **declaration: Any) -> Callable[[Handler], Handler]:
        """Declare a method that reads. The keywords are those of `declare`."""
        return self.declare("get", route, **declaration)

    def put(self, route: str, **declaration: Any) -> Callable[[Handler], Handler]:
        """Declare a method that makes or replaces. The keywords are those of `declare`."""
        return self.declare("put", route, **declaration)

    def post(self, route: str, **declaration: Any) -> Callable[[Handler], Handler]:
        """Declare a method that does something. The keywords are those of `declare`."""
        return self.declare("post", route, **declaration)

    def delete(self, route: str, **declaration: Any) -> Callable[[Handler], Handler]:
        """Declare a method that removes. The keywords are those of `declare`."""
        return self.declare("delete", route, **declaration)

    def declare(
        self,
        verb: str,
        route: str,
        *,
        name: str,
        category: str = "",
        input: str | None = None,  # noqa: A002 - the published word
        output: str | None = None,
        scopes: ScopeTemplate | None = None,
        query: Sequence[str] | Mapping[str, str] = (),
        stability: Stability = "stable",
        eager: bool = False,
        conceal: bool = False,
        patient: bool = False,
        empty: bool = False,
        also: str | None = None,
        published: bool = True,
        advice: Mapping[str, str] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declare the coroutine below as a method.

        The coroutine takes `self`, the `Call`, and each route parameter by name; its docstring's first line is the
        published title, the rest the description. `query` lists paging parameters, or maps names to patterns.

        Raises TypeError when declaration and signature disagree, or when the name is taken.
        """

        def decorate(handler: Handler) -> Handler:
            title, _, description = inspect.cleandoc(handler.__doc__ or "").partition("\n")
            texts = query if isinstance(query, Mapping) else {key: PAGING[key] for key in query}
            patterns = {key: pattern(text) for key, text in texts.items()}
            method = Method(
                service=self.service, name=name, verb=verb, route=route, title=title, description=description.strip(),
                category=category or self.title, stability=stability, input=input, output=output, scopes=scopes,
                query=patterns, eager=eager, conceal=conceal, patient=patient, empty=empty, also=also, published=published,
                advice=advice or {}, attribute=handler.__name__,
            )  # fmt: skip
            self._check(method, handler)
            self.methods[name] = method
            handler.__api_method__ = method  # type: ignore[attr-defined]
            return handler

        return decorate

    def _check(self, method: Method, handler: Callable[..., Any]) -> None:
        where = f"{method.service}.{method.name} ({handler.__module__}.{handler.__qualname__})"
        takes = list(inspect.signature(handler).parameters)[2:]
        if takes != list(method.params):
            raise TypeError(f"{where}: the route {method.route} has the parameters {list(method.params)}, its coroutine takes {takes}: make them agree")
        if method.also is not None and tuple(PARAMETER.findall(method.also)) != method.params:
            raise TypeError(f"{where}: the routes {method.route} and {method.also} have other parameters, or in another order: make them agree")
        if not inspect.iscoroutinefunction(handler):
            raise TypeError(f"{where}: a method is a coroutine: write 'async def'")
        if not method.title:
            raise TypeError(f"{where}: the docstring's first line is the published title: write one")
        if method.name in self.methods:
            raise TypeError(f"{where}: there is a method {method.name} already: choose another name")

    def bind(self, *families: object) -> dict[str, Callable[..., Awaitable[Any]]]:
        """The bound coroutine of every declared method, by name, found on the given objects.

        Raises TypeError when a declared method is on none of them.
        """
        bound: dict[str, Callable[..., Awaitable[Any]]] = {}
        for name, method in self.methods.items():
            for family in families:
                if getattr(getattr(type(family), method.attribute, None), "__api_method__", None) is method:
                    bound[name] = getattr(family, method.attribute)
                    break
        missing = sorted(set(self.methods) - set(bound))
        if missing:
            raise TypeError(f"{self.service}: no object was given for the methods {', '.join(missing)}")
        return bound
