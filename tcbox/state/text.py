"""Differences and plans for people, and for scripts. What a secret holds is never shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tcbox import log
from tcbox.state.comparing import ADDED, CHANGED, MISSING, REMOVED, Change, Difference
from tcbox.state.model import SECRETS, State
from tcbox.state.planning import Off, Plan

SIGNS = {ADDED: "+", CHANGED: "!", REMOVED: "-"}
_LONGEST = 200
_CONCEALED = "secret"


def listed(differences: Sequence[Difference], after: State) -> Iterator[str]:
    """A line for each thing that differs, and below it one for each property."""
    for each in differences:
        yield log.plain(f"{SIGNS[each.what]} {each.kind.word} {each.name}{_brief(each, after)}")
        yield from _properties(each)


def _brief(difference: Difference, after: State) -> str:
    thing = (after.things(difference.kind) or {}).get(difference.name)
    scopes = getattr(thing, "scopes", None)
    if difference.what != ADDED or scopes is None:
        return ""
    return f"  ({len(scopes)} scope{'' if len(scopes) == 1 else 's'})"


def _properties(difference: Difference) -> Iterator[str]:
    concealed = False
    for change in difference.changes:
        if difference.kind is SECRETS and change.path[0] == _CONCEALED:
            if not concealed:
                yield "    secret: holds something else (not shown)"
            concealed = True
        else:
            yield log.plain(f"    {_change(change)}")


def _change(change: Change) -> str:
    path = ".".join(map(str, change.path))
    if change.before is MISSING:
        return f"{path}: + {_short(change.after)}"
    if change.after is MISSING:
        return f"{path}: - {_short(change.before)}"
    return f"{path}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def as_json(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """The same for scripts."""
    return [
        {"kind": each.kind.name, "name": each.name, "change": each.what, "properties": [_property(each, change) for change in each.changes]}
        for each in differences
    ]


def _property(difference: Difference, change: Change) -> dict[str, Any]:
    if difference.kind is SECRETS and change.path[0] == _CONCEALED:
        return {"path": [_CONCEALED]}
    values = {"before": change.before, "after": change.after}
    return {"path": list(change.path), **{name: value for name, value in values.items() if value is not MISSING}}


def planned(plan: Plan, goal: State) -> Iterator[str]:
    """What a plan changes, what stays off, and what cannot be put in."""
    yield from listed(plan.differences, goal)
    for off in plan.off:
        yield log.plain(f"  {off.kind.word} {off.name}: {_off(off)}")
    for left in plan.left_out:
        yield log.plain(f"  {left.kind.word} {left.name} is left out: {left.why}")
    if plan.missing_providers:
        yield f"  {how_to_have(plan)}; or say with --provider which of the target's stands for one"


def _off(off: Off) -> str:
    return f"{off.what} is {_short(off.wanted)} there, and {'stays' if off.kept else 'is'} {_short(off.kept)} here; {off.flag} sets it"


def how_to_have(plan: Plan) -> str:
    """What makes the providers known without which pools are left out."""
    named = ", ".join(f"{name}: {{type: {kind or 'aws, azure or google'}}}" for name, kind in sorted(plan.missing_providers.items()))
    return f"to have these pools too, add to the target's tcbox.yml: providers: {{{named}}}"


def counted(plan: Plan, *, done: bool) -> str:
    """A plan in one line."""
    numbers = {what: sum(each.what == what for each in plan.differences) for what in SIGNS}
    words = {ADDED: "created", CHANGED: "changed", REMOVED: "deleted"} if done else {ADDED: "to create", CHANGED: "to change", REMOVED: "to delete"}
    parts = [f"{count} {words[what]}" for what, count in numbers.items() if count] or ["nothing to change"]
    if plan.same or not plan.differences:
        parts.append(f"{plan.same} the same")
    for flag, what in (("--schedules", "schedule"), ("--min-capacity", "minimum capacity")):
        if count := sum(each.flag == flag for each in plan.off):
            parts.append(f"{count} {what if count == 1 else {'schedule': 'schedules', 'minimum capacity': 'minimum capacities'}[what]} left off")
    if plan.left_out:
        parts.append(f"{len(plan.left_out)} left out")
    if plan.others:
        parts.append(f"{plan.others} there that the source does not name")
    return ", ".join(parts)


def as_numbers(plan: Plan) -> dict[str, int]:
    """The same for scripts."""
    made = {name: sum(each.what == what for each in plan.differences) for name, what in (("created", ADDED), ("changed", CHANGED), ("deleted", REMOVED))}
    return {**made, "same": plan.same, "leftOff": len(plan.off), "leftOut": len(plan.left_out), "others": plan.others}
