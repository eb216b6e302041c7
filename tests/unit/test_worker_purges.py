"""What a worker remembers of the requests to purge caches."""

import pytest

from tcbox import clock as clocks
from tcbox import errors
from tcbox.workers.purges import Purges

SKEW = 5 * clocks.MINUTE


class Service:
    """Answers as purge-cache does, or fails as it is told."""

    def __init__(self, clock):
        self.clock, self.requests, self.asked, self.failure = clock, {}, [], None

    def purge(self, pool, name):
        self.requests[pool, name] = self.clock.now()

    async def call(self, service, method, pool, *, query=None):
        assert (service, method) == ("purge-cache", "purgeRequests")
        since = clocks.from_wire(query["since"]) if query else None
        self.asked.append((pool, since))
        if self.failure:
            raise self.failure
        found = [(name, at) for (of, name), at in self.requests.items() if of == pool and at >= (since or 0)]
        return {"requests": [{"cacheName": name, "before": clocks.to_wire(at)} for name, at in found]}


@pytest.fixture
def service(clock):
    return Service(clock)


@pytest.fixture
def purges(clock):
    return Purges(clock)


async def test_caches_from_before_a_request_must_go(purges, service, clock):
    """A cache of the requested name that was made before, or within five minutes after, must go; others may stay."""
    service.purge("p/a", "mine")
    await purges.ask(service, "p/a")
    now = clock.now()
    assert purges.purged("mine", now - clocks.DAY)
    assert purges.purged("mine", now + SKEW - clocks.MINUTE)
    assert not purges.purged("mine", now + SKEW + clocks.MINUTE)
    assert not purges.purged("other", now - clocks.DAY)


async def test_each_queue_is_asked_for_what_is_new_there(purges, service, clock):
    """The first question about a queue is about all requests, the next only about new ones; what one queue said stays known."""
    service.purge("p/b", "mine")
    clock.advance(clocks.HOUR)
    await purges.ask(service, "p/a")
    assert not purges.purged("mine", clock.now() - 2 * clocks.HOUR)
    await purges.ask(service, "p/b")
    assert purges.purged("mine", clock.now() - 2 * clocks.HOUR)
    assert [purges.purged("mine", clock.now() - 2 * clocks.HOUR, queue) for queue in ("p/a", "p/b")] == [False, True]
    await purges.ask(service, "p/b")
    assert [(pool, since is not None) for pool, since in service.asked] == [("p/a", False), ("p/b", False), ("p/b", True)]
    assert abs(service.asked[-1][1] - (clock.now() - SKEW)) < 5000
    assert purges.purged("mine", clock.now() - 2 * clocks.HOUR)


async def test_an_instance_that_cannot_tell(purges, service, clock):
    """Where there is no purge-cache nothing is purged, and it is asked again after ten minutes; other failures at the next task."""
    service.failure = errors.ResourceNotFound("no such service")
    await purges.ask(service, "p/a")
    await purges.ask(service, "p/a")
    assert len(service.asked) == 1
    clock.advance(11 * clocks.MINUTE)
    service.failure = errors.Unavailable("not now")
    await purges.ask(service, "p/a")
    service.failure = None
    service.purge("p/a", "mine")
    await purges.ask(service, "p/a")
    assert len(service.asked) == 3
    assert service.asked[-1] == ("p/a", None)
    assert purges.purged("mine", clock.now() - clocks.DAY)
