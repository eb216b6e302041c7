"""What becomes of a graph's tasks, and how it is shown."""

import io

import pytest

from tcbox.run import tree
from tcbox.run.graph import Graph, Node
from tcbox.run.kinds import Unserved
from tcbox.run.screen import Screen


def plain(text, code):
    return text


class Queue:
    """Answers listTaskGroup, two tasks a page."""

    def __init__(self, **tasks):
        self.tasks = tasks

    async def call(self, service, method, group, query=None):
        assert (service, method) == ("queue", "listTaskGroup")
        names = list(self.tasks)
        start = int((query or {}).get("continuationToken", 0))
        page = {"tasks": [self._of(name, *self.tasks[name]) for name in names[start : start + 2]]}
        return {**page, "continuationToken": str(start + 2)} if start + 2 < len(names) else page

    def _of(self, name, state, needs="", **more):
        task = {"taskQueueId": "p/q", "dependencies": list(needs), "metadata": {"name": f"task-{name}"}, **(more or {})}
        if name in self.more:
            task |= self.more[name]
        runs = [] if state == "unscheduled" else [{"state": state, "started": "2026-01-31T12:00:00.000Z", "reasonResolved": state}]
        return {"status": {"taskId": name, "state": state, "runs": runs}, "task": task}

    more: dict = {}


def graph(*roots, unserved=lambda task: None, only=()):
    return Graph(["g"], roots, unserved, only)


async def states(made, queue):
    await made.refresh(queue)
    return {name: node.state for name, node in made.nodes.items()}


async def test_blocked():
    """What needs a task that has failed will never run, and neither will what needs that; unless it asks for any end."""
    queue = Queue(a=("failed",), b=("unscheduled", "a"), c=("unscheduled", "b"), d=("unscheduled", "a"), e=("pending",))
    queue.more = {"d": {"requires": "all-resolved"}}
    made = graph(*"abcde")
    assert await states(made, queue) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "unscheduled", "e": "pending"}
    assert made.nodes["c"].why == "needs task-b, which is blocked"
    assert not made.done
    queue.tasks |= {"d": ("completed", "a"), "e": ("completed",)}
    await made.refresh(queue)
    assert made.done


async def test_skipped():
    """A task that nothing can run is skipped, with the reason, and what needs it is blocked, even if it asks for any end."""
    queue = Queue(a=("pending",), b=("unscheduled", "a"))
    queue.more = {"b": {"requires": "all-resolved"}}
    made = graph("a", "b", unserved=lambda task: Unserved("no such machine") if task["metadata"]["name"] == "task-a" else None)
    assert await states(made, queue) == {"a": "skipped", "b": "blocked"}
    assert made.nodes["a"].why == "no such machine"
    assert made.ready() == []
    assert made.done


async def test_only_of_tasks_that_are_made():
    """With a label that only a decision task makes, that runs first, then the label with what it needs, and the rest is left out."""
    queue = Queue(decide=("pending",), other=("pending",))
    queue.more = {"decide": {"scopes": ["assume:x"]}}
    made = graph("decide", "other", only=["task-c"])
    assert await states(made, queue) == {"decide": "pending", "other": "pending"}
    assert [node.task_id for node in made.ready()] == ["decide"]
    queue.tasks["decide"] = ("running",)
    queue.tasks |= {"b": ("pending",), "z": ("pending",)}
    queue.more["z"] = {"scopes": ["assume:x"]}
    await made.refresh(queue)
    assert made.ready() == []
    assert made.unknown == ["task-c"]
    queue.tasks["c"] = ("unscheduled", "b")
    await made.refresh(queue)
    assert [node.task_id for node in made.ready()] == ["b"]
    queue.tasks |= {"decide": ("completed",), "b": ("completed",), "c": ("completed", "b")}
    assert await states(made, queue) == {"decide": "completed", "other": "left out", "b": "completed", "z": "left out", "c": "completed"}
    assert made.unknown == []
    assert made.done


async def test_only_that_is_never_made():
    """A label that nobody makes ends the run once all decision tasks have ended."""
    queue = Queue(decide=("completed",), b=("pending",))
    queue.more = {"decide": {"scopes": ["assume:x"]}}
    made = graph("decide", only=["nope"])
    assert await states(made, queue) == {"decide": "completed", "b": "left out"}
    assert made.done
    assert made.unknown == ["nope"]


async def test_urgent_first():
    """The most urgent task is first, among equals the one that was first in the group."""
    queue = Queue(a=("pending",), b=("pending",), c=("pending",), d=("running",))
    queue.more = {"b": {"priority": "high"}, "c": {"priority": "lowest"}}
    made = graph(*"abcd")
    await made.refresh(queue)
    assert [node.task_id for node in made.ready()] == ["b", "a", "c"]


async def test_changes():
    """A refresh gives the tasks whose state or run has changed, and those alone."""
    queue = Queue(a=("pending",), b=("pending",), c=("pending",))
    made = graph(*"abc")
    assert len(await made.refresh(queue)) == 3
    queue.tasks["b"] = ("running",)
    assert [node.task_id for node in await made.refresh(queue)] == ["b"]


def node(name, state="completed", needs=(), **more):
    return Node(name, {"dependencies": list(needs)}, name, state, **more)


def test_tree():
    """Each task stands once, below the last of those that it needs; a circle or a lost task does no harm."""
    nodes = {each.task_id: each for each in (
        node("d"), node("a", needs=["d"]), node("b", needs=["d", "a"], state="failed", started=1000, ended=66_000), node("c", needs=["gone"]),
        node("self", needs=["self"]),
    )}  # fmt: skip
    assert tree.lines(nodes, 0, plain) == [
        "✓ d  completed", "  ✓ a  completed", "    ✗ b  failed 1 min 5 s", "✓ c  completed", "✓ self  completed",
    ]  # fmt: skip
    assert tree.counts(nodes.values(), plain) == "4 completed  1 failed"


def test_tree_that_does_not_fit():
    """Where there is no room for all, what runs and what went wrong is shown, and the counts."""
    nodes = {str(number): node(str(number), state="running" if number == 70 else "failed" if number == 30 else "completed") for number in range(100)}
    shown = tree.moving(nodes, 0, plain, columns=20, rows=20)
    assert shown == ["✗ 30  failed", "● 70  running", "98 completed  1 fai"]
    few = {"a": node("a"), "b": node("b", state="left out")}
    assert tree.moving(few, 0, plain, columns=80, rows=20) == ["✓ a  completed", "1 completed  1 left out"]


def test_cut():
    """Colours take no room, and are never cut in half."""
    assert tree.cut("\x1b[31mabcdef\x1b[0m", 3) == "\x1b[31mabc\x1b[0m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("50%\r100%\r\n", "100%"),
        ("\x1b[2J\x1b[1;1Hhome \x1b[31mred\x1b[0m", "home red"),
        ("\x1b]0;title\x07bell\x07", "bell"),
        ("tab\tstays", "tab\tstays"),
        ("token=hunter22", "token=***"),
    ],
)
def test_lines_are_clean(text, expected):
    """Logs cannot move the cursor, clear the screen, or show a secret."""
    out = io.StringIO()
    Screen(out, ["hunter22"]).line("t", text)
    assert out.getvalue() == f"t        │ {expected}\n"
