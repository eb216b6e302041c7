"""The tasks of a run, as the queue has them; those that tasks create in the same group are among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tcbox import clock as clocks
from tcbox.client import Caller
from tcbox.run import kinds, plan
from tcbox.run.kinds import Unserved

SKIPPED, BLOCKED, LEFT_OUT = "skipped", "blocked", "left out"
"""States that the queue does not know: nothing here can run it; what it needs will never be; nobody asked for it."""
_RESOLVED = ("completed", "failed", "exception")
FINAL = (*_RESOLVED, SKIPPED, BLOCKED, LEFT_OUT)


@dataclass(slots=True)
class Node:
    """A task.

    Attributes:
        state: the queue's, or one of those above.
        why: what is to be known of its state.
        run: the number of its newest run, -1 before there is one.
        ends: the newest lines of its log.
    """

    task_id: str
    task: dict[str, Any]
    label: str
    state: str = "unscheduled"
    why: str = ""
    run: int = -1
    started: int = 0
    ended: int = 0
    ends: deque[str] = field(default_factory=lambda: deque(maxlen=400))

    @property
    def final(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state in FINAL

    @property
    def needs(self) -> list[str]:
        """The tasks that it depends on."""
        return plan.needs(self.task)


class Graph:
    """What is known of the tasks of some groups.

    Args:
        groups: their ids.
        roots: the tasks that were created for the run, by their ids; all others were created by tasks.
        unserved: says why nothing can run a task, None when something can.
        only: names of tasks; anything that they do not need is left out. Empty for all.
    """

    def __init__(self, groups: Iterable[str], roots: Iterable[str], unserved: Callable[[Mapping[str, Any]], Unserved | None], only: Iterable[str] = ()) -> None:
        self.nodes: dict[str, Node] = {}
        self._groups = tuple(dict.fromkeys(groups))
        self._roots = frozenset(roots)
        self._unserved = unserved
        self._only = tuple(only)

    async def refresh(self, caller: Caller) -> list[Node]:
        """Ask the queue; gives those whose state has changed."""
        before = {node.task_id: (node.state, node.run) for node in self.nodes.values()}
        for group in self._groups:
            token: str | None = None
            while True:
                page = await caller.call("queue", "listTaskGroup", group, query={"continuationToken": token} if token else None)
                for each in page["tasks"]:
                    self._take(each["status"], each["task"])
                token = page.get("continuationToken")
                if not token:
                    break
        self.settle()
        return [node for node in self.nodes.values() if before.get(node.task_id) != (node.state, node.run)]

    def _take(self, status: Mapping[str, Any], task: dict[str, Any]) -> None:
        node = self.nodes.get(status["taskId"])
        if node is None:
            node = self.nodes[status["taskId"]] = Node(status["taskId"], task, plan.label(task, status["taskId"]))
        if node.state in (SKIPPED, BLOCKED, LEFT_OUT) and status["state"] not in _RESOLVED:
            return
        runs = status["runs"]
        node.state, node.run = status["state"], len(runs) - 1
        if not runs:
            return
        last = runs[-1]
        node.started = clocks.from_wire(last["started"]) if "started" in last else 0
        node.ended = clocks.from_wire(last["resolved"]) if "resolved" in last else 0
        reason = last.get("reasonResolved", "")
        node.why = reason if reason not in ("completed", "failed") else ""

    def settle(self) -> None:
        """Find what will never run."""
        chosen = self._chosen()
        for node in self.nodes.values():
            if node.final or node.state == "running":
                continue
            if chosen is not None and node.task_id not in chosen:
                if not self._growing(chosen):
                    node.state = LEFT_OUT
                continue
            unserved = self._unserved(node.task)
            if unserved is not None:
                node.state, node.why = SKIPPED, unserved.why
        changed = True
        while changed:
            changed = False
            for node in self.nodes.values():
                lost = self._lost(node) if node.state == "unscheduled" else None
                if lost is not None:
                    node.state, node.why, changed = BLOCKED, f"needs {lost.label}, which is {lost.state}", True

    def _lost(self, node: Node) -> Node | None:
        """A task by whose end, or by the lack of one, another will never be scheduled."""
        resolved = node.task.get("requires") == "all-resolved"
        for need in node.needs:
            other = self.nodes.get(need)
            if other is not None and need != node.task_id and other.final and not (other.state == "completed" or (resolved and other.state in _RESOLVED)):
                return other
        return None

    def _chosen(self) -> set[str] | None:
        """The tasks that are wanted, with what they need and with those that may yet make some; None for all."""
        if not self._only:
            return None
        wanted = {node.task_id for node in self.nodes.values() if plan.named(node.label, node.task_id, self._only)}
        makers = set() if self._found(wanted) else {each for each in self._roots & self.nodes.keys() if plan.makes_tasks(self.nodes[each].task)}
        return plan.closure({node.task_id: node.needs for node in self.nodes.values()}, wanted | makers)

    def _found(self, wanted: set[str]) -> bool:
        return bool(wanted) and all(any(plan.named(self.nodes[each].label, each, [pattern]) for each in wanted) for pattern in self._only)

    def _growing(self, chosen: set[str]) -> bool:
        """Whether a task that can create others runs, or will."""
        makers = (node for node in self.nodes.values() if not node.final and plan.makes_tasks(node.task))
        return any(node.state == "running" or (node.state == "pending" and node.task_id in chosen) for node in makers)

    @property
    def unknown(self) -> list[str]:
        """The names that were asked for and that no task has."""
        return [each for each in self._only if not any(plan.named(node.label, node.task_id, [each]) for node in self.nodes.values())]

    @property
    def done(self) -> bool:
        """Whether nothing more will happen."""
        return bool(self.nodes) and all(node.final for node in self.nodes.values())

    def ready(self) -> list[Node]:
        """The tasks that could run now, the most urgent first."""
        chosen = self._chosen()
        rank = {name: index for index, name in enumerate(("highest", "very-high", "high", "medium", "low", "very-low"))}
        found = [node for node in self.nodes.values() if node.state == "pending" and (chosen is None or node.task_id in chosen)]
        return sorted(found, key=lambda node: rank.get(str(node.task.get("priority")), len(rank)))


def unserved(task: Mapping[str, Any], *, served: Callable[[str], bool], docker: str) -> Unserved | None:
    """Why nothing can run a task.

    Args:
        served: whether the instance's own workers serve a task queue.
        docker: why there is no Docker engine, empty when there is one.
    """
    if served(plan.queue(task)):
        return None
    kind = kinds.serving(task)
    if isinstance(kind, Unserved):
        return kind
    if kind == kinds.BUILTIN:
        return Unserved("the instance's worker for built-in tasks does not run")
    return Unserved(docker) if kind == kinds.DOCKER and docker else None
