"""An instance's set-up as values, with the names that the API has for things and their properties.

What an instance makes by itself or counts is no part of it: access tokens, times of change and use, expanded scopes, numbers of
workers. The classes are also the form of a file, read by `tcbox.state.reading`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from tcbox import errors
from tcbox.config.values import Form

VERSION = 1
"""Of the form of files."""
STATIC = "static/"
"""What the ids of clients begin with that come from an instance's own configuration; they are no part of what is copied."""
GOING = "null-provider"
"""The provider of worker pools that are on their way out."""

MINIMUM = "minCapacity"
"""The key of a worker pool's configuration by which machines run though no task waits."""

Name = Annotated[str, Form(r"[\x20-\x7e]+", "printable ASCII letters")]
Scope = Annotated[str, Form(r"[\x20-\x7e]*", "a scope, of printable ASCII letters")]
Time = Annotated[
    str, Form(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", "a time with its zone, such as 2099-01-01T00:00:00.000Z")
]  # fmt: skip
Object = Mapping[str, Any]
"""JSON of any form: it comes out as it went in."""


def _any_payload_but_none() -> Object:
    return {"type": "object", "additionalProperties": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role; its scopes are a set."""

    description: str = ""
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client, without its access token."""

    description: str = ""
    expires: Time
    deleteOnExpiration: bool = False
    disabled: bool = False
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a hook is, for people."""

    name: str
    description: str
    owner: str
    emailOnError: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Messages that fire a hook."""

    exchange: str
    routingKeyPattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A hook, under `<hookGroupId>/<hookId>`."""

    metadata: Metadata
    schedule: tuple[str, ...] = ()
    bindings: tuple[Binding, ...] = ()
    task: Object
    triggerSchema: Object = field(default_factory=_any_payload_but_none)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """A worker pool."""

    description: str = ""
    owner: str
    emailOnError: bool = False
    providerId: str
    config: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret."""

    expires: Time
    secret: Object = field(repr=False)


Thing = Role | Client | Hook | WorkerPool | Secret


class Kind(NamedTuple):
    """A kind of things.

    Attributes:
        name: as flags have it.
        key: as files have it.
        word: one of them, in words.
    """

    name: str
    key: str
    word: str


ROLES = Kind("roles", "roles", "role")
CLIENTS = Kind("clients", "clients", "client")
HOOKS = Kind("hooks", "hooks", "hook")
WORKER_POOLS = Kind("worker-pools", "workerPools", "worker pool")
SECRETS = Kind("secrets", "secrets", "secret")
KINDS = (ROLES, CLIENTS, HOOKS, WORKER_POOLS, SECRETS)
"""In the order in which they are made: each needs only what is before it."""
OPEN = KINDS[:-1]
"""Those that are no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What an instance is set up with, or a part of it.

    Attributes:
        prefixes: what the names begin with that it is about; none when it is about all names.
        providers: the types of the providers that worker pools name, as far as they are known.
        roles, clients, hooks, workerPools, secrets: things by name; None when it says nothing of the kind.
    """

    version: int = VERSION
    prefixes: tuple[str, ...] = ()
    providers: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[Name, Role] | None = None
    clients: Mapping[Name, Client] | None = None
    hooks: Mapping[Name, Hook] | None = None
    workerPools: Mapping[Name, WorkerPool] | None = None
    secrets: Mapping[str, Secret] | None = None

    def things(self, kind: Kind) -> Mapping[str, Any] | None:
        """Those of a kind by name; None when nothing is said of them."""
        found: Mapping[str, Any] | None = getattr(self, kind.key)
        return found

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of which something is said, be it that there are none."""
        return [kind for kind in KINDS if self.things(kind) is not None]

    def about(self, name: str) -> bool:
        """Whether a name is one of those that this is about."""
        return begins(name, self.prefixes)

    def part(self, kinds: Iterable[Kind], prefixes: Sequence[str] = ()) -> State:
        """What it says of these kinds, and of names that begin so.

        Raises TcboxError when it says nothing of names that begin so.
        """
        chosen = set(kinds)
        made: dict[str, Any] = {kind.key: _named(self.things(kind), prefixes) if kind in chosen else None for kind in KINDS}
        kept = dataclasses.replace(self, prefixes=_both(self.prefixes, prefixes), **made)
        return dataclasses.replace(kept, providers=used_providers(kept))

    def count(self) -> dict[str, int]:
        """How many things there are of each kind, by its name."""
        return {kind.name: len(self.things(kind) or {}) for kind in self.kinds}


def begins(name: str, prefixes: Sequence[str]) -> bool:
    """Whether a name begins with one of these; every name does when there are none."""
    return not prefixes or name.startswith(tuple(prefixes))


def _both(own: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """What the names begin with that are meant by both."""
    found = {each for each in asked if begins(each, own)} | {each for each in own if begins(each, asked)}
    if own and asked and not found:
        raise errors.TcboxError(f"it is about names that begin with {' or '.join(own)} alone: leave out --prefix {' --prefix '.join(asked)}, or give others")
    return tuple(sorted(found))


def used_providers(state: State) -> dict[str, str]:
    """The types of the providers that its worker pools name, but of the one that every instance has."""
    used = {pool.providerId for pool in (state.workerPools or {}).values()} - {"static"}
    return {name: state.providers[name] for name in sorted(used & state.providers.keys())}


def plain(thing: Any, *, short: bool = False) -> dict[str, Any]:
    """A thing as JSON has it, its properties in their order.

    Args:
        short: leave out what is as it is when nothing is said; what is free of form never is.
    """
    found = {}
    for item in dataclasses.fields(thing):
        value = getattr(thing, item.name)
        if not (short and item.default is not dataclasses.MISSING and value == item.default):
            found[item.name] = _plain(value, short=short)
    return found


def _plain(value: Any, *, short: bool) -> Any:
    if dataclasses.is_dataclass(value):
        return plain(value, short=short)
    if isinstance(value, tuple):
        return [_plain(each, short=short) for each in value]
    return value


def _named(things: Mapping[str, Any] | None, prefixes: Sequence[str]) -> dict[str, Any] | None:
    return None if things is None else {name: thing for name, thing in things.items() if begins(name, prefixes)}
