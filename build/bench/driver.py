"""One scenario against a running instance, in a process of its own; prints one JSON line.

usage: driver.py ROOT_URL CLIENT_ID ACCESS_TOKEN SCENARIO CLIENTS OPERATIONS [server=PID[+PID...],... [GROUPS]]

Of several root URLs, with commas between them, each client takes one in turn. The CPU of the processes that are named is
measured over the same time as the operations. So many task groups are at work at the same time, one unless it is said.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from typing import Any
from urllib.parse import quote

import usage
import uvloop
from wire import Client, Signer, slugid, wire_time

QUEUE = "bench/load"
POOL = 200
SIZES = {"sixteen": 16}
"""How many tasks one operation of a scenario is about, where it is more than one."""


class Scenarios:
    """The operations; each is one method that does one of them with a given client."""

    def __init__(self, client_id: str, token: str, groups: int) -> None:
        self.client_id, self.token = client_id, token
        self.groups = [slugid() for _ in range(groups)]
        self.tasks: list[str] = []
        self.queue = f"bench/q-{slugid().lower().replace('_', 'x').replace('-', 'y')}"
        self.created, self.deadline, self.expires = wire_time(0), wire_time(86400), wire_time(10 * 86400)

    def definition(self) -> dict[str, object]:
        provisioner, worker_type = self.queue.split("/")
        return {
            "provisionerId": provisioner, "workerType": worker_type, "schedulerId": "bench", "taskGroupId": random.choice(self.groups),
            "created": self.created, "deadline": self.deadline, "expires": self.expires, "priority": "low", "scopes": [], "routes": [],
            "payload": {"image": "debian:12", "command": ["/bin/bash", "-c", "echo hello; sleep 1"], "maxRunTime": 600, "env": {"A": "1", "B": "2"}},
            "metadata": {"name": "bench", "description": "a task of the bench", "owner": "bench@example.com", "source": "https://example.com/bench"},
            "tags": {"kind": "bench"}, "extra": {"n": 1},
        }  # fmt: skip

    async def create(self, client: Client) -> str:
        task_id = slugid()
        await client.call("PUT", "queue", f"/task/{task_id}", self.definition())
        if len(self.tasks) < POOL:
            self.tasks.append(task_id)
        return task_id

    async def status(self, client: Client) -> None:
        await client.call("GET", "queue", f"/task/{random.choice(self.tasks)}/status")

    async def _claimed(self, client: Client, tasks: int = 1) -> list[tuple[dict[str, Any], Signer]]:
        """Tasks, at most so many, and what signs with the credentials of each."""
        reply = await client.call("POST", "queue", f"/claim-work/{quote(self.queue, safe='')}", {"workerGroup": "bench", "workerId": "w1", "tasks": tasks})
        found = [(task, task["credentials"]) for task in json.loads(reply)["tasks"]]
        return [(task, Signer(made["clientId"], made["accessToken"], made["certificate"], client.host, client.port)) for task, made in found]

    async def claim(self, client: Client, tasks: int = 1) -> None:
        for task, signer in await self._claimed(client, tasks):
            await client.call("POST", "queue", f"/task/{task['status']['taskId']}/runs/{task['runId']}/completed", signer=signer)

    async def lifecycle(self, client: Client) -> None:
        await self.create(client)
        await self.claim(client)

    async def sixteen(self, client: Client) -> None:
        """What a worker with room for many tasks asks for."""
        for _ in range(SIZES["sixteen"]):
            await self.create(client)
        await self.claim(client, SIZES["sixteen"])

    async def whole(self, client: Client) -> None:
        """What a task of a CI costs: created, claimed, its claim renewed, three artifacts, completed, and its status asked for."""
        task_id = await self.create(client)
        ((task, signer),) = await self._claimed(client)
        run = f"/task/{task['status']['taskId']}/runs/{task['runId']}"
        for name in ("live_backing.log", "target.tar.gz", "target.json"):
            asked = {"storageType": "s3", "contentType": "text/plain", "expires": self.expires}
            await client.call("POST", "queue", f"{run}/artifacts/{quote(f'public/{name}', safe='')}", asked, signer=signer)
        reply = json.loads(await client.call("POST", "queue", f"{run}/reclaim", signer=signer))["credentials"]
        signer = Signer(reply["clientId"], reply["accessToken"], reply["certificate"], client.host, client.port)
        await client.call("POST", "queue", f"{run}/completed", signer=signer)
        await client.call("GET", "queue", f"/task/{task_id}/status")

    async def secret_set(self, client: Client) -> None:
        name = f"bench%2Fs{random.randrange(POOL)}"
        await client.call("PUT", "secrets", f"/secret/{name}", {"secret": {"user": "u", "password": "x" * 200}, "expires": self.expires})

    async def secret_get(self, client: Client) -> None:
        await client.call("GET", "secrets", f"/secret/bench%2Fs{random.randrange(POOL)}")

    async def hawk(self, client: Client) -> None:
        target = "/api/queue/v1/task/" + slugid()
        header = Signer(self.client_id, self.token, None, "tc.example.com", 443).header("GET", target, None)
        asked = {"method": "get", "resource": target, "host": "tc.example.com", "port": 443, "authorization": header}
        reply = await client.call("POST", "auth", "/authenticate-hawk", asked, signed=False)
        if b"auth-success" not in reply:
            raise RuntimeError(reply.decode())

    async def ping(self, client: Client) -> None:
        await client.call("GET", "queue", "/ping", signed=False)

    async def prepare(self, scenario: str, clients: list[Client], operations: int) -> None:
        needed = {"status": POOL, "claim": operations + 200, "lifecycle": len(clients), "whole": len(clients)}.get(scenario, 0)
        await _share(clients, needed, self.create)
        if scenario == "secret_get":
            for index in range(POOL):
                await clients[0].call("PUT", "secrets", f"/secret/bench%2Fs{index}", {"secret": {"password": "x" * 200}, "expires": self.expires})

    async def pickup(self, clients: list[Client], rounds: int) -> list[float]:
        """Seconds from createTask's sending to the reply of a claimWork that was waiting."""
        waiting, creating = clients[0], clients[1]
        taken = []
        for _ in range(rounds):
            claim = asyncio.create_task(
                waiting.call("POST", "queue", f"/claim-work/{quote(self.queue, safe='')}", {"workerGroup": "bench", "workerId": "w1", "tasks": 1})
            )
            await asyncio.sleep(0.02 + random.random() / 20)
            started = time.perf_counter()
            await self.create(creating)
            if not json.loads(await claim)["tasks"]:
                raise RuntimeError("a waiting claim came back empty")
            taken.append(time.perf_counter() - started)
        return taken


async def _share(clients: list[Client], count: int, operation: object) -> list[float]:
    """Share so many operations among the clients; how long each took, in seconds."""
    left = iter(range(count))
    taken: list[float] = []

    async def work(client: Client) -> None:
        for _ in left:
            started = time.perf_counter()
            await operation(client)  # type: ignore[operator]
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(work(client) for client in clients))
    return taken


async def main() -> None:
    root, client_id, token, scenario, concurrency, operations = sys.argv[1:7]
    watched = usage.parse(sys.argv[7]) if len(sys.argv) > 7 else {}
    count, roots = int(operations), root.split(",")
    clients = [await Client(roots[index % len(roots)], client_id, token).connect() for index in range(max(2, int(concurrency)))]
    scenarios = Scenarios(client_id, token, int(sys.argv[8]) if len(sys.argv) > 8 else 1)
    working = clients[: int(concurrency)]
    await scenarios.prepare(scenario, clients, count)
    if scenario not in ("pickup", "claim"):
        await _share(working, min(200, count // 5), getattr(scenarios, scenario))
    before, own, started = usage.seconds(watched), _own_cpu(), time.perf_counter()
    taken = await scenarios.pickup(clients, count) if scenario == "pickup" else await _share(working, count, getattr(scenarios, scenario))
    wall = time.perf_counter() - started
    after = usage.seconds(watched)
    done = len(taken) * SIZES.get(scenario, 1)
    used = {f"{name}_cpu_us": round((after[name] - before[name]) / done * 1e6) for name in watched}
    taken.sort()

    def at(share: float) -> float:
        return round(taken[min(len(taken) - 1, int(len(taken) * share))] * 1000, 2)

    print(json.dumps({
        "scenario": scenario, "clients": int(concurrency), "operations": len(taken), "per_second": round(done / wall, 1),
        "p50": at(0.5), "p95": at(0.95), "p99": at(0.99),
        **used, "driver_cpu_us": round((_own_cpu() - own) / done * 1e6),
    }))  # fmt: skip


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


uvloop.run(main())
