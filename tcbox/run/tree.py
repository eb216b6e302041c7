"""The tasks as a tree, each below the last of those that it needs, with its state. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from tcbox.run.graph import BLOCKED, LEFT_OUT, SKIPPED, Node

_MARKS = {
    "completed": ("✓", "32"), "failed": ("✗", "31"), "exception": ("✗", "31"), "running": ("●", "36"), "pending": ("○", "33"),
    "unscheduled": ("·", "2"), SKIPPED: ("-", "33"), BLOCKED: ("-", "31"), LEFT_OUT: ("-", "2"),
}  # fmt: skip
_URGENT = ("running", "failed", "exception", "pending")
_PAINT = re.compile(r"(\x1b\[[0-9;]*m)")
Paint = Callable[[str, str], str]


def lines(nodes: Mapping[str, Node], now: int, paint: Paint) -> list[str]:
    """All tasks, a line each."""
    return [_line(node, depth, now, paint) for node, depth in _walk(nodes)]


def moving(nodes: Mapping[str, Node], now: int, paint: Paint, *, columns: int, rows: int) -> list[str]:
    """What fits below the logs: the whole tree, or what matters most of it; the counts always."""
    most = max(1, rows // 2 - 1)
    walked = [(node, depth) for node, depth in _walk(nodes) if node.state != LEFT_OUT]
    if len(walked) > most:
        chosen = sorted(walked, key=lambda each: _URGENT.index(each[0].state) if each[0].state in _URGENT else len(_URGENT))[:most]
        kept = {node.task_id for node, _ in chosen if node.state in _URGENT}
        walked = [(node, 0) for node, _ in walked if node.task_id in kept]
    return [cut(each, columns - 1) for each in (*(_line(node, depth, now, paint) for node, depth in walked), counts(nodes.values(), paint))]


def counts(nodes: Iterable[Node], paint: Paint) -> str:
    """How many tasks are in each state."""
    states = [node.state for node in nodes]
    found = [(state, states.count(state)) for state in _MARKS if state in states]
    return "  ".join(paint(f"{number} {state}", _MARKS[state][1]) for state, number in found)


def mark(state: str, paint: Paint) -> str:
    """A sign for a state, to be told from others also without colour."""
    sign, colour = _MARKS[state]
    return paint(sign, colour)


def told(node: Node, now: int) -> str:
    """A task's state in words, with how long it ran."""
    words = node.state
    if node.started and node.state in ("running", "completed", "failed", "exception"):
        words += f" {_duration((node.ended or now) - node.started)}"
    if node.run > 0:
        words += f", run {node.run}"
    return words + (f" ({node.why})" if node.why else "")


def _duration(milliseconds: int) -> str:
    seconds = max(0, milliseconds) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def _line(node: Node, depth: int, now: int, paint: Paint) -> str:
    words = told(node, now)
    return f"{'  ' * depth}{mark(node.state, paint)} {node.label}  {paint(words, '2' if node.state in ('completed', 'unscheduled', LEFT_OUT) else '0')}"


def _walk(nodes: Mapping[str, Node]) -> Iterable[tuple[Node, int]]:
    depths: dict[str, int] = {}

    def depth(task_id: str) -> int:
        """The longest way to a task that needs none."""
        stack = [task_id]
        while stack:
            each = stack[-1]
            needs = [need for need in nodes[each].needs if need in nodes and need != each]
            left = [need for need in needs if need not in depths and need not in stack]
            if left:
                stack.append(left[0])
                continue
            depths[each] = max((depths.get(need, 0) + 1 for need in needs), default=0)
            stack.pop()
        return depths[task_id]

    below: dict[str, list[str]] = {}
    for task_id, node in nodes.items():
        depth(task_id)
        needs = [need for need in node.needs if need in nodes and need != task_id]
        parent = max(needs, key=depth) if needs else ""
        below.setdefault(parent, []).append(task_id)
    stack = [(task_id, 0) for task_id in reversed(below.get("", []))]
    seen: set[str] = set()
    while stack:
        task_id, at = stack.pop()
        if task_id not in seen:
            seen.add(task_id)
            yield nodes[task_id], at
            stack += [(each, at + 1) for each in reversed(below.get(task_id, []))]


def cut(text: str, columns: int) -> str:
    """A line that is no longer than the terminal is wide; colours do not count."""
    room, made = columns, []
    for part in _PAINT.split(text):
        if part.startswith("\x1b"):
            made.append(part)
        else:
            made.append(part[: max(0, room)])
            room -= len(part)
    return "".join(made)
