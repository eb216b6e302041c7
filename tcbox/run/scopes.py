"""Which scopes tasks need to be created, and what a role is given when there is none. Pure.

Source: the published scopes of `queue.createTask`; the convention is what roles of repositories have on public instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tcbox.run.plan import Entry, Plan, queue
from tcbox.scopes import ScopeSet

PRIORITIES = ("highest", "very-high", "high", "medium", "low", "very-low", "lowest")
CONVENTION = (
    "assume:hook-id:*",
    "assume:project:*",
    "docker-worker:*",
    "generic-worker:*",
    "in-tree:hook-action:*",
    "index:*",
    "object:*",
    "project:*",
    "purge-cache:*",
    "queue:cancel-task:*",
    "queue:create-task:*",
    "queue:get-artifact:*",
    "queue:rerun-task:*",
    "queue:route:*",
    "queue:schedule-task:*",
    "queue:scheduler-id:*",
    "queue:seal-task-group:*",
    "secrets:get:*",
    "worker:*",
)
"""What a role that a task may assume is given on a throwaway instance: the tasks that it will make are not known."""


def needed(task: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What creating a task takes: of each tuple, one."""
    priority = str(task.get("priority") or "lowest")
    rank = PRIORITIES.index(priority) if priority in PRIORITIES else len(PRIORITIES) - 1
    choices = tuple(f"queue:create-task:{each}:{queue(task)}" for each in reversed(PRIORITIES[: rank + 1]))
    rest = [f"queue:create-task:project:{task.get('projectId') or 'none'}", f"queue:scheduler-id:{task.get('schedulerId') or '-'}"]
    rest += [f"queue:route:{route}" for route in task.get("routes") or []]
    rest += [str(scope) for scope in task.get("scopes") or []]
    return [choices, *((each,) for each in dict.fromkeys(rest))]


def missing(task: Mapping[str, Any], held: ScopeSet) -> list[str]:
    """The scopes that are needed and not held, each the least of those that would do."""
    return [choices[0] for choices in needed(task) if not any(held.satisfies(each) for each in choices)]


def used(task: Mapping[str, Any], held: ScopeSet) -> list[str]:
    """The scopes that are needed, held or not."""
    return [next((each for each in choices if held.satisfies(each)), choices[0]) for choices in needed(task)]


def lacking(entries: Iterable[Entry], held: ScopeSet) -> list[str]:
    """All that is missing for some task."""
    return sorted({scope for entry in entries for scope in missing(entry.task, held)})


def assumed(entries: Iterable[Entry]) -> list[str]:
    """The roles that tasks may assume."""
    scopes = {str(scope) for entry in entries for scope in entry.task.get("scopes") or []}
    return sorted(scope.removeprefix("assume:") for scope in scopes if scope.startswith("assume:") and scope != "assume:*")


def grants(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The roles that a plan needs on an instance that has none, and what is in them."""
    assert plan.scopes is not None
    held = ScopeSet(plan.scopes)
    made: dict[str, tuple[str, ...]] = {name: _without_itself(name, CONVENTION) for name in assumed(plan.entries)}
    if plan.role is not None:
        exact = lacking(plan.entries, held)
        made[plan.role] = _without_itself(plan.role, sorted({*exact, *made.get(plan.role, ())}))
    return {name: scopes for name, scopes in made.items() if scopes}


def _without_itself(name: str, scopes: Iterable[str]) -> tuple[str, ...]:
    """What a role may have: none by which it would assume itself."""
    return tuple(scope for scope in scopes if not ScopeSet([scope]).satisfies(f"assume:{name}"))
