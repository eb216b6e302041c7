"""The state machine of a task: whatever happens to it, in whatever order, it stays a task that can be explained."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tcbox import clock
from tcbox.services.queue import priorities, transitions
from tcbox.services.queue import status as statuses
from tcbox.services.queue.status import MAX_RUNS, Status

START = 1_800_000_000_000
HOUR = clock.HOUR
REASONS = ("worker-shutdown", "intermittent-task", "malformed-payload", "resource-unavailable", "internal-error")

steps = st.lists(
    st.tuples(
        st.sampled_from(["schedule", "rerun", "claim", "reclaim", "completed", "failed", "exception", "expire", "give back", "cancel", "deadline", "priority"]),
        st.integers(0, 40 * 60_000),
        st.sampled_from(REASONS),
        st.integers(-1, 3),
    ),
    max_size=120,
)


def task(retries: int = 5) -> Status:
    return Status(
        task_id="AAAAAAAAQAaAAAAAAAAAAA",
        provisioner_id="p",
        worker_type="w",
        task_queue_id="p/w",
        scheduler_id="-",
        project_id="none",
        task_group_id="AAAAAAAAQAaAAAAAAAAAAA",
        priority="lowest",
        deadline=clock.to_wire(START + 12 * HOUR),
        expires=clock.to_wire(START + 24 * HOUR),
        retries_left=retries,
        state="unscheduled",
    )


def act(status: Status, step: tuple[str, int, str, int], now: int, retries: int) -> transitions.Change | None:
    kind, _, reason, back = step
    run_id = status.last_run_id - max(back, 0) if back >= 0 else status.last_run_id + 1
    match kind:
        case "schedule":
            return transitions.schedule(status, now)
        case "rerun":
            return transitions.rerun(status, now, retries)
        case "claim":
            return transitions.claim(status, run_id, now, now + 20 * 60_000, ("g", "w"))
        case "reclaim":
            return transitions.reclaim(status, run_id, now + 20 * 60_000)
        case "completed" | "failed":
            return transitions.resolve(status, run_id, now, kind, kind)
        case "exception":
            return transitions.resolve(status, run_id, now, kind, reason)
        case "expire":
            return transitions.expire_claim(status, now)
        case "give back":
            return transitions.give_back(status, run_id, now)
        case "cancel":
            return transitions.cancel(status, now)
        case "deadline":
            return transitions.exceed_deadline(status, now)
    return transitions.prioritize(status, priorities.LADDER[back])


def check(status: Status) -> None:
    """What holds of every task at any time."""
    assert len(status.runs) <= MAX_RUNS
    assert 0 <= status.retries_left
    assert len(status.runs) + status.retries_left <= MAX_RUNS
    assert status.state == (status.runs[-1].state if status.runs else "unscheduled")
    assert [run.run_id for run in status.runs] == list(range(len(status.runs)))
    for run in status.runs[:-1]:
        assert run.state in ("completed", "failed", "exception")
    for run in status.runs:
        ended = run.state in ("completed", "failed", "exception")
        assert (run.resolved is not None) == ended == (run.reason_resolved is not None)
        claimed = run.worker_id is not None
        assert claimed == (run.worker_group is not None) == (run.started is not None) == (run.taken_until is not None)
        assert claimed or run.state in ("pending", "exception")
        assert run.state not in ("completed", "failed") or run.reason_resolved == run.state


@given(steps, st.integers(0, 49))
@settings(max_examples=2000, deadline=None)
def test_any_history_leaves_a_sound_task(history: list[tuple[str, int, str, int]], retries: int) -> None:
    """No order of calls, sensible or not, breaks what holds of every task, and each change announces what it did."""
    status, now = task(retries), START
    for step in history:
        now += step[1]
        before = status
        change = act(status, step, now, retries)
        if change is None:
            continue
        status = change.after
        check(status)
        assert status.runs[: max(0, len(before.runs) - 1)] == before.runs[:-1]
        if before.resolved:  # what is resolved runs again by a rerun alone
            assert step[0] in ("rerun", "priority")
            assert status.runs[: len(before.runs)] == before.runs
        for old, new in zip(before.runs, status.runs, strict=False):  # a run has one claim, by one worker
            assert old.worker_id is None or (old.worker_group, old.worker_id, old.started) == (new.worker_group, new.worker_id, new.started)
        said = [a.kind for a in change.announcements]
        assert ("pending" in said) == change.pending
        assert change.resolves <= (said[-1:] != ["pending"])
        assert not (change.resolves and change.pending)
        assert statuses.decode(statuses.encode(status)) == status


@given(steps, st.integers(0, 49))
@settings(max_examples=200, deadline=None)
def test_a_step_repeated_changes_nothing_more(history: list[tuple[str, int, str, int]], retries: int) -> None:
    """Doing the same thing to the same run a second time is refused or leaves the task alone."""
    status, now = task(retries), START
    for step in history:
        now += step[1]
        change = act(status, step, now, retries)
        if change is None:
            continue
        before, status = status, change.after
        if step[0] in ("claim", "completed", "failed", "exception") and step[3] == 0:
            run_id = before.last_run_id
            repeated = (
                transitions.resolve(status, run_id, now, "completed", "completed")
                if step[0] != "claim"
                else transitions.claim(status, run_id, now, now + 1, ("other", "worker"))
            )
            assert repeated is None


def running(retries: int = 5) -> Status:
    pending = transitions.schedule(task(retries), START)
    assert pending is not None
    claimed = transitions.claim(pending.after, 0, START, START + 20 * 60_000, ("g", "w"))
    assert claimed is not None
    return claimed.after


def test_worker_shutdown_and_intermittent_task_are_retried_with_their_reasons() -> None:
    """The two reasons after which a run is repeated leave different reasons of creation, and use up one retry each."""
    for reason, created in (("worker-shutdown", "retry"), ("intermittent-task", "task-retry")):
        change = transitions.resolve(running(2), 0, START, "exception", reason)
        assert change is not None
        assert [run.reason_created for run in change.after.runs] == ["scheduled", created]
        assert (change.after.state, change.after.retries_left) == ("pending", 1)
        assert not change.resolves


def test_other_exceptions_and_the_last_retry_resolve_the_task() -> None:
    """A task is resolved by an exception that is not retried, and by one that would be when no retries are left."""
    for reason, retries in (("malformed-payload", 5), ("internal-error", 5), ("resource-unavailable", 5), ("worker-shutdown", 0)):
        change = transitions.resolve(running(retries), 0, START, "exception", reason)
        assert change is not None
        assert change.resolves
        assert change.after.state == "exception"


def test_a_claim_ends_only_after_its_time_and_before_the_deadline() -> None:
    """A claim holds until takenUntil; once the deadline has passed it is the deadline's turn."""
    status = running()
    assert transitions.expire_claim(status, START + 20 * 60_000 - 1) is None
    assert transitions.expire_claim(status, START + 13 * HOUR) is None
    change = transitions.expire_claim(status, START + 20 * 60_000)
    assert change is not None
    assert change.after.runs[0].reason_resolved == "claim-expired"
    assert change.after.runs[1].reason_created == "retry"


def test_a_reclaim_never_shortens_a_claim() -> None:
    """A reclaim with an earlier time than the claim has keeps the later one."""
    change = transitions.reclaim(running(), 0, START)
    assert change is not None
    assert change.after.runs[0].taken_until == clock.to_wire(START + 20 * 60_000)


def test_canceling_an_unscheduled_task_gives_it_a_run() -> None:
    """A task without runs is canceled in a run that was created as an exception."""
    change = transitions.cancel(task(), START)
    assert change is not None
    [run] = change.after.runs
    assert (run.reason_created, run.reason_resolved, run.state) == ("exception", "canceled", "exception")


def test_a_task_has_at_most_50_runs() -> None:
    """A rerun is refused when there are 50 runs, and never leaves more retries than there is room for."""
    status = task(0)
    while (change := transitions.rerun(status, START, 49)) is not None:
        assert len(change.after.runs) + change.after.retries_left <= MAX_RUNS
        canceled = transitions.cancel(change.after, START)
        assert canceled is not None
        status = canceled.after
    assert len(status.runs) == MAX_RUNS


def test_the_rank_orders_by_priority_and_then_by_time() -> None:
    """A higher priority comes first whatever the time, and within one the longest waiting."""
    ranks = [priorities.rank(p, t) for p in priorities.LADDER for t in (START, START + 1, START + 10**9)]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    assert max(ranks) < 2**53
