"""Says which tasks there are, what runs each, and which scopes they take. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tcbox.run import kinds, plan, scopes
from tcbox.run.kinds import Unserved
from tcbox.run.plan import Plan
from tcbox.run.screen import Screen
from tcbox.scopes import ScopeSet

if TYPE_CHECKING:
    from tcbox.run.instance import Target

HOOK = "the hook {} would be fired besides; it is not here"
Reason = Callable[[Mapping[str, Any]], Unserved | None]


def listed(made: Plan, unserved: Reason, screen: Screen) -> None:
    """The tasks, one a line."""
    if not made.entries:
        screen.say("there are no tasks for this event")
    labels = {entry.task_id: entry.label for entry in made.entries}
    width = max((len(entry.label) for entry in made.entries), default=0)
    for entry in made.entries:
        needs = [labels.get(each, each) for each in entry.needs]
        after = f"  after {', '.join(needs)}" if needs else ""
        screen.say(f"{screen.bold(f'{entry.label:<{width}}')}  {entry.queue}  {_runner(entry.task, unserved, screen)}{screen.dim(after)}")
    if any(plan.makes_tasks(entry.task) for entry in made.entries):
        screen.say(screen.dim("tasks that these create are known when they run"))
    for hook in made.hooks:
        screen.say(screen.dim(HOOK.format(hook)))


def _runner(task: Mapping[str, Any], unserved: Reason, screen: Screen) -> str:
    reason = unserved(task)
    if reason is not None:
        return screen.paint(f"skipped: {reason.why}", "33")
    kind = kinds.serving(task)
    return "the instance's own worker" if isinstance(kind, Unserved) else {"docker": "in a container", "host": "on this machine"}.get(kind, kind)


def explained(made: Plan, held: ScopeSet, unserved: Reason, screen: Screen, *, ours: bool) -> list[str]:
    """Each task with the scopes that it takes; gives those that are missing."""
    for entry in made.entries:
        screen.say(f"{screen.bold(entry.label)}  {screen.dim(entry.task_id)}")
        screen.say(f"  {entry.queue}  {_runner(entry.task, unserved, screen)}")
        lacking = set(scopes.missing(entry.task, held))
        lacked = screen.paint("given  ", "33") if ours else screen.paint("missing", "31")
        for scope in scopes.used(entry.task, held):
            screen.say(f"  {lacked if scope in lacking else screen.paint('has    ', '32')} {scope}")
    if made.scopes is not None:
        screen.say(f"created with {', '.join(made.scopes)}")
    missing = scopes.lacking(made.entries, held) if made.scopes is not None else []
    if missing and made.role is not None:
        where = f"a throwaway instance gives the role {made.role}" if ours else f"{len(missing)} scopes are missing of the role {made.role}"
        screen.say(f"{where}:")
        for scope in scopes.grants(made).get(made.role, ()) if ours else missing:
            screen.say(f"  {scope}")
    return missing


def refusal(made: Plan, missing: list[str], target: Target, before: Mapping[str, Any] | None) -> str:
    """Why a plan cannot be created on an instance of somebody's, and what mends it.

    Args:
        before: the role as it is there; None when it is not.
    """
    listed = "\n".join(f"  {scope}" for scope in missing)
    whose = f"the role {made.role}" if made.role else "the repository's role"
    lacks = f"{whose} on the instance at {target.root_url} lacks scopes that the tasks need:\n{listed}\n"
    if made.role is None:
        return f"{lacks}give it these at {target.root_url}/auth/roles, or run with --ephemeral, which makes the role"
    import yaml

    about = before or {"description": "What tcbox run needs for the tasks of this repository.", "scopes": []}
    role = {"description": about["description"], "scopes": sorted({*about["scopes"], *missing})}
    text = yaml.safe_dump({"version": 1, "roles": {made.role: role}}, sort_keys=False, width=1000)
    return (
        f"{lacks}run with --ephemeral, which makes the role on a throwaway instance; or give it these there, at {target.root_url}/auth/roles, or by "
        f"saving what follows as role.yml, and: tcbox state import role.yml --data {shlex.quote(str(target.data))}\n{text.rstrip()}"
    )
