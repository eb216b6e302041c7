"""Which volume a docker task gets for a cache."""

from __future__ import annotations

import json

import pytest

from tcbox import clock as clocks
from tcbox.workers.docker.caches import Caches


class Engine:
    """Volumes of an engine, by name with their labels."""

    def __init__(self) -> None:
        self.volumes: dict[str, dict[str, str]] = {}

    async def call(self, verb, path, *, query=None, body=None):
        if verb == "POST":
            self.volumes[body["Name"]] = body["Labels"]
        if verb == "DELETE":
            del self.volumes[path.removeprefix("/volumes/")]
        if verb == "GET":
            wanted = [each.split("=", 1) for each in json.loads(query["filters"])["label"]]
            found = [(name, labels) for name, labels in self.volumes.items() if all(labels.get(key) == value for key, value in wanted)]
            return {"Volumes": [{"Name": name, "Labels": labels} for name, labels in found]}
        return None


class Http:
    """Answers that a cache is to be purged on one queue."""

    def __init__(self, queue: str, name: str, before: int) -> None:
        self.queue, self.requests = queue, [{"cacheName": name, "before": clocks.to_wire(before)}]

    async def call(self, service, method, queue, *, query=None):
        return {"requests": self.requests if queue == self.queue else []}


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def clock():
    return clocks.VirtualClock()


@pytest.fixture
def caches(tmp_path, engine, clock):
    return Caches(engine, tmp_path / "volumes", clock, "mine", keep=2, token="t")


async def test_each_queue_has_caches_of_its_own(caches, engine):
    """A task finds what tasks of its own queue left, and never what those of another queue left under the same name."""
    first = await caches.take("p/a", "c")
    await caches.give_back(first, purge=False)
    other = await caches.take("p/b", "c")
    assert (other.fresh, other.volume != first.volume) == (True, True)
    again = await caches.take("p/a", "c")
    assert (again.fresh, again.volume) == (False, first.volume)
    assert len(engine.volumes) == 2


async def test_a_purge_goes_for_caches_of_its_queue(caches, clock):
    """What is asked for one queue leaves the caches of another."""
    taken = [await caches.take(queue, "c") for queue in ("p/a", "p/b")]
    for cache in taken:
        await caches.give_back(cache, purge=False)
    await caches.purges.ask(Http("p/a", "c", clock.now()), "p/a")
    await caches.purges.ask(Http("p/a", "c", clock.now()), "p/b")
    assert [(await caches.take(queue, "c")).fresh for queue in ("p/a", "p/b")] == [True, False]


async def test_as_many_of_each_queue_are_kept_as_tasks_run_at_once(caches, engine):
    """Volumes beyond those that may be kept go, of the queue's own alone."""
    taken = [await caches.take(queue, "c") for queue in ("p/a", "p/a", "p/a", "p/b")]
    for cache in taken:
        await caches.give_back(cache, purge=False)
    assert sorted(labels["tcbox.cache.queue"] for labels in engine.volumes.values()) == ["p/a", "p/a", "p/b"]


async def test_volumes_that_may_be_of_any_queue_are_removed_at_the_start(caches, engine):
    """A volume of a release that did not tell queues apart is given to no task; other instances' are let be."""
    cache = await caches.take("p/a", "c")
    await caches.give_back(cache, purge=False)
    for name, instance in (("old", "mine"), ("theirs", "other")):
        engine.volumes[name] = {"tcbox.cache": instance, "tcbox.cache.name": "c", "tcbox.cache.made": "1"}
    await caches.recover()
    assert set(engine.volumes) == {cache.volume, "theirs"}
