"""The supervisor: order, failure, restart of one, and an end that neither hangs nor breaks off."""

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox import errors
from tcbox.runtime import LoopSpec, OrderError, Registry, StartFailed, Supervisor, expose
from tests.support.waiting import asleep, eventually


class Part:
    """A service that writes down what happens to it."""

    def __init__(self, name, events, *, fail=None, closing=None, turn=None):
        self.name, self.events, self.fail, self.closing = name, events, fail, closing
        self.requires = ()
        self.loops = [LoopSpec("work", 1000, turn)] if turn else []

    async def start(self, stack):
        self.events.append(f"start {self.name}")
        stack.push_async_callback(self.close)
        if self.fail:
            raise self.fail

    def drain(self):
        self.events.append(f"drain {self.name}")

    async def close(self):
        if self.closing:
            await self.closing()
        self.events.append(f"close {self.name}")


@pytest.fixture
def events():
    return []


@pytest.fixture
def clock():
    return clocks.VirtualClock(still=True)


@pytest.fixture
def supervisor(clock):
    return Supervisor(clock, drain_seconds=0.1)


def add(supervisor, events, name, *requires, **how):
    supervisor.add(name, lambda: Part(name, events, **how), requires=requires)


async def test_parts_start_in_order_and_stop_in_reverse(supervisor, events):
    """Each part starts after those that it requires; all drain before the first closes, the last started first."""
    add(supervisor, events, "queue", "auth", "object")
    add(supervisor, events, "object", "auth")
    add(supervisor, events, "auth")
    await supervisor.start()
    assert events == ["start auth", "start object", "start queue"]
    assert {status["state"] for status in supervisor.status().values()} == {"healthy"}
    events.clear()
    await supervisor.stop()
    assert events == ["drain queue", "drain object", "drain auth", "close queue", "close object", "close auth"]
    assert {status["state"] for status in supervisor.status().values()} == {"stopped"}
    events.clear()
    await supervisor.stop()
    assert events == []


async def test_a_circle_is_refused_before_anything_starts(supervisor, events):
    """Parts that require each other in a circle are named in order, and nothing is started."""
    add(supervisor, events, "a", "b")
    add(supervisor, events, "b", "c")
    add(supervisor, events, "c", "b")
    with pytest.raises(OrderError, match="b → c → b"):
        await supervisor.start()
    assert events == []


async def test_a_missing_requirement_is_named(supervisor, events):
    """A part that requires one that is not there says which, and what to do."""
    add(supervisor, events, "queue", "auth")
    with pytest.raises(OrderError, match="queue requires auth, which is not there: switch auth on, or queue off"):
        await supervisor.start()


async def test_a_part_that_does_not_start_takes_the_others_down_again(supervisor, events):
    """The error says which part and why; what had started, and what the failing part had opened, is closed in order."""
    add(supervisor, events, "auth")
    add(supervisor, events, "queue", "auth", fail=errors.TcboxError("the port is taken: choose another"))
    add(supervisor, events, "late", "queue")
    with pytest.raises(StartFailed, match="queue did not start: the port is taken: choose another"):
        await supervisor.start()
    assert events == ["start auth", "start queue", "close queue", "drain auth", "close auth"]
    status = supervisor.status()
    assert (status["queue"]["state"], status["auth"]["state"], status["late"]["state"]) == ("failed", "stopped", "stopped")
    assert "the port is taken" in status["queue"]["faults"][0]


async def test_a_factory_that_fails_is_named(supervisor):
    """A part that cannot even be made is told like one that does not start; factories may be coroutines."""

    async def broken():
        raise KeyError("x")

    supervisor.add("auth", broken)
    with pytest.raises(StartFailed, match="auth did not start: KeyError"):
        await supervisor.start()


async def test_one_part_is_restarted_while_the_others_go_on(supervisor, events):
    """A restart drains, closes and starts one part anew, touching no other."""
    add(supervisor, events, "auth")
    add(supervisor, events, "queue", "auth")
    await supervisor.start()
    auth, queue = supervisor.part("auth"), supervisor.part("queue")
    events.clear()
    await supervisor.restart("auth")
    assert events == ["drain auth", "close auth", "start auth"]
    assert supervisor.part("queue") is queue
    assert supervisor.part("auth") is not auth
    await supervisor.stop()


async def test_a_restart_with_a_bad_factory_leaves_the_old_one_running(supervisor, events):
    """A new configuration from which no part can be made changes nothing."""
    add(supervisor, events, "auth")
    await supervisor.start()
    old = supervisor.part("auth")

    def bad():
        raise errors.TcboxError("wrong")

    with pytest.raises(StartFailed, match="auth did not start: wrong"):
        await supervisor.restart("auth", bad)
    assert supervisor.part("auth") is old
    assert supervisor.status()["auth"]["state"] == "healthy"
    await supervisor.restart("auth")
    await supervisor.stop()


async def test_a_failed_restart_can_be_tried_again(supervisor, events):
    """A part that fails to start again is failed, alone, until a restart succeeds."""
    add(supervisor, events, "auth")
    add(supervisor, events, "queue", "auth")
    await supervisor.start()
    with pytest.raises(StartFailed):
        await supervisor.restart("queue", lambda: Part("queue", events, fail=RuntimeError("no")))
    assert supervisor.faults("queue") == ["is failed: RuntimeError: no"]
    assert supervisor.faults("auth") == []
    await supervisor.restart("queue", lambda: Part("queue", events))
    assert supervisor.faults("queue") == []
    await supervisor.stop()


async def test_an_unknown_part_is_refused(supervisor, events):
    """Asking for a part that is not there says which there are."""
    add(supervisor, events, "auth")
    with pytest.raises(errors.TcboxError, match="there is no quue; there are: auth"):
        await supervisor.restart("quue")


async def test_what_fails_or_hangs_while_closing_holds_up_nobody(supervisor, events):
    """A part whose closing fails, and one whose closing hangs, are passed over; the rest is closed, in bounded time."""

    async def fail():
        raise RuntimeError("cannot")

    async def hang():
        await asyncio.Event().wait()

    add(supervisor, events, "auth")
    add(supervisor, events, "bad", "auth", closing=fail)
    add(supervisor, events, "slow", "auth", closing=hang)
    await supervisor.start()
    await asyncio.wait_for(supervisor.stop(), 15)
    assert events[-1] == "close auth"
    assert {status["state"] for status in supervisor.status().values()} == {"stopped"}


async def test_a_cancelled_stop_still_closes_everything(supervisor, events):
    """A second interrupt during the end does not leave parts open."""
    begun, gate = asyncio.Event(), asyncio.Event()

    async def closing():
        begun.set()
        await gate.wait()

    supervisor = Supervisor(clocks.SystemClock(), drain_seconds=60)
    add(supervisor, events, "auth")
    add(supervisor, events, "queue", "auth", closing=closing)
    await supervisor.start()
    stopping = asyncio.create_task(supervisor.stop())
    await begun.wait()
    stopping.cancel()
    await asyncio.sleep(0.01)
    assert not stopping.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert events[-2:] == ["close queue", "close auth"]


async def test_a_cancelled_start_closes_what_had_started(supervisor, events):
    """Interrupting the start leaves nothing open."""

    class Slow(Part):
        async def start(self, stack):
            await super().start(stack)
            await asyncio.Event().wait()

    add(supervisor, events, "auth")
    supervisor.add("queue", lambda: Slow("queue", events), requires=("auth",))
    starting = asyncio.create_task(supervisor.start())
    await eventually(lambda: "start queue" in events)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert events[-3:] == ["close queue", "drain auth", "close auth"]


async def test_a_failing_loop_degrades_its_service_alone(supervisor, events, clock):
    """A loop that keeps failing shows in its own service's health and status, and in no other's."""

    async def turn():
        raise RuntimeError("disk full")

    add(supervisor, events, "auth")
    add(supervisor, events, "queue", "auth", turn=turn)
    await supervisor.start()
    await asleep(clock)
    assert supervisor.status()["queue"]["state"] == "healthy"
    for pause in (1000, 2000):
        clock.advance(pause)
        await asleep(clock)
    status = supervisor.status()
    assert (status["queue"]["state"], status["auth"]["state"]) == ("degraded", "healthy")
    assert status["queue"]["faults"] == ["loop work failed 3 times in a row, last with RuntimeError: disk full"]
    assert status["queue"]["loops"]["work"]["in_a_row"] == 3
    await supervisor.stop()


async def test_reported_faults_show_until_cleared(supervisor, events):
    """What a part reports, or a watched check finds, makes it degraded for as long as it lasts."""
    add(supervisor, events, "auth")
    await supervisor.start()
    health = supervisor.health("auth")
    health.report("database", "is read-only")
    assert supervisor.faults("auth") == ["database: is read-only"]
    assert supervisor.status()["auth"]["state"] == "degraded"
    health.clear("database")
    assert supervisor.faults("auth") == []
    health.watch("disk", lambda: 1 / 0)
    assert "disk: its check failed: ZeroDivisionError" in supervisor.faults("auth")[0]
    health.unwatch("disk")
    await supervisor.stop()


async def test_loops_stop_before_their_service_closes(supervisor, events, clock):
    """No turn is under way any more when a service's resources are closed."""
    running = False

    async def turn():
        nonlocal running
        running = True
        try:
            await asyncio.Event().wait()
        finally:
            running = False

    async def closing():
        events.append(f"running {running}")

    add(supervisor, events, "queue", turn=turn, closing=closing)
    await supervisor.start()
    await eventually(lambda: running)
    await supervisor.stop()
    assert "running False" in events


async def test_uptime_counts_only_while_running(supervisor, events):
    """A part that does not run has no uptime, and is not healthy."""
    add(supervisor, events, "auth")
    assert supervisor.uptime("auth") == 0
    assert supervisor.faults("auth") == ["is stopped"]
    await supervisor.start()
    assert supervisor.uptime("auth") > 0
    await supervisor.stop()
    assert supervisor.uptime("auth") == 0


async def test_the_supervisor_is_seen_in_metrics(supervisor, events, clock):
    """Health and loops of every part stand among the metrics, as they are when somebody asks."""

    async def turn():
        pass

    add(supervisor, events, "queue", turn=turn)
    registry = Registry()
    expose(registry, supervisor)
    assert 'tcbox_service_healthy{service="queue"} 0' in registry.render()
    await supervisor.start()
    await asleep(clock)
    text = registry.render()
    assert 'tcbox_service_healthy{service="queue"} 1' in text
    assert 'tcbox_loop_runs_total{service="queue",loop="work"} 1' in text
    await supervisor.stop()
