"""Requests to purge caches, on a real instance: the client from PyPI, and the workers inside, which heed them."""

from __future__ import annotations

import subprocess

import pytest
import taskcluster

from tests.support import definitions, docker_images, proof
from tests.support.tasks import Tasks


@pytest.mark.contract
def test_every_method_by_the_client_from_pypi(quiet_box, request):
    """The unmodified client calls each method of purge-cache with success, and sees each request at once."""
    with proof.by("taskcluster (PyPI)", quiet_box.root_url, request):
        purge = taskcluster.PurgeCache(quiet_box.options)
        assert purge.ping()["alive"]
        assert purge.lbheartbeat() == {}
        assert purge.heartbeat() == {}
        assert purge.version()["version"]
        before = purge.allPurgeRequests()["requests"]
        purge.purgeCache("prov/pool", {"cacheName": "mine"})
        (request,) = purge.purgeRequests("prov/pool")["requests"]
        assert request == {"provisionerId": "prov", "workerType": "pool", "cacheName": "mine", "before": request["before"]}
        assert [each for each in purge.allPurgeRequests()["requests"] if each not in before] == [request]
        purge.purgeCache("prov/pool", {"cacheName": "mine"})
        (again,) = purge.purgeRequests("prov/pool", query={"since": request["before"]})["requests"]
        assert again["before"] > request["before"]
        assert purge.purgeRequests("prov/pool", query={"since": definitions.wire(minutes=1)}) == {"requests": []}
        assert purge.purgeRequests("prov/other") == {"requests": []}
    assert set(taskcluster.PurgeCache.funcinfo) == {"ping", "lbheartbeat", "version", "heartbeat", "purgeCache", "allPurgeRequests", "purgeRequests"}


@pytest.mark.contract
def test_a_purge_reaches_the_caches_of_the_host_worker(make_box):
    """A cache lasts from task to task until its purge is requested for the task's queue, not for another or by another name."""
    box = make_box("workers:\n  docker: {enabled: false}\n  host: {capacity: 1, serve: ['proj/tests']}\n")
    tasks, purge = Tasks(box), taskcluster.PurgeCache(box.options)

    def look(queue: str = "local/host") -> str:
        """What a task finds in its cache; it leaves its mark there."""
        definition = definitions.host("cat c/mark 2>/dev/null || echo empty; echo kept > c/mark", mounts=[{"cacheName": "builds", "directory": "c"}])
        task_id = tasks.run({**definition, "taskQueueId": queue, "scopes": ["generic-worker:cache:builds"]})
        assert tasks.state(task_id) == "completed", tasks.log(task_id)
        lines = tasks.log(task_id).splitlines()
        return "kept" if "kept" in lines else "empty" if "empty" in lines else tasks.log(task_id)

    assert [look(), look()] == ["empty", "kept"]
    purge.purgeCache("local/host", {"cacheName": "other"})
    purge.purgeCache("local/other", {"cacheName": "builds"})
    assert look() == "kept"
    purge.purgeCache("local/host", {"cacheName": "builds"})
    assert look() == "empty"


@pytest.mark.contract
def test_a_purge_for_a_queue_that_is_served_besides(make_box):
    """A worker that serves a project's queue heeds the purges that are requested for that queue."""
    box = make_box("workers:\n  docker: {enabled: false}\n  host: {capacity: 1, serve: ['proj/tests']}\n")
    tasks, purge = Tasks(box), taskcluster.PurgeCache(box.options)

    def look() -> bool:
        definition = definitions.host("test -e c/mark && echo found it; echo kept > c/mark", mounts=[{"cacheName": "builds", "directory": "c"}])
        task_id = tasks.run({**definition, "taskQueueId": "proj/tests", "scopes": ["generic-worker:cache:builds"]})
        assert tasks.state(task_id) == "completed", tasks.log(task_id)
        return "\nfound it\n" in tasks.log(task_id)

    assert [look(), look()] == [False, True]
    purge.purgeCache("proj/tests", {"cacheName": "builds"})
    assert look() is False


@pytest.mark.docker
@pytest.mark.skipif(not docker_images.engine_answers(), reason="needs a Docker engine")
def test_a_purge_reaches_the_caches_of_the_docker_worker(make_box, cache):
    """A docker cache lasts from task to task until its purge is requested, and the engine then has one volume for it."""
    box = make_box("workers:\n  docker: {capacity: 1}\n  host: {enabled: false}\n")
    tasks, purge = Tasks(box), taskcluster.PurgeCache(box.options)
    image = docker_images.ensure()

    def look() -> bool:
        payload = {"image": image, "command": ["sh", "-c", "test -e /c/mark && echo found it; echo kept > /c/mark"], "maxRunTime": 60, "cache": {cache: "/c"}}
        task_id = tasks.run(definitions.task("local/docker", payload, scopes=[f"docker-worker:cache:{cache}"]))
        assert tasks.state(task_id) == "completed", tasks.log(task_id)
        return "found it" in tasks.log(task_id)

    assert [look(), look()] == [False, True]
    (before,) = volumes(cache)
    purge.purgeCache("local/docker", {"cacheName": "other"})
    assert look() is True
    assert volumes(cache) == [before]
    purge.purgeCache("local/docker", {"cacheName": cache})
    assert look() is False
    assert before not in volumes(cache)


def volumes(cache: str) -> list[str]:
    """The engine's volumes of a cache."""
    listed = subprocess.run(["docker", "volume", "ls", "-q", "--filter", f"label=tcbox.cache.name={cache}"], check=True, capture_output=True, text=True)
    return listed.stdout.split()


@pytest.fixture
def cache():
    """A cache's name of the test's own; its volumes are removed when the test ends."""
    name = f"test-{taskcluster.slugId()}"
    yield name
    if left := volumes(name):
        subprocess.run(["docker", "volume", "rm", "-f", *left], check=True, capture_output=True)
