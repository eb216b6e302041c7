"""What differs between two states, and what is done about it."""

import pytest

from tcbox import clock as clocks
from tcbox.state import needs, text
from tcbox.state.comparing import MISSING, Change, changes, differences, without
from tcbox.state.model import CLIENTS, HOOKS, ROLES, SECRETS, WORKER_POOLS, Client, Role, Secret, State
from tcbox.state.planning import Step, Wishes, plan
from tests.support import state as made

NOW = clocks.from_wire("2030-01-01T00:00:00.000Z")
PAST = "2029-01-01T00:00:00.000Z"


def planned(wanted: State, there: State | None = None, providers=("static", "aws-main"), **wishes):
    there = there if there is not None else State(**{kind.key: {} for kind in wanted.kinds})
    return plan(wanted, there, None if providers is None else dict.fromkeys(providers, "aws"), Wishes(**wishes), NOW)


def done(found) -> list[str]:
    return [f"{step.action} {step}" for step in found.steps]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": True}, {"a": 1}, [(("a",), True, 1)]),
        ({"a": None}, {}, [(("a",), None, MISSING)]),
        ({}, {"a": None}, [(("a",), MISSING, None)]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, [(("a", "b", 1, "c"), 2, 3)]),
        ({"a": [1, 2, 3]}, {"a": [2, 3]}, [(("a", 0), 1, MISSING)]),
        ({"a": [2, 3]}, {"a": [1, 2, 3]}, [(("a", 0), MISSING, 1)]),
        ({"a": [2**53]}, {"a": [2**53 + 1]}, [(("a", 0), 2**53, 2**53 + 1)]),
        ({"a": []}, {"a": {}}, [(("a",), [], {})]),
        ({"a": [1.0, {"x": 1}]}, {"a": [1, {"x": 1.0}]}, []),
    ],
)
def test_values_are_compared_as_json_is(before, after, expected):
    """The order of keys and the form of numbers make no difference; each property that differs is told by its path."""
    one, other = made.hook(task=before), made.hook(task=after)
    assert changes(one, other) == [Change(("task", *path), old, new) for path, old, new in expected]


def test_scopes_are_sets():
    """Neither order nor repetition makes a difference; each scope that came or went is told."""
    assert changes(Role(scopes=("a", "b", "a")), Role(scopes=("b", "a"))) == []
    assert changes(Role(scopes=("a", "b")), Role(scopes=("c", "b"))) == [Change(("scopes",), "a", MISSING), Change(("scopes",), MISSING, "c")]


def test_times_are_compared_as_times():
    """The same moment in other words is no difference."""
    assert changes(Client(expires="2030-01-01T01:00:00+01:00"), Client(expires="2030-01-01T00:00:00Z")) == []


def test_only_what_both_speak_of_is_compared():
    """A kind that one of two states says nothing of does not differ."""
    found = differences(State(roles={"a": Role(), "b": Role()}, clients={}), State(roles={"b": Role(), "c": Role()}, hooks={"a/b": made.hook()}))
    assert [(each.what, each.name) for each in found] == [("removed", "a"), ("added", "c")]


def test_what_is_to_be_ignored_makes_no_difference():
    """Schedules and minimum capacities can be left out of a comparison, and nothing else goes with them."""
    one, other = State(hooks={"a/b": made.hook()}, workerPools={"a/b": made.pool()}), State(
        hooks={"a/b": made.hook(schedule=())}, workerPools={"a/b": made.pool(config={**made.pool().config, "minCapacity": 0, "maxCapacity": 6})}
    )  # fmt: skip
    found = differences(without(one, ["schedules", "min-capacity"]), without(other, ["schedules", "min-capacity"]))
    assert [each.changes for each in found] == [(Change(("config", "maxCapacity"), 5, 6),)]
    assert len(differences(one, other)) == 2


def test_a_secret_is_never_shown():
    """That a secret differs is told, to people and to programs, and not what it holds."""
    one, other = (State(secrets={"a": Secret(expires=made.FAR, secret={"token": value, "more": value})}) for value in ("hunter2", "hunter3"))
    found = differences(one, other)
    assert list(text.listed(found, other)) == ["! secret a", "    secret: holds something else (not shown)"]
    assert "hunter" not in str(text.as_json(found))


def test_new_hooks_and_pools_stand_still():
    """A new hook has no schedule and a new pool no minimum, which is told with what they have at the source; flags put them in."""
    wanted = State(hooks={"a/b": made.hook()}, workerPools={"a/b": made.pool()})
    found = planned(wanted)
    assert [step.thing.schedule for step in found.steps if step.kind is HOOKS] == [()]
    assert [list(step.thing.config.items())[0] for step in found.steps if step.kind is WORKER_POOLS] == [("minCapacity", 0)]
    assert [(each.what, each.wanted, each.kept, each.flag) for each in found.off] == [
        ("schedule", ["0 0 4 * * *"], [], "--schedules"), ("minCapacity", 2, 0, "--min-capacity"),
    ]  # fmt: skip
    found = planned(wanted, schedules=True, min_capacity=True)
    assert [step.thing for step in found.steps] == [made.hook(), made.pool()]
    assert found.off == ()


def test_what_is_there_keeps_its_schedule_and_minimum():
    """Without the flags a state neither turns on nor turns off what the target's own hooks and pools do."""
    there = State(hooks={"a/b": made.hook(schedule=("0 0 1 * * *",))}, workerPools={"a/b": made.pool(config={**made.pool().config, "minCapacity": 1})})
    found = planned(State(hooks={"a/b": made.hook()}, workerPools={"a/b": made.pool()}), there)
    assert (found.steps, found.same) == ((), 2)
    assert [each.kept for each in found.off] == [["0 0 1 * * *"], 1]


def test_a_pool_whose_provider_is_not_there_is_left_out():
    """It is told with what makes the provider known; it stands for another where that is said, and is tried where nobody may know."""
    wanted = State(providers={"aws-main": "aws"}, workerPools={"a/b": made.pool(), "a/c": made.pool(providerId="static", config={})})
    found = planned(wanted, State(workerPools={"a/b": made.pool(description="as it was")}), providers=["static"], prune=True)
    assert done(found) == ["create worker pool a/c"]
    assert [(each.name, each.why) for each in found.left_out] == [("a/b", "the target has no provider aws-main")]
    assert text.how_to_have(found).endswith("tcbox.yml: providers: {aws-main: {type: aws}}")
    step = renamed(wanted, {"aws-main": "aws-2"}).steps[0]
    assert step.thing.providerId == "aws-2"
    assert len(planned(wanted, providers=None).steps) == 2


def renamed(wanted: State, providers: dict):
    return plan(wanted, State(workerPools={}), {"static": "static", "aws-2": "aws"}, Wishes(providers=providers), NOW)


def test_what_has_expired_is_left_out():
    """A secret, or a client that goes when it expires, is not made only to be gone; a client that merely does not work any more is."""
    wanted = State(
        clients={"a": Client(expires=PAST, deleteOnExpiration=True), "b": Client(expires=PAST)}, secrets={"a": Secret(expires=PAST, secret={})}
    )  # fmt: skip
    found = planned(wanted)
    assert done(found) == ["create client b"]
    assert [each.kind for each in found.left_out] == [CLIENTS, SECRETS]


def test_nothing_is_deleted_unless_asked():
    """What the source does not name stays, and is counted; with prune it goes, but for the caller's own client and other prefixes."""
    there = State(clients={"p/a": Client(expires=made.FAR), "p/b": Client(expires=made.FAR), "q": Client(expires=made.FAR)}, roles={"p/a": Role()})
    wanted = State(prefixes=("p/",), clients={"p/a": Client(expires=made.FAR)})
    assert (done(planned(wanted, there)), planned(wanted, there).others) == ([], 1)
    assert done(planned(wanted, there, prune=True)) == ["delete client p/b"]
    assert done(planned(wanted, there, prune=True, keep="p/b")) == []


def test_a_plan_is_told_in_one_line():
    """What is to be done, what is the same, and what stays off is counted."""
    wanted = State(roles={"a": Role(), "b": Role(scopes=("x",)), "c": Role()}, hooks={"a/b": made.hook()})
    found = planned(wanted, State(roles={"b": Role(), "c": Role(), "d": Role()}, hooks={}))
    expected = "2 to create, 1 to change, 1 the same, 1 schedule left off, 1 there that the source does not name"
    assert text.counted(found, done=False) == expected
    assert text.as_numbers(found) == {"created": 2, "changed": 1, "deleted": 0, "same": 1, "leftOff": 1, "leftOut": 0, "others": 1}
    assert text.counted(planned(State(roles={})), done=True) == "nothing to change, 0 the same"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step("create", ROLES, "a", Role(scopes=("b", "c"))), ["auth:create-role:a", "b", "c"]),
        (Step("update", ROLES, "a", Role(scopes=("b",)), Role()), ["auth:update-role:a"]),
        (Step("create", CLIENTS, "a", Client(expires=made.FAR, disabled=True)), ["auth:create-client:a", "auth:disable-client:a"]),
        (Step("update", CLIENTS, "a", Client(expires=made.FAR), Client(expires=made.FAR, disabled=True)), ["auth:update-client:a", "auth:enable-client:a"]),
        (Step("create", HOOKS, "a/b", made.hook()), ["hooks:modify-hook:a/b", "assume:hook-id:a/b"]),
        (Step("delete", HOOKS, "a/b", None, made.hook()), ["hooks:modify-hook:a/b"]),
        (Step("update", WORKER_POOLS, "a/b", made.pool()), ["worker-manager:manage-worker-pool:a/b", "worker-manager:provider:aws-main"]),
        (Step("delete", WORKER_POOLS, "a/b", None, made.pool()), ["worker-manager:manage-worker-pool:a/b"]),
        (Step("create", SECRETS, "a", Secret(expires=made.FAR, secret={})), ["secrets:set:a"]),
    ],
)
def test_the_scopes_of_a_step_are_those_of_its_methods(step, expected):
    """What a step needs is known before it is done."""
    assert needs.scopes(step) == expected
