"""What is to be done so that an instance has a state: a pure function of what it has and what it is to have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tcbox import clock as clocks
from tcbox.state.comparing import Difference, differences
from tcbox.state.model import CLIENTS, HOOKS, MINIMUM, SECRETS, WORKER_POOLS, Client, Hook, Kind, State, WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a state is to be put in.

    Attributes:
        schedules: give hooks their schedules; otherwise those that are there keep theirs, and new ones get none.
        min_capacity: the same for the worker pools' minimum capacity, which is 0 for new ones.
        prune: remove what is there and not in the state.
        providers: which provider of the target stands for one of the state.
        keep: the client that is never removed: the caller's own.
    """

    schedules: bool = False
    min_capacity: bool = False
    prune: bool = False
    providers: Mapping[str, str] = field(default_factory=dict)
    keep: str = ""


class Off(NamedTuple):
    """What is not put in unless a flag says so.

    Attributes:
        wanted: as the state has it.
        kept: as the target has it, and goes on having it.
        flag: what puts it in.
    """

    kind: Kind
    name: str
    what: str
    wanted: Any
    kept: Any
    flag: str


class LeftOut(NamedTuple):
    """What cannot be put in."""

    kind: Kind
    name: str
    why: str


class Step(NamedTuple):
    """One thing to create, update or delete.

    Attributes:
        thing: as it is to be; None for one that goes.
        before: as it is; None for a new one.
    """

    action: Literal["create", "update", "delete"]
    kind: Kind
    name: str
    thing: Any = None
    before: Any = None

    def __str__(self) -> str:
        return f"{self.kind.word} {self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to be done.

    Attributes:
        differences: the same as the steps, for who reads it.
        same: how many things are as they are to be.
        others: how many are there that the state does not name, and stay.
        missing_providers: those that pools of the state name and the target has not, with their types as far as they are known.
    """

    steps: tuple[Step, ...]
    differences: tuple[Difference, ...]
    off: tuple[Off, ...]
    left_out: tuple[LeftOut, ...]
    same: int
    others: int
    missing_providers: Mapping[str, str]


def plan(wanted: State, there: State, providers: Mapping[str, str] | None, wishes: Wishes, now: int) -> Plan:
    """What brings an instance from what is there to what is wanted.

    Args:
        there: the target's state, of all kinds that the wanted one has.
        providers: the target's providers of machines; None when nobody may know.
        now: ms since the epoch.
    """
    off: list[Off] = []
    left_out: list[LeftOut] = []
    made: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for kind in wanted.kinds:
        adjusted = {}
        for name, thing in (wanted.things(kind) or {}).items():
            if _expired(kind, thing, now):
                left_out.append(LeftOut(kind, name, f"it expired at {thing.expires}"))
            elif kind is WORKER_POOLS and providers is not None and (provider := _provider(thing, wishes)) not in providers:
                left_out.append(LeftOut(kind, name, f"the target has no provider {provider}"))
                missing[provider] = wanted.providers.get(thing.providerId, "")
            else:
                adjusted[name], more = _adjusted(kind, name, thing, (there.things(kind) or {}).get(name), wishes)
                off += more
        made[kind.key] = adjusted
    goal = dataclasses.replace(wanted, **made)
    passed = {(each.kind, each.name) for each in left_out}
    found = differences(there.part(wanted.kinds, wanted.prefixes), goal)
    others = [each for each in found if each.what == "removed" and ((each.kind, each.name) in passed or not wishes.prune or _own(each, wishes))]
    todo = [each for each in found if each not in others]
    total = sum(goal.count().values())
    same = total - sum(each.what != "removed" for each in todo)
    unnamed = sum((each.kind, each.name) not in passed for each in others)
    return Plan(tuple(_steps(todo, there, goal)), tuple(todo), tuple(off), tuple(left_out), same, unnamed, missing)


def _own(difference: Difference, wishes: Wishes) -> bool:
    return difference.kind is CLIENTS and difference.name == wishes.keep


def _steps(todo: list[Difference], there: State, goal: State) -> Iterator[Step]:
    action: Mapping[str, Literal["create", "update", "delete"]] = {"added": "create", "changed": "update", "removed": "delete"}
    for each in todo:
        thing, before = (goal.things(each.kind) or {}).get(each.name), (there.things(each.kind) or {}).get(each.name)
        yield Step(action[each.what], each.kind, each.name, thing, before)


def _expired(kind: Kind, thing: Any, now: int) -> bool:
    """Whether a thing would be gone as soon as it was put in."""
    goes = kind is SECRETS or (kind is CLIENTS and thing.deleteOnExpiration)
    return goes and clocks.from_wire(thing.expires) <= now


def _provider(pool: WorkerPool, wishes: Wishes) -> str:
    return wishes.providers.get(pool.providerId, pool.providerId)


def _adjusted(kind: Kind, name: str, thing: Any, before: Any, wishes: Wishes) -> tuple[Any, list[Off]]:
    """A thing as it is put in, and what of it is not."""
    if kind is HOOKS and not wishes.schedules:
        return _without_schedule(name, thing, before)
    if kind is WORKER_POOLS:
        pool = dataclasses.replace(thing, providerId=_provider(thing, wishes))
        return (pool, []) if wishes.min_capacity else _without_minimum(name, pool, before)
    return thing, []


def _without_schedule(name: str, hook: Hook, before: Hook | None) -> tuple[Hook, list[Off]]:
    kept = before.schedule if before is not None else ()
    if kept == hook.schedule:
        return hook, []
    return dataclasses.replace(hook, schedule=kept), [Off(HOOKS, name, "schedule", list(hook.schedule), list(kept), "--schedules")]


def _without_minimum(name: str, pool: WorkerPool, before: WorkerPool | None) -> tuple[WorkerPool, list[Off]]:
    if MINIMUM not in pool.config:
        return pool, []
    wanted, kept = pool.config[MINIMUM], before.config.get(MINIMUM, 0) if before is not None else 0
    if wanted == kept:
        return pool, []
    return dataclasses.replace(pool, config={**pool.config, MINIMUM: kept}), [Off(WORKER_POOLS, name, MINIMUM, wanted, kept, "--min-capacity")]


def turns(step: Step) -> str:
    """The method that turns a client on or off with a step; empty when it stays as it is."""
    if not isinstance(step.thing, Client):
        return ""
    was = isinstance(step.before, Client) and step.before.disabled
    return "" if was == step.thing.disabled else "disableClient" if step.thing.disabled else "enableClient"
