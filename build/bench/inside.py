"""How long instances inside a test's process take to start and to stop, each used over HTTP in between.

usage: inside.py ROUNDS

Prints a row an instance as JSON, the process's first before the others: milliseconds of real time, and of CPU of the whole
process, to ready and for the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import ExitStack

from wire import Client, slugid, wire_time


async def use(root_url: str, credentials: dict[str, str]) -> None:
    """Create a task, and claim it: what is called ready can do so."""
    client = await Client(root_url, credentials["clientId"], credentials["accessToken"]).connect()
    task_id = slugid()
    definition = {
        "taskQueueId": "test/worker", "created": wire_time(0), "deadline": wire_time(3600), "payload": {},
        "metadata": {"name": "inside", "description": "does nothing", "owner": "bench@example.com", "source": "https://example.com"},
    }  # fmt: skip
    await client.call("PUT", "queue", f"/task/{task_id}", definition)
    claim = await client.call("POST", "queue", "/claim-work/test%2Fworker", {"workerGroup": "bench", "workerId": "bench", "tasks": 1})
    assert [task["status"]["taskId"] for task in json.loads(claim)["tasks"]] == [task_id]
    client.connection.transport.close()


def one() -> dict[str, float]:
    """Start, use and stop an instance; what it took."""
    times = [(time.perf_counter(), time.process_time())]
    from tcbox.testing import start  # what importing it takes is part of the first start

    with ExitStack() as stack:
        taskcluster = stack.enter_context(start())
        times.append((time.perf_counter(), time.process_time()))
        asyncio.run(use(taskcluster.root_url, taskcluster.credentials))
        times.append((time.perf_counter(), time.process_time()))
    times.append((time.perf_counter(), time.process_time()))
    begun, ready, used, ended = times
    parts = {"ready": (begun, ready), "stop": (used, ended)}
    return {f"{name}{what}": (after[at] - before[at]) * 1000 for name, (before, after) in parts.items() for at, what in enumerate(("", "_cpu"))}


print(json.dumps([one() for _ in range(int(sys.argv[1]) + 1)]))
