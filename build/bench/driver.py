"""One scenario against a running instance, in a process of its own; prints one JSON line.

usage: driver.py ROOT_URL CLIENT_ID ACCESS_TOKEN SCENARIO CLIENTS OPERATIONS [SERVER_PID]
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from pathlib import Path
from urllib.parse import quote

import uvloop
from wire import Client, Signer, slugid, wire_time

QUEUE = "bench/load"
POOL = 200


class Scenarios:
    """The operations; each is one method that does one of them with a given client."""

    def __init__(self, root: str, client_id: str, token: str) -> None:
        self.root, self.client_id, self.token = root, client_id, token
        self.group = slugid()
        self.tasks: list[str] = []
        self.queue = f"bench/q-{slugid().lower().replace('_', 'x').replace('-', 'y')}"
        self.created, self.deadline, self.expires = wire_time(0), wire_time(86400), wire_time(10 * 86400)

    def definition(self) -> dict[str, object]:
        provisioner, worker_type = self.queue.split("/")
        return {
            "provisionerId": provisioner, "workerType": worker_type, "schedulerId": "bench", "taskGroupId": self.group,
            "created": self.created, "deadline": self.deadline, "expires": self.expires, "priority": "low", "scopes": [], "routes": [],
            "payload": {"image": "debian:12", "command": ["/bin/bash", "-c", "echo hello; sleep 1"], "maxRunTime": 600, "env": {"A": "1", "B": "2"}},
            "metadata": {"name": "bench", "description": "a task of the bench", "owner": "bench@example.com", "source": "https://example.com/bench"},
            "tags": {"kind": "bench"}, "extra": {"n": 1},
        }  # fmt: skip

    async def create(self, client: Client) -> None:
        task_id = slugid()
        await client.call("PUT", "queue", f"/task/{task_id}", self.definition())
        if len(self.tasks) < POOL:
            self.tasks.append(task_id)

    async def status(self, client: Client) -> None:
        await client.call("GET", "queue", f"/task/{random.choice(self.tasks)}/status")

    async def claim(self, client: Client) -> None:
        reply = await client.call("POST", "queue", f"/claim-work/{quote(self.queue, safe='')}", {"workerGroup": "bench", "workerId": "w1", "tasks": 1})
        task = json.loads(reply)["tasks"][0]
        made = task["credentials"]
        signer = Signer(made["clientId"], made["accessToken"], made["certificate"], client.host, client.port)
        await client.call("POST", "queue", f"/task/{task['status']['taskId']}/runs/{task['runId']}/completed", signer=signer)

    async def lifecycle(self, client: Client) -> None:
        await self.create(client)
        await self.claim(client)

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
        needed = {"status": POOL, "claim": operations + 200, "lifecycle": len(clients)}.get(scenario, 0)
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


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main() -> None:
    root, client_id, token, scenario, concurrency, operations = sys.argv[1:7]
    pid = int(sys.argv[7]) if len(sys.argv) > 7 else 0
    count = int(operations)
    clients = [await Client(root, client_id, token).connect() for _ in range(max(2, int(concurrency)))]
    scenarios = Scenarios(root, client_id, token)
    used = clients[: int(concurrency)]
    await scenarios.prepare(scenario, clients, count)
    if scenario not in ("pickup", "claim"):
        await _share(used, min(200, count // 5), getattr(scenarios, scenario))
    server, own, started = cpu_of(pid) if pid else 0.0, _own_cpu(), time.perf_counter()
    taken = await scenarios.pickup(clients, count) if scenario == "pickup" else await _share(used, count, getattr(scenarios, scenario))
    wall = time.perf_counter() - started
    taken.sort()

    def at(share: float) -> float:
        return round(taken[min(len(taken) - 1, int(len(taken) * share))] * 1000, 2)

    print(json.dumps({
        "scenario": scenario, "clients": int(concurrency), "operations": len(taken), "per_second": round(len(taken) / wall, 1),
        "p50": at(0.5), "p95": at(0.95), "p99": at(0.99),
        "server_cpu_us": round(((cpu_of(pid) if pid else 0.0) - server) / len(taken) * 1e6), "driver_cpu_us": round((_own_cpu() - own) / len(taken) * 1e6),
    }))  # fmt: skip


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


uvloop.run(main())
