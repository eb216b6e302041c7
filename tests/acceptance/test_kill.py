"""`kill -9` under load, again and again: nothing that was answered is lost, nothing is claimed twice at once."""

import asyncio
import random
import sqlite3

import aiohttp

from tcbox import clock as clocks
from tcbox import errors, ids
from tcbox.client.http import Credentials, Http
from tests.support import definitions

KILLS = 20
QUEUE = "kill/load"
DONE = ("completed", "failed", "exception")
CONFIG = """
services: {queue: {claim_timeout: 3}}
workers:
  docker: {enabled: false}
  host: {enabled: false}
  builtin: {enabled: false}
"""


class Load:
    """Creators and workers that go on whatever happens to the instance, and remember every answer."""

    def __init__(self, box, session):
        made = box.options["credentials"]
        self.credentials = Credentials(made["clientId"], made["accessToken"])
        self.session = session
        self.http = Http(box.root_url, self.credentials, session=session, clock=clocks.SystemClock(), retries=0)
        self.answered: set[str] = set()
        self.held: dict[str, tuple[int, str]] = {}
        self.overlaps: list[str] = []
        self.stopping = False

    async def create(self):
        while not self.stopping:
            task_id = ids.slugid()
            needs = random.sample(sorted(self.answered), 1) if self.answered and random.random() < 0.2 else []
            try:
                await self.http.call("queue", "createTask", task_id, payload=definitions.task(QUEUE, dependencies=needs, requires="all-resolved"))
            except (errors.ApiError, OSError):
                await asyncio.sleep(0.02)
            else:
                self.answered.add(task_id)
            await asyncio.sleep(0.005)

    async def work(self, name):
        while not self.stopping:
            try:
                reply = await self.http.call("queue", "claimWork", QUEUE, payload={"workerGroup": "g", "workerId": name, "tasks": 4}, timeout=5)
            except (errors.ApiError, OSError, TimeoutError):
                await asyncio.sleep(0.02)
                continue
            await asyncio.gather(*(self.resolve(claim, name) for claim in reply["tasks"]))

    async def resolve(self, claim, name):
        task_id, run_id = claim["status"]["taskId"], claim["runId"]
        before = self.held.get(task_id)
        if before is not None and before[0] == run_id:
            self.overlaps.append(f"{task_id}/{run_id} to {before[1]} and {name}")
        self.held[task_id] = (run_id, name)
        await asyncio.sleep(random.random() / 50)
        made = claim["credentials"]
        http = self.http.using(Credentials(made["clientId"], made["accessToken"], made["certificate"]))
        try:
            await http.call("queue", "reportCompleted", task_id, str(run_id))
        except (errors.ApiError, OSError, TimeoutError):
            await asyncio.sleep(0.02)


async def test_twenty_kills_lose_nothing(make_box):
    """After 20 kills under load every answered task exists and ends, no run was given out twice, and no event is missing."""
    box = make_box(CONFIG)
    async with aiohttp.ClientSession() as session:
        load = Load(box, session)
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(load.create()) for _ in range(4)] + [asyncio.create_task(load.work(f"w{i}")) for i in range(4)]
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.1, 0.6))
            await loop.run_in_executor(None, box.kill)
            await loop.run_in_executor(None, box.start)
        load.stopping = True
        created = len(load.answered)
        await asyncio.wait(tasks[:4])
        load.stopping = False
        worker = asyncio.create_task(load.work("last"))
        states = await _drained(load)
        load.stopping = True
        for task in (*tasks[4:], worker):
            task.cancel()
        await asyncio.gather(*tasks, worker, return_exceptions=True)
    assert created > 50, "the load was too small to prove anything"
    assert not load.overlaps
    assert set(states.values()) <= set(DONE), {s for s in states.values()}
    box.stop()
    _check_events(box, load.answered)


async def _drained(load):
    """The state of every answered task once all have ended."""
    until = asyncio.get_running_loop().time() + 90
    while True:
        states = {}
        listed = sorted(load.answered)
        for start in range(0, len(listed), 200):
            reply = await load.http.call("queue", "statuses", payload={"taskIds": listed[start : start + 200]})
            states |= {entry["taskId"]: entry["status"]["state"] for entry in reply["statuses"]}
        assert set(states) == load.answered, "answered tasks are missing"
        if all(state in DONE for state in states.values()) or asyncio.get_running_loop().time() > until:
            return states
        await asyncio.sleep(0.5)


def _check_events(box, answered):
    """Each task has its events in the outbox, and the outbox's ids have no event twice."""
    database = sqlite3.connect(f"file:{box.data}/tcbox.db?mode=ro", uri=True)
    rows = database.execute("SELECT exchange, routing_key FROM events").fetchall()
    database.close()

    def tasks(name):
        return [key.split(".")[1] for exchange, key in rows if exchange.endswith(f"/{name}")]

    defined = tasks("task-defined")
    assert answered <= set(defined)
    assert len(defined) == len(set(defined)), "a task was announced as defined twice"
    resolved = tasks("task-completed") + tasks("task-exception")
    assert answered <= set(resolved)
