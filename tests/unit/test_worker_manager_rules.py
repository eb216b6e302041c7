"""The worker manager's rules, apart from any I/O: estimates, choices, ids, lifecycles and verdicts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox import clock as clocks
from tcbox.services.worker_manager import estimator, launch_configs, lifecycle, selection, verdicts
from tcbox.services.worker_manager.estimator import Demand, Limits, Supply
from tcbox.services.worker_manager.model import LaunchConfig, Worker
from tcbox.services.worker_manager.verdicts import Seen

COUNT = st.integers(0, 500)
LIMITS = st.builds(lambda least, more, ratio: Limits(least, least + more, ratio), COUNT, COUNT, st.floats(0, 1))
DEMAND = st.builds(Demand, COUNT, COUNT)
SUPPLY = st.builds(Supply, COUNT, COUNT, COUNT)
NOW = 10**12


@given(LIMITS, DEMAND, SUPPLY)
def test_never_above_the_most(limits, demand, supply):
    """What is asked for never brings a pool above its most; a pool that is above it asks for nothing."""
    asked = estimator.missing(limits, demand, supply)
    assert asked >= 0
    assert asked == 0 or supply.all + asked <= limits.most


@given(LIMITS, DEMAND, SUPPLY)
def test_never_below_the_least(limits, demand, supply):
    """What is there and what is asked for are together at least the pool's least."""
    assert supply.all + estimator.missing(limits, demand, supply) >= limits.least


@given(LIMITS, DEMAND, SUPPLY, st.integers(0, 100))
def test_more_waiting_tasks_never_ask_for_less(limits, demand, supply, more):
    """What is asked for grows with the waiting tasks, or stays."""
    assert estimator.missing(limits, Demand(demand.pending + more, demand.claimed), supply) >= estimator.missing(limits, demand, supply)


@given(LIMITS, DEMAND, SUPPLY)
def test_asking_comes_to_rest(limits, demand, supply):
    """What was asked for is not asked for again while it is coming."""
    asked = estimator.missing(limits, demand, supply)
    assert estimator.missing(limits, demand, Supply(supply.running, supply.requested + asked, supply.stopping)) == 0


@given(LIMITS, DEMAND)
def test_needed_is_within_the_limits(limits, demand):
    """What a pool has work for lies between its least and its most."""
    assert limits.least <= estimator.needed(limits, demand) <= limits.most


@pytest.mark.parametrize(
    ("limits", "demand", "supply", "missing"),
    [
        ((0, 10, 1.0), (5, 0), (0, 0, 0), 5), ((0, 10, 1.0), (50, 0), (0, 0, 0), 10), ((3, 10, 1.0), (0, 0), (0, 0, 0), 3), ((3, 10, 1.0), (0, 0), (1, 0, 0), 2),
        ((0, 10, 1.0), (5, 0), (5, 0, 0), 0), ((0, 10, 1.0), (5, 0), (0, 5, 0), 0), ((0, 10, 1.0), (5, 4), (4, 0, 0), 5), ((0, 10, 1.0), (5, 2), (4, 0, 0), 3),
        ((0, 10, 0.5), (5, 0), (0, 0, 0), 3), ((0, 10, 0.5), (5, 0), (0, 3, 0), 0), ((0, 10, 1.0), (50, 0), (4, 0, 6), 0), ((0, 10, 1.0), (50, 0), (20, 0, 0), 0),
        ((0, 10, 0.0), (50, 0), (0, 0, 0), 0), ((0, 10, 1.0), (1, 9), (4, 0, 0), 1), ((0, 10, 1.0), (1, 9), (0, 1, 0), 0), ((3, 10, 1.0), (0, 0), (0, 2, 0), 1),
    ],
)  # fmt: skip
def test_estimates(limits, demand, supply, missing):
    """What is asked for in cases that can be counted by hand."""
    assert estimator.missing(Limits(*limits), Demand(*demand), Supply(*supply)) == missing


def config(name, **own):
    text = msgspec.json.encode({"workerManager": own, "capacityPerInstance": own.pop("old", 1)}).decode()
    return LaunchConfig("p/w", name, False, 0, 0, text)


def chosen(configs, capacity, *, most=100, there=None, errors=None, draw=lambda: 0.5):
    found = selection.choose(selection.candidates(configs, most, there or {}, errors or {}), capacity, draw)
    return {each.launch_config.launch_config_id: count for each, count in found}


def test_choices_by_weight():
    """A configuration is chosen the more often the more it weighs."""
    import random

    counts = chosen([config("a", initialWeight=0.9), config("b", initialWeight=0.1)], 2000, most=10_000, draw=random.Random(1).random)
    assert counts["a"] + counts["b"] == 2000 and 150 < counts["b"] < 260


@pytest.mark.parametrize(
    ("configs", "extra", "capacity", "expected"),
    [
        ([config("a", maxCapacity=2)], {}, 5, {"a": 2}),
        ([config("a", maxCapacity=2)], {"there": {"a": 1}}, 5, {"a": 1}),
        ([config("a", maxCapacity=2)], {"there": {"a": 2}}, 5, {}),
        ([config("a", maxCapacity=0)], {}, 5, {}),
        ([config("a", initialWeight=0)], {}, 5, {}),
        ([config("a", capacityPerInstance=4)], {}, 5, {"a": 2}),
        ([config("a", old=4)], {}, 5, {"a": 2}),
        ([config("a")], {"errors": {"a": 5}}, 5, {"a": 5}),
        ([config("a"), config("b")], {"errors": {"a": 5}}, 5, {"b": 5}),
        ([config("a"), config("b", initialWeight=0)], {"errors": {"a": 5}}, 5, {"a": 5}),
        ([], {}, 5, {}),
    ],
)
def test_choices(configs, extra, capacity, expected):
    """Limits, weights, errors and capacity per machine decide what is chosen; the only one with room is chosen in spite of its errors."""
    assert chosen(configs, capacity, **extra) == expected


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4), st.floats(0, 1)), max_size=5), st.integers(0, 50), st.randoms(use_true_random=False))
def test_no_choice_goes_beyond_a_limit(given_configs, capacity, rng):
    """No configuration gets more machines than fit its limit, but for one machine that is larger than what is left; no more than is wanted but for one."""
    configs = [config(str(at), maxCapacity=most, capacityPerInstance=each, initialWeight=weight) for at, (most, each, weight) in enumerate(given_configs)]
    found = chosen(configs, capacity, draw=rng.random)
    for at, (most, each, _) in enumerate(given_configs):
        assert found.get(str(at), 0) * each < most + each
    assert sum(found.get(str(at), 0) * each for at, (_, each, _) in enumerate(given_configs)) < capacity + 4


ODD = {
    "b": 1,
    "aa": {"z": [1, 2.5, 1.0, None, True, -0.5], "y": 'é"\\\n\t\u2028/\x7f\x01'},
    "": {},
    "é": [],
    "zz": [[], {}],
    "A": 12345678901234567890123,
    "f": [0.00001, 1e22, 1.5e-7, 123456.75],
}


async def test_ids_are_those_of_postgresql():
    """The ids that are made are those that a Taskcluster deployment makes of a `jsonb`."""
    import asyncpg

    from tests.support import postgres_server

    connection = await asyncpg.connect(postgres_server.server().url("postgres"))
    try:
        text = msgspec.json.encode(ODD).decode()
        theirs = await connection.fetchval("SELECT 'lc-' || left(md5('p/w' || CAST(CAST($1 AS text) AS jsonb)::text), 20)", text)
        shown = await connection.fetchval("SELECT CAST(CAST($1 AS text) AS jsonb)::text", text)
    finally:
        await connection.close()
    assert "".join(launch_configs._canonical(ODD)) == shown
    assert launch_configs.identify("p/w", {**ODD, "workerManager": {"maxCapacity": 1}}) == theirs


def test_ids_of_launch_configs():
    """An id is what PostgreSQL's jsonb would give it: it depends on the pool and what is said, not on order, nor on the worker manager's own part."""
    one = {"b": 1, "aa": {"z": [1, 2.5, None, True], "y": 'é"'}, "workerManager": {"maxCapacity": 5}}
    other = {"workerManager": {"initialWeight": 0.1}, "aa": {"y": 'é"', "z": [1, 2.5, None, True]}, "b": 1}
    assert launch_configs.identify("p/w", one) == launch_configs.identify("p/w", other) != launch_configs.identify("p/x", one)
    import hashlib

    text = 'p/w{"b": 1, "aa": {"y": "é\\"", "z": [1, 2.5, null, true]}}'
    assert launch_configs.identify("p/w", one) == "lc-" + hashlib.md5(text.encode()).hexdigest()[:20]
    assert launch_configs.identify("p/w", {"workerManager": {"launchConfigId": "mine"}}) == "mine"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (None, 4 * clocks.DAY, 2 * clocks.HOUR, 4 * clocks.DAY)),
        ({"registrationTimeout": 600}, (600_000, 4 * clocks.DAY, 2 * clocks.HOUR, 600_000)),
        ({"registrationTimeout": 7200, "reregistrationTimeout": 3600}, (7_200_000, 3_600_000, 2 * clocks.HOUR, 3_600_000)),
        ({"queueInactivityTimeout": 1200, "reregistrationTimeout": 0}, (None, 4 * clocks.DAY, 1_200_000, 4 * clocks.DAY)),
        ("odd", (None, 4 * clocks.DAY, 2 * clocks.HOUR, 4 * clocks.DAY)),
    ],
)
def test_lifecycles(given, expected):
    """What a lifecycle says holds, and the published defaults where it says nothing."""
    made = lifecycle.of({"lifecycle": given})
    assert (made.registration, made.reregistration, made.queue_inactivity, made.first) == expected


def worker(state="running", **changes):
    made = {
        "created": NOW - clocks.HOUR,
        "expires": NOW + clocks.DAY,
        "terminate_after": NOW + clocks.DAY,
        "queue_inactivity_timeout": 2 * clocks.HOUR,
        **changes,
    }
    return Worker(
        "p/w",
        "g",
        "w",
        "cloud",
        changes.pop("launch_config_id", None),
        state,
        changes.get("capacity", 1),
        last_modified=0,
        last_checked=0,
        **{key: value for key, value in made.items() if key not in ("launch_config_id", "capacity")},
    )


ACTIVE = Seen(NOW - clocks.HOUR, NOW - 1000)


@pytest.mark.parametrize(
    ("one", "machine", "seen", "do", "unregistered"),
    [
        (worker(), "there", ACTIVE, "keep", False),
        (worker("requested"), "there", Seen(), "keep", False),
        (worker("requested"), "gone", Seen(), "stopped", True),
        (worker(), "gone", ACTIVE, "stopped", False),
        (worker(), "going", ACTIVE, "stopping", False),
        (worker("stopping"), "going", ACTIVE, "keep", False),
        (worker("stopping"), "there", ACTIVE, "remove", False),
        (worker(terminate_after=NOW - 1), "there", ACTIVE, "remove", False),
        (worker("requested", terminate_after=NOW - 1), "there", Seen(), "remove", True),
        (worker(created=NOW - 3 * clocks.HOUR), "there", Seen(), "remove", False),
        (worker(created=NOW - 3 * clocks.HOUR), "there", None, "keep", False),
        (worker(created=NOW - 3 * clocks.HOUR), "there", ACTIVE, "keep", False),
        (worker(), "there", Seen(1, NOW - 3 * clocks.HOUR), "remove", False),
        (worker(queue_inactivity_timeout=None), "there", Seen(1, NOW - 3 * clocks.HOUR), "remove", False),
    ],
)
def test_verdicts(one, machine, seen, do, unregistered):
    """What becomes of a worker whose machine is like that."""
    verdict = verdicts.judge(one, machine, seen, NOW)
    assert (verdict.do, verdict.unregistered) == (do, unregistered)
    assert bool(verdict.why) == (do != "keep")


def test_the_newest_are_needed():
    """The newest workers fill what a pool has work for; the others, and those of an archived configuration, may go."""
    workers = [worker(created=at, capacity=2, launch_config_id="old" if at == 4 else None) for at in range(5)]
    decided = {each.created: reason for each, _, reason in verdicts.dispensable(workers, {"old"}, 3)}
    assert decided == {4: "launch config archived", 3: "needed", 2: "needed", 1: "over capacity", 0: "over capacity"}
