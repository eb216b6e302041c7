"""With very many workers and errors, pools are still listed, counted and provisioned at once.

`TCBOX_SCALE` says how many errors, 100,000 unless it is set, and a tenth as many workers.
"""

import os
import sqlite3
import time

import pytest
import taskcluster

from tests.support.box import Box
from tests.support.processes import busy

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("TCBOX_SCALE", "100000"))
POOLS = 100
CONFIG = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\nproviders:\n  aws: {type: aws}\n"
SOON = 0.5
"""Seconds of the server's processor time that each call may take."""


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A running instance with that many workers and errors."""
    made = Box(tmp_path_factory.mktemp("many-workers"), CONFIG).start()
    made.stop()
    fill(made.data / "tcbox.db")
    made.start()
    yield made
    made.stop()


def fill(path):
    """A hundred pools, each with its part of the workers and errors; half of the workers have stopped."""
    now = int(time.time() * 1000)
    config = '{"minCapacity":0,"maxCapacity":0,"launchConfigs":[]}'
    with sqlite3.connect(path) as connection:
        pools = ((f"fill/p{n:02}", "aws", "[]", "o@example.com", 0, now, now, "", config) for n in range(POOLS))
        connection.executemany(f"INSERT INTO worker_manager_pools VALUES ({', '.join('?' * 9)})", pools)
        workers = (
            (
                f"fill/p{n % POOLS:02}", "g", f"w{n:07}", "aws", f"lc-{n % 7}", "running" if n % 2 else "stopped", 2, now - n, now + 10**9, now, now, now,
                now + 10**9, 10**9, 10**9, None, None, None, None, "{}", None,
            )
            for n in range(COUNT // 10)
        )  # fmt: skip
        connection.executemany(f"INSERT INTO worker_manager_workers VALUES ({', '.join('?' * 21)})", workers)
        errors = ((f"fill/p{n % POOLS:02}", f"e{n:021}", now - n, "k", f"t{n % 5}", "other", None, "d", None, 0, "", "{}") for n in range(COUNT))
        connection.executemany(f"INSERT INTO worker_manager_errors VALUES ({', '.join('?' * 12)})", errors)
    connection.close()


def test_all_is_answered_at_once(box):
    """Each list, count and look-up is answered soon among so many, and the loops get through their rounds."""
    manager = taskcluster.WorkerManager(box.options)
    seconds = {}

    def soon(call, *args, **query):
        before = busy(box.pid)
        reply = call(*args, **query)
        name = call.__name__ if hasattr(call, "__name__") else str(call)
        seconds[name] = max(seconds.get(name, 0), busy(box.pid) - before)
        return reply

    assert len(soon(manager.listWorkerPools)["workerPools"]) == POOLS
    stats = soon(manager.listWorkerPoolsStats)["workerPoolsStats"]
    assert sum(each["runningCount"] + each["stoppedCount"] for each in stats) == COUNT // 10
    name = "fill/p01"
    assert soon(manager.workerPool, name)["runningCount"] == COUNT // 10 // POOLS
    assert len(soon(manager.workerPoolStats, name)["launchConfigStats"]) == 7
    page = soon(manager.listWorkersForWorkerPool, name, query={"limit": "10", "state": "running"})
    assert len(page["workers"]) == min(10, COUNT // 10 // POOLS) and page["workers"][0]["workerId"] == "w0000001"
    soon(manager.listWorkersForWorkerGroup, name, "g")
    assert soon(manager.worker, name, "g", "w0000001")["capacity"] == 2
    assert len(soon(manager.listWorkers, "fill", "p01", query={"limit": "10"})["workers"]) == min(10, COUNT // 10 // POOLS)
    assert len(soon(manager.listWorkerPoolErrors, name, query={"limit": "100"})["workerPoolErrors"]) == 100
    assert soon(manager.workerPoolErrorStats, query={"workerPoolId": name})["totals"]["total"] == COUNT // POOLS
    assert max(seconds.values()) < SOON, seconds
    before = busy(box.pid)
    assert manager.workerPoolErrorStats()["totals"]["total"] == COUNT
    assert busy(box.pid) - before < SOON * max(1, COUNT / 100_000), "it counts every error there is"
    manager.heartbeat()
