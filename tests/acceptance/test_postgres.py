"""A box on PostgreSQL: the same tasks, the same answers, and a server that goes away and comes back under load."""

import asyncio
import json
import time

import aiohttp
import pytest
import taskcluster
import taskcluster.aio

from tcbox import clock as clocks
from tcbox import errors, ids
from tcbox.client.http import Credentials, Http, sign
from tests.support import definitions, postgres_server

DONE = ("completed", "failed", "exception")
QUIET = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n"
BUSY = "workers:\n  docker: {enabled: false}\n  host: {capacity: 4}\n"


@pytest.fixture
def server():
    """A PostgreSQL server of the test's own, with an empty database `box`."""
    made = postgres_server.own()
    made.run("CREATE DATABASE box")
    yield made
    made.stop()


@pytest.fixture
def make_postgres_box(server, make_box):
    """Make an instance on that database."""
    return lambda config: make_box(f"database: {server.url('box')}\n{config}")


def graph():
    """60 tasks in three levels on two kinds of workers: some fail, one is retried, and one waits in vain for success."""
    made = [taskcluster.slugId() for _ in range(60)]
    for index, task_id in enumerate(made):
        level = min(index // 20, 2)
        common = {"taskGroupId": made[0], "dependencies": [made[index - 20]] if level else [], "requires": "all-resolved"}
        if index == 8:
            yield task_id, "failed", definitions.host("exit 3", **common)
        elif index == 28:
            yield task_id, "unscheduled", definitions.task("built-in/succeed", **{**common, "requires": "all-completed"})
        elif index == 48:
            yield task_id, "unscheduled", definitions.task("built-in/succeed", **common)
        elif index == 15:
            yield task_id, "completed", definitions.host('test "$RUN_ID" = 1 || exit 77', onExitStatus={"retry": [77]}, **common)
        elif index % 6 == 0:
            artifact = [{"name": "public/out.txt", "type": "file", "path": "out.txt"}]
            yield task_id, "completed", definitions.host(f"echo result {index} > out.txt", artifacts=artifact, **common)
        elif index % 7 == 3:
            yield task_id, "failed", definitions.task("built-in/fail", **common)
        else:
            yield task_id, "completed", definitions.task("built-in/succeed", **common)


async def all_as_expected(queue, expected, seconds=90):
    """Wait until each task has the state that it should have; its status."""
    until = time.monotonic() + seconds
    while True:
        reply = await queue.statuses({"taskIds": list(expected)})
        states = {entry["taskId"]: entry["status"] for entry in reply["statuses"]}
        wrong = {t: s["state"] for t, s in states.items() if s["state"] != expected[t]}
        if not wrong and len(states) == len(expected):
            return states
        assert time.monotonic() < until, wrong
        await asyncio.sleep(0.2)


async def test_a_graph_runs_to_its_end_and_all_is_there_after_restarts(make_postgres_box, server):
    """60 tasks on two kinds of workers end as they should; a service restarts beside the others; a new process finds all."""
    box = make_postgres_box(BUSY)
    assert "PostgreSQL" in box.info["database"]
    async with aiohttp.ClientSession() as session:
        queue, secrets = taskcluster.aio.Queue(box.options, session=session), taskcluster.aio.Secrets(box.options, session=session)
        await secrets.set("kept", {"secret": {"number": 2**70, "order": {"b": 1, "a": "\0"}}, "expires": definitions.wire(days=1)})
        made = list(graph())
        for task_id, _, definition in made:
            await queue.createTask(task_id, definition)
        expected = {task_id: state for task_id, state, _ in made}
        statuses = await all_as_expected(queue, expected)
        assert [run["state"] for run in statuses[made[15][0]]["runs"]] == ["exception", "completed"]

        box.command("restart", "queue", "--data", str(box.data))
        assert {t: s["state"] for t, s in (await all_as_expected(queue, expected)).items()} == expected
        late = taskcluster.slugId()
        await queue.createTask(late, definitions.host("true"))
        await all_as_expected(queue, {late: "completed"})

        box.stop()
        box.start()
        again = await all_as_expected(queue, expected)
        assert again == statuses
        assert (await secrets.get("kept"))["secret"] == {"number": 2**70, "order": {"b": 1, "a": "\0"}}
        for index in (0, 6, 54):
            assert await text(session, queue, made[index][0], "public/out.txt") == f"result {index}\n"
        assert await members(queue, made[0][0]) == set(expected)
        latest = taskcluster.slugId()
        await queue.createTask(latest, definitions.host("true"))
        await all_as_expected(queue, {latest: "completed"})
    _check_events(server, {*expected, late, latest})


async def text(session, queue, task_id, name):
    """A text artifact of a task's last run."""
    async with session.get(queue.buildUrl("getLatestArtifact", task_id, name)) as reply:
        assert reply.status == 200
        return await reply.text()


async def members(queue, group):
    """The taskIds of a group, read in pages."""
    found, token = set(), {}
    while token is not None:
        page = await queue.listTaskGroup(group, query={"limit": "25", **token})
        found |= {task["status"]["taskId"] for task in page["tasks"]}
        token = {"continuationToken": page["continuationToken"]} if "continuationToken" in page else None
    return found


def _check_events(server, created):
    """Each task was announced as defined, and none twice."""
    rows = server.run("SELECT routing_key FROM events WHERE exchange LIKE '%/task-defined' ORDER BY id", "box").splitlines()
    defined = [row.split(".")[1] for row in rows]
    assert len(defined) == len(set(defined))
    assert created <= set(defined)


class Load:
    """Calls that go on whatever the database does; each answer is remembered, and each refusal."""

    def __init__(self, box, session):
        made = box.options["credentials"]
        self.session = session
        self.credentials = Credentials(made["clientId"], made["accessToken"])
        self.http = Http(box.root_url, self.credentials, session=session, clock=clocks.SystemClock(), retries=0)
        self.created: set[str] = set()
        self.resolved: set[str] = set()
        self.refusals: list[errors.ApiError] = []
        self.claims: dict[tuple[str, int], int] = {}
        self.stopping = False

    async def call(self, *args, **kwargs):
        """One call; None when it was refused."""
        try:
            return await asyncio.wait_for(self.http.call("queue", *args, **kwargs), 30) or {}
        except errors.ApiError as error:
            self.refusals.append(error)
            await asyncio.sleep(0.05)
            return None

    async def create(self):
        while not self.stopping:
            task_id = ids.slugid()
            if await self.call("createTask", task_id, payload=definitions.task("away/load")) is not None:
                self.created.add(task_id)
            await asyncio.sleep(0.005)

    async def read(self):
        while not self.stopping:
            if self.created:
                await self.call("status", next(iter(self.created)))
            await asyncio.sleep(0.01)

    async def work(self, name):
        while not self.stopping:
            reply = await self.call("claimWork", "away/load", payload={"workerGroup": "g", "workerId": name, "tasks": 2})
            for claim in (reply or {"tasks": []})["tasks"]:
                task_id, run_id = claim["status"]["taskId"], claim["runId"]
                self.claims[task_id, run_id] = self.claims.get((task_id, run_id), 0) + 1
                if await self.call("reportCompleted", task_id, str(run_id)) is not None:
                    self.resolved.add(task_id)


@pytest.mark.parametrize("crash", [False, True], ids=["shut down", "crashed"])
async def test_postgresql_restarts_under_load(make_postgres_box, server, crash):
    """While PostgreSQL is away each call is answered 503 with Retry-After; afterwards all goes on, and no answer was in vain."""
    box = make_postgres_box(QUIET)
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        load = Load(box, session)
        tasks = [asyncio.create_task(load.create()) for _ in range(3)]
        tasks += [asyncio.create_task(load.work(f"w{i}")) for i in range(2)] + [asyncio.create_task(load.read())]
        for _ in range(2):
            await asyncio.sleep(1)
            await loop.run_in_executor(None, lambda: server.halt(crash=crash))
            refused = len(load.refusals)
            await _is_refused(load)
            await asyncio.sleep(0.5)
            assert len(load.refusals) > refused, "calls hang while the database is away"
            await loop.run_in_executor(None, server.resume)
            before = len(load.created)
            await _until(lambda before=before: len(load.created) > before + 5)
        await asyncio.sleep(0.5)
        load.stopping = True
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
        assert {error.status for error in load.refusals} == {503}, {str(error)[:300] for error in load.refusals if error.status != 503}
        states = {}
        listed = sorted(load.created)
        for start in range(0, len(listed), 200):
            reply = await load.call("statuses", payload={"taskIds": listed[start : start + 200]})
            states |= {entry["taskId"]: entry["status"]["state"] for entry in reply["statuses"]}
    assert set(states) == load.created, "answered tasks are missing"
    assert {states[task_id] for task_id in load.resolved & load.created} <= {"completed"}
    assert max(load.claims.values()) == 1, "a run was given out twice"
    assert len(load.resolved) > 10, "the load was too small to prove anything"
    assert box.alive()
    _check_events(server, load.created)


async def _is_refused(load):
    """A write and a read are refused soon, in the published form, and say when to try again."""
    for verb, path, payload in (("PUT", f"/task/{ids.slugid()}", definitions.task("away/load")), ("GET", f"/task/{ids.slugid()}/status", None)):
        url, body = f"{load.http.root_url}/api/queue/v1{path}", None if payload is None else json.dumps(payload).encode()
        signed = sign(load.credentials, verb, url, body, clocks.SystemClock().now())
        started = time.monotonic()
        async with load.session.request(verb, url, data=body, headers={"Authorization": signed, "Content-Type": "application/json"}) as reply:
            document = await reply.json()
        assert reply.status == 503, document
        assert int(reply.headers["Retry-After"]) >= 1
        assert document["code"] == "ServiceUnavailable"
        assert "does not answer" in document["message"]
        assert time.monotonic() - started < 5


async def _until(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the instance has not come back"
        await asyncio.sleep(0.05)
