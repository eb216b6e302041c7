"""The rules of the github service that need neither GitHub nor a database."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox import errors, ids
from tcbox.services.github import checks, compiling, loader, logs, names, parameters, policies, refusals, samples, signatures, webhooks
from tcbox.services.github.compiling import Trigger
from tcbox.services.github.renderer import Renderer, RenderError

NOW = "2026-01-31T12:00:00.000Z"


def trigger(kind: str = "github-push", **changes) -> Trigger:
    body = samples.event(kind, None if kind == "github-push" else changes.pop("action", "opened"), "octo", "hello", changes.pop("overrides", {}))
    made = {"organization": "octo", "repository": "hello", "tasks_for": kind, "branch": "main", "details": samples.details(kind, body), "body": body, "seed": "s",
            "now": NOW}  # fmt: skip
    return Trigger(**{**made, **changes})


# -- YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: yes", {"on": "yes"}), ("a: true\nb: False\nc: NULL\nd: ~\ne:", {"a": True, "b": False, "c": None, "d": None, "e": None}),
        ("t: 12:30:00\nd: 2026-01-31\nx: 0o17\ny: 0x1f\nz: 010", {"t": "12:30:00", "d": "2026-01-31", "x": 15, "y": 31, "z": 10}),
        ("a: 1e3\nb: .5\nc: -1.5\nd: 1_000", {"a": 1000.0, "b": 0.5, "c": -1.5, "d": 1000}),
        ("1: a\ntrue: b\nnull: c", {"1": "a", "true": "b", "null": "c"}),
        ("b: &b {x: 1, y: 2}\nc: {<<: *b, y: 3}\nd: *b", {"b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}, "d": {"x": 1, "y": 2}}),
        ("a: !!str 1\nb: !!int '7'", {"a": "1", "b": 7}), ("", None), ("# nothing", None), ("a: |\n  x\n  y\n", {"a": "x\ny\n"}), ("v: v1.0\nw: 1.2.3", {"v": "v1.0", "w": "1.2.3"}),
    ],
)  # fmt: skip
def test_yaml_is_read_as_its_core_schema_says(text, value):
    """Plain words are what YAML 1.2 makes of them; times and words like `on` stay text, keys are text."""
    assert loader.load(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "a: [", "a: 1\na: 2", "{[1]: 2}", "a: !!python/object/apply:os.system [x]", "a: !!binary aGk=", "&a [*a]", "a: &a {b: *a}", "a: .inf", "a\tb: {", "--- 1\n--- 2",
        "a: " + "[" * 200 + "]" * 200, "x: " + "y" * (1024 * 1024 + 1), "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)),
    ],
)  # fmt: skip
def test_yaml_that_is_refused(text):
    """What is malformed, ambiguous, of a foreign type, endless or explosive is refused at once, in words."""
    began = time.thread_time()
    with pytest.raises(loader.LoadError) as error:
        loader.load(text)
    assert time.thread_time() - began < 20 and len(str(error.value)) > 20


# -- parameters of version 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ a }}", "A"), ("x{{a}}y{{ n }}", "xAy7"), ("{{ n }}", 7), ("{{ none }}", "{{ none }}"), ("x {{ none }}", "x {{ none }}"),
        ("{{ 'hi' | up }}", "HI"), ('{{ "hi" | up | up }}', "HI"), ("{{ up }}", "NOTHING"), ("{{ a | none }}", "{{ a | none }}"), ("{{ e.x }}", "dotted"),
        ({"{{a}}": ["{{ n }}", {"b": "{{a}}"}], "c": None}, {"A": [7, {"b": "A"}], "c": None}), ("{{ o }}", {"k": 1}), ("{{ __class__ }}", "{{ __class__ }}"),
    ],
)  # fmt: skip
def test_parameters(text, value):
    """Expressions are replaced in texts and keys; a text that is one expression takes its type; what is unknown stays."""
    functions = {"up": lambda text="nothing": text.upper()}
    assert parameters.substitute(text, {"a": "A", "n": 7, "e.x": "dotted", "o": {"k": 1}}, functions) == value


# -- rendering apart


async def test_the_renderer_survives_any_template():
    """A template that asks for all memory, or never ends, is refused, and the next one is rendered."""
    renderer = Renderer(seconds=3)
    bombs = [
        {"$let": {"x": "a" * 1000}, "in": {"$reduce": {"$eval": "range(0, 40)"}, "initial": "aaaa", "each(acc,v)": {"$eval": "acc + acc"}}},
        {"$map": {"$eval": "range(0, 1000000000)"}, "each(x)": {"$eval": "x"}},
    ]
    try:
        for bomb in bombs:
            with pytest.raises(RenderError):
                await asyncio.wait_for(renderer.template(bomb, {}, seed="s", now=NOW), 20)
            assert await renderer.template({"a": {"$eval": "1 + 1"}}, {}, seed="s", now=NOW) == {"a": 2}
    finally:
        await renderer.close()


async def test_rendering_is_exact_and_repeatable():
    """Numbers, order and text come back as they are; ids and times are the same for the same delivery."""
    template = {"z": 1, "a": 12345678901234567890123, "f": 1.0, "i": {"$eval": "as_slugid('x')"}, "t": {"$fromNow": "1 hour"}, "u": "é\u2028"}
    renderer = Renderer()
    try:
        first = await renderer.template(template, {}, seed="one", now=NOW)
        assert first == await renderer.template(template, {}, seed="one", now=NOW) and list(first) == list(template)
        assert first["a"] == 12345678901234567890123 and first["t"] == "2026-01-31T13:00:00.000Z" and ids.is_slugid(first["i"])
        assert first["i"] != (await renderer.template(template, {}, seed="two", now=NOW))["i"]
    finally:
        await renderer.close()


# -- tasks


def test_default_ids():
    """One task is the first of its group, whichever of the ids the file gives; several have a group apart."""
    own, group = ids.slugid(), ids.slugid()
    for given, expected in (
        ({}, None),
        ({"taskId": own}, (own, own)),
        ({"taskGroupId": group}, (group, group)),
        ({"taskId": own, "taskGroupId": group}, (own, group)),
    ):
        (entry,) = compiling.version_1({"tasks": [given]}, [], trigger()).tasks
        assert expected in (None, (entry["taskId"], entry["task"]["taskGroupId"]))
        assert expected or entry["taskId"] == entry["task"]["taskGroupId"]
    several = compiling.version_1({"tasks": [{}, {}]}, [], trigger()).tasks
    assert len({entry["taskId"] for entry in several} | {several[0]["task"]["taskGroupId"]}) == 3
    assert several == compiling.version_1({"tasks": [{}, {}]}, [], trigger()).tasks


@given(st.lists(st.sets(st.integers(0, 11)), max_size=12))
def test_tasks_come_after_what_they_need(needs):
    """However tasks depend on each other, each comes after those that it needs; a circle is refused."""
    tasks = [{"taskId": f"t{index}", "dependencies": [f"t{each}" for each in sorted(need)]} for index, need in enumerate(needs)]
    known = {task["taskId"] for task in tasks}
    try:
        made = compiling.version_1({"tasks": tasks}, [], trigger()).tasks
    except compiling.ConfigError as error:
        assert "circle" in str(error) and any(each >= index for index, need in enumerate(needs) for each in need)
        return
    seen: set[str] = set()
    for entry in made:
        assert {need for need in entry["task"]["dependencies"] if need in known and need != entry["taskId"]} <= seen
        seen.add(entry["taskId"])
    assert seen == known


@pytest.mark.parametrize(
    "tasks", [{"a": 1}, ["x"], [{"routes": "x"}], [{"taskId": 1}], [{"taskId": "a"}, {"taskId": "a"}], [{"dependencies": "x", "taskId": "a"}]]
)
def test_what_is_no_list_of_tasks(tasks):
    """What a template renders to must be tasks."""
    with pytest.raises(compiling.ConfigError):
        compiling.version_1({"tasks": tasks}, [], trigger())


def test_routes_and_reporting():
    """Results come back by the route of the reporting, added to a task's own, once."""
    graph = compiling.version_1({"tasks": [{"routes": ["a", "checks", "a"]}], "reporting": "checks-v1"}, [], trigger())
    assert graph.tasks[0]["task"]["routes"] == ["a", "checks"]
    assert graph.scopes == ["assume:repo:github.com/octo/hello:branch:main", "queue:route:checks", "queue:scheduler-id:taskcluster-github"]
    assert compiling.version_1(None, [], trigger()).tasks == []


@pytest.mark.parametrize(
    ("github", "kind", "branch", "wanted"),
    [
        ({"events": ["push"]}, "push", "main", True), ({"events": ["push"]}, "tag", "main", False), ({"events": ["pull_request.*"]}, "pull_request.opened", "x", True),
        ({"events": ["pull_request.opened"]}, "pull_request.closed", "x", False), ({"events": ["push"], "branches": ["main"]}, "push", "topic", False),
        ({"events": ["push"], "excludeBranches": ["main"]}, "push", "main", False), ({"events": ["push"], "excludeBranches": ["main"]}, "push", "topic", True),
        ({"events": ["pull_request"], "branches": ["main"]}, "pull_request.opened", "topic", True), ({}, "push", "main", False), (None, "push", "main", False),
        ({"events": ["*"]}, "release", "main", True),
    ],
)  # fmt: skip
def test_events_and_branches_of_version_0(github, kind, branch, wanted):
    """A task of version 0 is made for the events that it names; pushes also by branch."""
    task = {"extra": {"github": github}} if github is not None else {}
    made = compiling.version_0({"tasks": [task]}, trigger(details={"event.type": kind, "event.base.repo.branch": branch, "event.head.tag": "t"}))
    assert bool(made.tasks) is wanted


def test_branches_and_exclusions_together():
    """A task of version 0 has included or excluded branches, not both."""
    task = {"extra": {"github": {"events": ["push"], "branches": ["a"], "excludeBranches": ["b"]}}}
    with pytest.raises(compiling.ConfigError):
        compiling.version_0({"tasks": [task]}, trigger())


@pytest.mark.parametrize("ref", ["a*", "*", "é", "a\nb", "\x7f"])
def test_refs_that_no_scope_may_hold(ref):
    """A branch name can neither widen a scope nor break out of one."""
    with pytest.raises(names.RefError):
        compiling.role(trigger(details={"event.type": "push", "event.base.repo.branch": ref}), 1)


# -- small rules


@given(st.binary(), st.sampled_from(signatures.ALGORITHMS), st.text(), st.text())
def test_signatures(body, algorithm, secret, other):
    """A signature holds for its secret and its bytes alone."""
    signed = signatures.sign(secret, body, algorithm)
    assert signatures.valid([other, secret], body, signed)
    assert signatures.valid([other], body, signed) is (other == secret)
    assert not signatures.valid([secret], body + b"x", signed)
    assert not signatures.valid([], body, signed)


@given(st.text(), st.text())
def test_slugids(seed, label):
    """Ids have the published form, and are the same for the same seed and label alone."""
    made = names.slugid(seed, label)
    assert ids.is_slugid(made) and made == names.slugid(seed, label) != names.slugid(seed, label + "x")


def test_policies_by_default():
    """Without a word on it, collaborators alone have tasks made; version 0 says it in its own way."""
    assert (
        policies.pull_requests({"version": 1})
        == policies.pull_requests({"version": 0})
        == policies.pull_requests({"version": 1, "policy": {}})
        == "collaborators"
    )
    assert policies.pull_requests({"version": 0, "allowPullRequests": "public"}) == "public"
    assert policies.pull_requests(None) == "collaborators_quiet"
    assert policies.comments({"version": 0, "policy": {"allowComments": "collaborators"}}) is None


@pytest.mark.parametrize(
    ("text", "command"), [("/taskcluster a b ", "a b"), ("x\n  /taskcluster go\ny", "go"), ("/taskclusterx", None), ("say /taskcluster x", None), ("", None)]
)
def test_commands(text, command):
    """A command stands on a line of its own."""
    assert webhooks.command(text) == command


@pytest.mark.parametrize(
    ("ms", "words"), [(0, "0 seconds"), (61_000, "1 minute, 1 second"), (90_061_001, "1 day, 1 hour, 1 minute, 1 second"), (1500, "1 second, 500 milliseconds")]
)
def test_durations(ms, words):
    """Times are told in words."""
    assert checks.duration(ms) == words


@pytest.mark.parametrize(("size", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2_000_000, "2 MB"), (123_456_789, "123 MB")])
def test_sizes(size, words):
    """Sizes are told in words."""
    assert checks.size_in_words(size) == words


@given(st.lists(st.text(alphabet="ab \x1b[31m\r", max_size=30), max_size=60), st.integers(200, 400), st.integers(1, 7))
def test_log_excerpts(lines, most, chunk):
    """An excerpt is never too long; a short log is shown whole, without colours, however its bytes come."""
    raw = "\n".join(lines).encode()

    async def chunks():
        for at in range(0, len(raw), chunk):
            yield raw[at : at + chunk]

    shown = asyncio.run(logs.excerpt(chunks(), most, head=5, tail=10))
    assert len(shown) <= most and "\x1b" not in shown


async def test_a_long_log_keeps_its_ends():
    """Of a long log the first and the last lines are shown, with how many are not."""

    async def chunks():
        for number in range(1000):
            yield f"{number}\n".encode()

    shown = await logs.excerpt(chunks(), 60_000)
    assert shown.startswith("0\n1\n") and shown.endswith("\n998\n999") and "... 780 lines are not shown here ..." in shown


def test_missing_scopes_are_found_in_any_reply():
    """What is missing is read from an error of this process and from one that came over HTTP alike, expressions too."""
    here = errors.InsufficientScopes("x", unsatisfied='{\n  "AnyOf": [\n    "a:b",\n    "c:d"\n  ]\n}')
    there = errors.InsufficientScopes("{reply}", reply="Client ID x ... is missing the following scopes:\n\n```\na:b\n```\n\nThis request")
    assert refusals.missing_scopes(there) == "a:b"
    told = refusals.scopes_of_role(here, ["assume:repo:github.com/o/r:branch:m", "queue:route:checks"], "creating the task `x`")
    assert "* `a:b`" in told and "* `c:d`" in told and "AnyOf" in told and "The role `repo:github.com/o/r:branch:m` lacks scopes" in told
    assert "lacks a scope for" in refusals.scopes_of_role(there, ["assume:repo:github.com/o/r:*"], "x")
