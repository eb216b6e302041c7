"""Who signed a request, and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tcbox.scopes import Expression, Rendered, ScopeSet, satisfied

Expand = Callable[[Iterable[str]], ScopeSet]

ANONYMOUS = ScopeSet(["assume:anonymous"])
NO_CLIENT = "auth-failed:no-auth"  # the published stand-in for the client id of a request without credentials

_REASONS = (
    ("not found", "client_not_found"),
    ("signature", "invalid_signature"),
    ("Bad mac", "invalid_signature"),
    ("timestamp", "timestamp_error"),
    ("certificate", "certificate_error"),
    ("ext", "ext_validation_error"),
)


class SignedRequest(msgspec.Struct, frozen=True):
    """What of a request is signed. `resource` is path and query, as sent; host and port are as the client sees them."""

    method: str
    resource: str
    host: str
    port: int
    authorization: str | None = None
    source_ip: str = ""


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """A client that can sign. `scopes` are those it has with all its roles; `expires_ms` is in ms since the epoch."""

    client_id: str
    access_token: str
    scopes: ScopeSet
    expires_ms: int
    disabled: bool = False


class LazyScopes:
    """A caller's scopes, whose roles are expanded only when a question needs it.

    Args:
        base: scopes that the caller surely has.
        expand: gives them with all that their roles add; None when nothing is to be added, not even `assume:anonymous`,
            which else every caller may.
    """

    __slots__ = ("_expand", "_expanded", "base")

    def __init__(self, base: ScopeSet, expand: Expand | None = None) -> None:
        self.base = base
        self._expand = expand
        self._expanded: ScopeSet | None = None

    def allow(self, expression: Expression, params: Mapping[str, Any]) -> bool:
        """Whether the caller satisfies a scope expression for these parameters; raises ExpressionError if they do not fit it."""
        return expression.satisfied(self.base, params) or (self._expand is not None and expression.satisfied(self.expanded, params))

    def satisfied(self, rendered: Rendered) -> bool:
        """Whether the caller satisfies a rendered scope expression."""
        return satisfied(self.base, rendered) or (self._expand is not None and satisfied(self.expanded, rendered))

    def limited(self, authorized: ScopeSet) -> LazyScopes | None:
        """These scopes alone, with what their roles add; None when the caller does not have all of them."""
        has = self.base.satisfies_all(authorized) or self.expanded.satisfies_all(authorized)
        return LazyScopes(authorized, self._expand) if has else None

    @property
    def expanded(self) -> ScopeSet:
        """All scopes of the caller."""
        if self._expanded is None:
            self._expanded = self.base if self._expand is None else self._expand(self.base.union(ANONYMOUS))
        return self._expanded

    def __repr__(self) -> str:
        return f"LazyScopes({list(self.base)!r})"


class Success(msgspec.Struct, frozen=True):
    """The request is who it says it is, or anonymous.

    Attributes:
        scheme: how it was signed; `none` for an anonymous request.
        client_id: for records, never for decisions.
        expires_ms: when the credentials end; what is handed out on their strength should end no later.
        hash: of the body, as signed, to be compared with the body that came; None when the body is not signed.
    """

    scheme: Literal["hawk", "bewit", "none"]
    client_id: str
    expires_ms: int
    scopes: LazyScopes
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The request's credentials are not valid; the message says why."""

    message: str

    @property
    def reason(self) -> str:
        """The kind of failure, as published metrics name it."""
        return next((reason for word, reason in _REASONS if word in self.message), "other")
