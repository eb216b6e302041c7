"""The tasks that a run begins with, and the scopes that they are made with. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tcbox.run.faults import WrongUsage


@dataclass(frozen=True, slots=True)
class Entry:
    """A task to be created."""

    task_id: str
    task: dict[str, Any]

    @property
    def label(self) -> str:
        """What people call it."""
        return label(self.task, self.task_id)

    @property
    def queue(self) -> str:
        """Its task queue."""
        return queue(self.task)

    @property
    def needs(self) -> list[str]:
        """The tasks that it depends on."""
        return needs(self.task)


@dataclass(frozen=True, slots=True)
class Plan:
    """Tasks in the order of their creation.

    Attributes:
        scopes: that they are created with; None when they are the owner's own.
        role: the role among these.
        hooks: names of hooks that would be fired besides.
    """

    entries: tuple[Entry, ...]
    scopes: tuple[str, ...] | None = None
    role: str | None = None
    hooks: tuple[str, ...] = ()

    def only(self, wanted: Iterable[str]) -> Plan:
        """The tasks of these names and what they depend on; all, when a task may make some that are meant.

        Raises WrongUsage when there can be none of a name.
        """
        patterns = list(wanted)
        chosen = {each.task_id for each in self.entries if named(each.label, each.task_id, patterns)}
        missing = [pattern for pattern in patterns if not any(named(each.label, each.task_id, [pattern]) for each in self.entries)]
        if missing:
            if any(makes_tasks(each.task) for each in self.entries):
                return self
            raise unknown(missing, [each.label for each in self.entries])
        keep = closure({each.task_id: each.needs for each in self.entries}, chosen)
        return replace(self, entries=tuple(each for each in self.entries if each.task_id in keep))


def unknown(missing: Iterable[str], known: Iterable[str]) -> WrongUsage:
    """The refusal of names that no task has."""
    listed = "\n".join(f"  {each}" for each in known)
    return WrongUsage(f"no task is called {' or '.join(missing)}; there are:\n{listed}" if listed else "there are no tasks for this event")


def label(task: Mapping[str, Any], task_id: str) -> str:
    """A task's name for people."""
    metadata = task.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return str(name) if name else task_id


def queue(task: Mapping[str, Any]) -> str:
    """The task queue of a definition."""
    named = task.get("taskQueueId")
    return str(named) if named else f"{task.get('provisionerId', '?')}/{task.get('workerType', '?')}"


def needs(task: Mapping[str, Any]) -> list[str]:
    """The tasks that a definition depends on."""
    return [each for each in task.get("dependencies") or [] if isinstance(each, str)]


def makes_tasks(task: Mapping[str, Any]) -> bool:
    """Whether a task has scopes by which it can create others."""
    return any(str(scope).startswith(("assume:", "queue:create-task:")) or scope == "*" for scope in task.get("scopes") or [])


def named(name: str, task_id: str, patterns: Iterable[str]) -> bool:
    """Whether a task is meant by a name, a taskId or a pattern with `*`."""
    return any(each in (name, task_id) or fnmatch.fnmatchcase(name, each) for each in patterns)


def closure(graph: Mapping[str, Iterable[str]], chosen: Iterable[str]) -> set[str]:
    """The chosen tasks and all that they depend on, directly or not."""
    found: set[str] = set()
    left = list(chosen)
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += graph.get(each, ())
    return found
