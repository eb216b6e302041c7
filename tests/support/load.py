"""The full life of tasks against a cluster, again and again, whatever happens to it; and what must hold afterwards."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time

from tcbox import clock as clocks
from tcbox import errors, ids
from tcbox.client.http import Credentials, Http
from tests.support import definitions
from tests.support.amqp import Listener

EXCHANGE = "exchange/taskcluster-queue/v1/"
WATCHED = ("task-defined", "task-completed")


class Load:
    """Makes and does tasks, and calls all other services beside, until it ends; every answer and every refusal is remembered.

    Attributes:
        refused_at: when each refusal came, by time.monotonic(); `refusals` has the same in words.
        longest: seconds that the longest call took, answered or not.
    """

    def __init__(self, cluster, session):
        made = cluster.options["credentials"]
        self.http = Http(cluster.root_url, Credentials(made["clientId"], made["accessToken"]), session=session, clock=clocks.SystemClock(), retries=0)
        self.created: set[str] = set()
        self.completed: set[str] = set()
        self.secrets: dict[str, int] = {}
        self.claims: collections.Counter[tuple[str, int]] = collections.Counter()
        self.refusals: list[str] = []
        self.refused_at: list[float] = []
        self.longest = 0.0
        self.statuses: set[int] = set()
        self.calls = 0
        self._stopping = False
        self._name = ids.slugid()[:6].lower().replace("_", "a").replace("-", "b")
        self._tasks: list[asyncio.Task[None]] = []
        self.queue = f"load/q{self._name}"

    async def __aenter__(self):
        works = [self.create(), self.create(), self.read(), self.write(), *(self.work(f"w{n}") for n in range(4))]
        self._tasks = [asyncio.create_task(work) for work in works]
        return self

    async def __aexit__(self, *_):
        self._stopping = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), 90)

    async def call(self, service, *args, **kwargs):
        """One call; None when it was refused."""
        self.calls += 1
        began = time.monotonic()
        try:
            return await self.http.call(service, *args, **kwargs) or {}
        except errors.ApiError as error:
            self.statuses.add(error.status)
            self.refused_at.append(time.monotonic())
            self.refusals.append(f"{time.strftime('%H:%M:%S')} {service}.{args[0]}: {error.status} {str(error)[:300]}")
            await asyncio.sleep(0.1)
            return None
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    async def create(self):
        while not self._stopping:
            task_id = ids.slugid()
            definition = definitions.task(self.queue, routes=[f"index.load.{self._name}.{task_id}"])
            if await self.call("queue", "createTask", task_id, payload=definition) is not None:
                self.created.add(task_id)
            await asyncio.sleep(0.05)

    async def work(self, name):
        while not self._stopping:
            reply = await self.call("queue", "claimWork", self.queue, payload={"workerGroup": "g", "workerId": name, "tasks": 2})
            for claim in (reply or {"tasks": []})["tasks"]:
                task_id, run_id = claim["status"]["taskId"], claim["runId"]
                self.claims[task_id, run_id] += 1
                await self.call("queue", "reclaimTask", task_id, str(run_id))
                artifact = {"storageType": "reference", "contentType": "text/html", "url": "https://example.com/", "expires": definitions.wire(hours=10)}
                await self.call("queue", "createArtifact", task_id, str(run_id), "public/page", payload=artifact)
                if await self.call("queue", "reportCompleted", task_id, str(run_id)) is not None:
                    self.completed.add(task_id)

    async def read(self):
        while not self._stopping:
            if self.created:
                await self.call("queue", "status", next(iter(self.created)))
            for service, method, *args in (
                ("auth", "currentScopes"), ("index", "listNamespaces", "load"), ("hooks", "listHookGroups"), ("worker-manager", "listWorkerPools"),
                ("purge-cache", "allPurgeRequests"), ("notify", "listDenylist"), ("github", "builds"), ("object", "ping"), ("web-server", "ping"),
            ):  # fmt: skip
                await self.call(service, method, *args)
            await asyncio.sleep(0.05)

    async def write(self):
        number = 0
        while not self._stopping:
            number += 1
            name = f"load/{self._name}/{number % 5}"
            payload = {"secret": {"n": number}, "expires": definitions.wire(days=1)}
            if await self.call("secrets", "set", name, payload=payload) is not None:
                self.secrets[name] = number
            else:
                self.secrets.pop(name, None)  # not known whether it was written
            await asyncio.sleep(0.1)

    async def settled(self):
        """Hold what is there against all that was answered."""
        print(f"{self.calls} calls, {len(self.refusals)} refused, {len(self.created)} tasks created, {len(self.completed)} completed")
        assert len(self.completed) > 20, "the load was too small to prove anything"
        states = {}
        listed = sorted(self.created)
        for start in range(0, len(listed), 200):
            reply = await self.call("queue", "statuses", payload={"taskIds": listed[start : start + 200]})
            states |= {entry["taskId"]: entry["status"]["state"] for entry in reply["statuses"]}
        assert set(states) == self.created, "answered tasks are missing"
        assert {states[task_id] for task_id in self.completed & self.created} <= {"completed"}
        assert max(self.claims.values()) == 1, "a run was given to two"
        for name, number in self.secrets.items():
            assert (await self.call("secrets", "get", name))["secret"] == {"n": number}
        for task_id in sorted(self.completed)[:: max(1, len(self.completed) // 50)] + sorted(self.completed)[-5:]:
            await self._indexed(task_id)

    async def _indexed(self, task_id):
        """What was announced of a task has reached the index, whoever had the subscription then."""
        end = time.monotonic() + 40
        while True:
            with contextlib.suppress(errors.ResourceNotFound):
                assert (await self.http.call("index", "findTask", f"load.{self._name}.{task_id}"))["taskId"] == task_id
                return
            assert time.monotonic() < end, f"{task_id} is not in the index"
            await asyncio.sleep(0.3)


def listener(cluster):
    """What another maker's client hears of the tasks from now on."""
    return Listener(cluster.rabbitmq, [(f"{EXCHANGE}{name}", "#") for name in WATCHED])


def all_told(listener, load):
    """Every task that was answered for was announced outside."""

    def told(kind):
        return {each["body"]["status"]["taskId"] for each in listener.got if each["exchange"] == EXCHANGE + kind}

    listener.until(lambda _: load.created <= told("task-defined") and load.completed <= told("task-completed"), 60)
