"""What differs between two states, thing by thing and property by property."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

from tcbox import clock as clocks
from tcbox.state.model import KINDS, MINIMUM, Kind, State, plain


class Missing:
    """Stands for what is not there."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()
Path = tuple[str | int, ...]
ADDED, CHANGED, REMOVED = "added", "changed", "removed"


class Change(NamedTuple):
    """One property that differs; in a set or a list, one element that is in one of them alone."""

    path: Path
    before: Any
    after: Any


class Difference(NamedTuple):
    """One thing that differs.

    Attributes:
        changes: of a thing that is in both.
    """

    kind: Kind
    name: str
    what: Literal["added", "changed", "removed"]
    changes: tuple[Change, ...] = ()


def without(state: State, ignored: Collection[str]) -> State:
    """A state without hooks' `schedules`, or worker pools' `min-capacity`."""
    if "schedules" in ignored and state.hooks is not None:
        state = dataclasses.replace(state, hooks={name: dataclasses.replace(hook, schedule=()) for name, hook in state.hooks.items()})
    if "min-capacity" in ignored and state.workerPools is not None:
        pools = {name: dataclasses.replace(pool, config=_without_minimum(pool.config)) for name, pool in state.workerPools.items()}
        state = dataclasses.replace(state, workerPools=pools)
    return state


def _without_minimum(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != MINIMUM}


def differences(before: State, after: State) -> list[Difference]:
    """All that differs, of the kinds of which both say something, by kind and name."""
    return [each for kind in KINDS for each in _of_kind(kind, before.things(kind), after.things(kind))]


def _of_kind(kind: Kind, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[Difference]:
    if before is None or after is None:
        return
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield Difference(kind, name, "added")
        elif name not in after:
            yield Difference(kind, name, "removed")
        elif found := changes(before[name], after[name]):
            yield Difference(kind, name, "changed", tuple(found))


def changes(before: Any, after: Any) -> list[Change]:
    """The properties in which two things of a kind differ."""
    one, other = _comparable(before), _comparable(after)
    found = []
    for name in one:
        compare = _sets if name == "scopes" else _values
        found += compare((name,), one[name], other[name])
    return found


def _comparable(thing: Any) -> dict[str, Any]:
    found = plain(thing)
    if "expires" in found:
        found["expires"] = clocks.to_wire(clocks.from_wire(found["expires"]))
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal: neither the order of keys matters, nor whether a number has a point."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _sets(path: Path, before: Sequence[str], after: Sequence[str]) -> list[Change]:
    gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    return [*(Change(path, each, MISSING) for each in gone), *(Change(path, MISSING, each) for each in new)]


def _values(path: Path, before: Any, after: Any) -> list[Change]:
    if same(before, after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name in [*before, *(each for each in after if each not in before)]:
            if name not in before or name not in after:
                found.append(Change((*path, name), before.get(name, MISSING), after.get(name, MISSING)))
            else:
                found += _values((*path, name), before[name], after[name])
        return found
    if isinstance(before, list) and isinstance(after, list):
        return _lists(path, before, after)
    return [Change(path, before, after)]


def _lists(path: Path, before: list[Any], after: list[Any]) -> list[Change]:
    """Elements that came, went, or changed in their place."""
    found: list[Change] = []
    matcher = SequenceMatcher(None, [_key(each) for each in before], [_key(each) for each in after], autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "replace" and end - start == new_end - new_start:
            for at in range(end - start):
                found += _values((*path, start + at), before[start + at], after[new_start + at])
        elif tag != "equal":
            found += [Change((*path, at), before[at], MISSING) for at in range(start, end)]
            found += [Change((*path, at), MISSING, after[at]) for at in range(new_start, new_end)]
    if not found and not same(before, after):
        found.append(Change(path, before, after))
    return found


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
