"""Which tasks, by what, with which scopes."""

import pytest

from tcbox.run import kinds, scopes
from tcbox.run.faults import WrongUsage
from tcbox.run.kinds import Unserved
from tcbox.run.leading import Lead
from tcbox.run.plan import Entry, Plan
from tcbox.scopes import ScopeSet

ROLE = "repo:github.com/octo/demo:branch:main"
BASE = (f"assume:{ROLE}", "queue:route:checks", "queue:scheduler-id:taskcluster-github")


def task(name="x", queue="proj/linux", **more):
    return {"taskQueueId": queue, "schedulerId": "taskcluster-github", "routes": ["checks"], "metadata": {"name": name}, **more}


def test_needed():
    """Creating a task takes its priority's scope or a higher one's, and one for its project, scheduler, routes and scopes each."""
    needed = scopes.needed(task(priority="high", scopes=["secrets:get:x"], projectId="p"))
    assert needed[0] == ("queue:create-task:high:proj/linux", "queue:create-task:very-high:proj/linux", "queue:create-task:highest:proj/linux")
    assert [each for (each,) in needed[1:]] == [
        "queue:create-task:project:p",
        "queue:scheduler-id:taskcluster-github",
        "queue:route:checks",
        "secrets:get:x",
    ]
    old = {"provisionerId": "proj", "workerType": "linux"}
    assert scopes.needed(old)[0][0] == "queue:create-task:lowest:proj/linux"
    assert ("queue:scheduler-id:-",) in scopes.needed(old)


def test_missing():
    """A higher priority's scope does, and of what is missing the least is named."""
    held = ScopeSet(["queue:create-task:high:proj/*", "queue:create-task:project:*", "queue:route:checks", "queue:scheduler-id:*"])
    assert scopes.missing(task(priority="low"), held) == []
    assert scopes.missing(task(priority="highest", scopes=["a:b"]), held) == ["queue:create-task:highest:proj/linux", "a:b"]


def test_grants():
    """A role gets what its tasks need and nothing else, unless they may create tasks; no role assumes itself."""
    plan = Plan((Entry("a", task(scopes=["secrets:get:x"])),), BASE, ROLE)
    assert scopes.grants(plan) == {ROLE: ("queue:create-task:lowest:proj/linux", "queue:create-task:project:none", "secrets:get:x")}
    deciding = Plan((Entry("a", task(scopes=[f"assume:{ROLE}", "assume:project:demo:decision"])),), BASE, ROLE)
    made = scopes.grants(deciding)
    assert set(made) == {ROLE, "project:demo:decision"}
    assert "queue:create-task:*" in made[ROLE]
    assert "assume:project:demo:decision" in made[ROLE]
    assert "assume:project:*" not in made["project:demo:decision"]
    for name, given in made.items():
        assert not ScopeSet(given).satisfies(f"assume:{name}")
        assert "*" not in given
    nothing = Plan((), BASE, ROLE)
    assert scopes.grants(nothing) == {}


def test_only():
    """A task is asked for by name, id or pattern, and comes with what it depends on."""
    tasks = {"a": [], "b": ["a"], "c": ["b"], "d": ["gone"]}
    plan = Plan(tuple(Entry(f"id-{name}", task(name, dependencies=[f"id-{each}" for each in needs])) for name, needs in tasks.items()))
    for wanted, expected in ((["b"], "ab"), (["id-c"], "abc"), (["d"], "d"), (["a", "d"], "ad"), (["*"], "abcd")):
        assert "".join(entry.label for entry in plan.only(wanted).entries) == expected
    with pytest.raises(WrongUsage, match="no task is called z"):
        plan.only(["a", "z"])
    deciding = Plan((*plan.entries, Entry("e", task("decision", scopes=["assume:x"]))))
    assert deciding.only(["z"]) == deciding


DOCKER = {"image": "debian:12", "command": ["true"]}
HOST = {"command": [["true"]]}


@pytest.mark.parametrize(
    ("queue", "payload", "platform", "expected"),
    [
        ("proj/linux", DOCKER, "linux", "docker"),
        ("proj/linux", {"image": {"type": "task-image"}, "command": []}, "linux", "docker"),
        ("proj/linux", HOST, "linux", "host"),
        ("local/host", HOST, "linux", "host"),
        ("built-in/succeed", {}, "linux", "builtin"),
        ("proj/win2022-64", HOST, "linux", "Windows"),
        ("proj/linux", {"command": ["build.cmd"]}, "linux", "Windows"),
        ("releng/t-osx-1015-r8", HOST, "linux", "macOS"),
        ("proj/macosx-arm", HOST, "linux", "macOS"),
        ("proj/macosx-arm", HOST, "darwin", "host"),
        ("proj/darwin", HOST, "linux", "macOS"),
        ("proj/twin-winter-linux", HOST, "linux", "host"),
        ("scriptworker-k8s/signing", {"upstreamArtifacts": []}, "linux", "no command"),
        ("proj/odd", {"command": "true"}, "linux", "neither"),
        ("proj/odd", {"command": []}, "linux", "neither"),
    ],
)
def test_serving(queue, payload, platform, expected):
    """What runs a task is told by the form of its payload; what cannot be run is told apart, with the reason."""
    found = kinds.serving(task(queue=queue, payload=payload), platform=platform)
    assert expected in found.why if isinstance(found, Unserved) else found == expected


def test_prepared():
    """A task runs with variables that it does not set itself, led to the work tree, and without what has no bearing here."""
    payload = {**HOST, "env": {"A": "own"}, "features": {"chainOfTrust": True, "taskclusterProxy": True}}
    given = task(payload=payload)
    made, left_out = kinds.prepared(given, {"A": "1", "B": "2"}, Lead("o/r", "http://x/o/r"))
    assert {name: made["payload"]["env"][name] for name in "AB"} == {"A": "own", "B": "2"}
    assert made["payload"]["env"]["GIT_CONFIG_VALUE_0"] == "https://github.com/o/r"
    assert made["payload"]["features"] == {"taskclusterProxy": True}
    assert left_out == ["features.chainOfTrust: no certificate of chain of trust is made"]
    assert given["payload"] == payload == {**HOST, "env": {"A": "own"}, "features": {"chainOfTrust": True, "taskclusterProxy": True}}
    mine = task(payload={**HOST, "env": {"GIT_CONFIG_COUNT": "0"}})
    assert kinds.prepared(mine, {}, Lead("o/r", "http://x/o/r"))[0]["payload"]["env"] == {"GIT_CONFIG_COUNT": "0"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, "public/logs/live.log"),
        ({"image": "x", "log": "private/l.log"}, "private/l.log"),
        ({"logs": {"live": "public/mine.log"}}, "public/mine.log"),
        ({"log": "private/l.log"}, "public/logs/live.log"),
    ],
)
def test_log_name(payload, expected):
    """The log is where the payload has it written."""
    assert kinds.log_name({"payload": payload}) == expected
