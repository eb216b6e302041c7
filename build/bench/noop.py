"""Milliseconds from createTask to the resolution of a no-op task on the host worker, the median.

usage: noop.py ROOT_URL CLIENT_ID ACCESS_TOKEN ROUNDS
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time

from wire import Client, slugid, wire_time


async def one(client: Client) -> float:
    task_id = slugid()
    definition = {
        "taskQueueId": "local/host", "created": wire_time(0), "deadline": wire_time(3600), "expires": wire_time(7200),
        "payload": {"command": [["true"]], "maxRunTime": 60},
        "metadata": {"name": "noop", "description": "does nothing", "owner": "bench@example.com", "source": "https://example.com"},
    }  # fmt: skip
    started = time.perf_counter()
    await client.call("PUT", "queue", f"/task/{task_id}", definition)
    while True:
        state = json.loads(await client.call("GET", "queue", f"/task/{task_id}/status"))["status"]["state"]
        if state == "completed":
            return (time.perf_counter() - started) * 1000
        if state not in ("pending", "running"):
            raise SystemExit(f"the no-op task ended as {state}")
        await asyncio.sleep(0.003)


async def main() -> None:
    root, client_id, token, rounds = sys.argv[1:5]
    client = await Client(root, client_id, token).connect()
    await asyncio.sleep(1)
    print(statistics.median([await one(client) for _ in range(int(rounds))]))


asyncio.run(main())
