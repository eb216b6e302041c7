"""A whole cluster of processes: what one box does, they do together; and what happens to any of them, nobody loses anything."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gzip
import json
import logging
import subprocess
import sys
import time
import urllib.error
import urllib.request

import aiohttp
import pytest
import taskcluster

from tcbox import clock as clocks
from tcbox import errors, ids
from tcbox.client.http import Credentials, Http
from tests.support import definitions
from tests.support.amqp import Listener
from tests.support.blobs import s3_endpoint  # noqa: F401
from tests.support.cluster import Cluster, clean_env

pytestmark = pytest.mark.slow
DONE = ("completed", "failed", "exception")
EXCHANGE = "exchange/taskcluster-queue/v1/"
WATCHED = ("task-defined", "task-completed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, s3_endpoint):  # noqa: F811
    """Two replicas of each service, three of the queue, the loops of hooks apart, a front door before them."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    made = Cluster(tmp_path_factory.mktemp("cluster"), s3_endpoint, counts={"queue": 3})
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def workers(cluster):
    """A worker of each kind that needs no container, as somebody would start them on a machine of their own."""
    made = cluster.options["credentials"]
    env = clean_env(TASKCLUSTER_ROOT_URL=cluster.root_url, TASKCLUSTER_CLIENT_ID=made["clientId"], TASKCLUSTER_ACCESS_TOKEN=made["accessToken"])
    running = []
    for kind in ("builtin", "host"):
        with (cluster.folder / f"worker-{kind}.log").open("ab") as log:
            command = [sys.executable, "-m", "tcbox", "worker", "run", "--kind", kind, "--capacity", "4", "--folder", str(cluster.folder / kind)]
            running.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
    yield
    for each in running:
        each.terminate()
    for each in running:
        each.wait(30)


def until(ready, seconds=60.0):
    """What a function gives as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.1)
    return found


def none_if_absent(call, *args):
    try:
        return call(*args)
    except taskcluster.exceptions.TaskclusterRestFailure as error:
        if error.status_code != 404:
            raise


def graph():
    """Three levels of tasks on two kinds of workers, each with a name in the index; one fails, one is retried."""
    made = [taskcluster.slugId() for _ in range(30)]
    for index, task_id in enumerate(made):
        common = {"taskGroupId": made[0], "requires": "all-resolved", "routes": [f"index.graph.t{index}"]}
        common["dependencies"] = [made[index - 10]] if index >= 10 else []
        if index == 3:
            yield task_id, "failed", definitions.host("exit 3", **common)
        elif index == 15:
            yield task_id, "completed", definitions.host('test "$RUN_ID" = 1 || exit 77', onExitStatus={"retry": [77]}, **common)
        elif index % 5 == 0:
            artifact = [{"name": "public/out.txt", "type": "file", "path": "out.txt"}]
            yield task_id, "completed", definitions.host(f"echo result {index} > out.txt", artifacts=artifact, **common)
        else:
            yield task_id, "completed", definitions.task("built-in/succeed", **common)


def test_a_graph_runs_through_all_services(cluster, workers):
    """A graph ends as it should; artifacts come from S3, names from the index, and a hook fires on the last task's message."""
    queue, index, hooks = (getattr(taskcluster, name)(cluster.options) for name in ("Queue", "Index", "Hooks"))
    made = list(graph())
    hook = {
        "metadata": {"name": "h", "description": "d", "owner": "o@example.com"}, "schedule": [], "triggerSchema": {"type": "object"},
        "bindings": [{"exchange": f"{EXCHANGE}task-completed", "routingKeyPattern": f"*.{made[29][0]}.#"}],
        "task": {**definitions.task("built-in/succeed"), "created": {"$fromNow": ""}, "deadline": {"$fromNow": "1 hour"}, "expires": {"$fromNow": "1 day"}},
    }  # fmt: skip
    taskcluster.Auth(cluster.options).createRole("hook-id:cluster/h", {"description": "", "scopes": ["queue:*"]})
    hooks.createHook("cluster", "h", hook)
    for task_id, _, definition in made:
        queue.createTask(task_id, definition)
    expected = {task_id: state for task_id, state, _ in made}

    def states():
        found = queue.statuses({"taskIds": list(expected)})["statuses"]
        return {entry["taskId"]: entry["status"]["state"] for entry in found} == expected

    until(states, 120)
    assert [run["state"] for run in queue.status(made[15][0])["status"]["runs"]] == ["exception", "completed"]
    for at in (0, 5, 25):
        with urllib.request.urlopen(queue.buildUrl("getLatestArtifact", made[at][0], "public/out.txt")) as reply:
            body = reply.read()
            assert (gzip.decompress(body) if reply.headers.get("Content-Encoding") == "gzip" else body) == f"result {at}\n".encode()
            assert "artifacts/prod/" in reply.url  # straight from the bucket
    assert until(lambda: none_if_absent(index.findTask, "graph.t29"))["taskId"] == made[29][0]
    fired = until(lambda: none_if_absent(hooks.listLastFires, "cluster", "h"))["lastFires"]
    assert [(each["firedBy"], each["result"]) for each in fired] == [("pulseMessage", "success")]
    until(lambda: queue.status(fired[0]["taskId"])["status"]["state"] == "completed")


def test_every_service_answers_at_one_address(cluster):
    """Each published service is described, and answers, through the front door; so do the pages and the stream of events."""
    with urllib.request.urlopen(f"{cluster.root_url}/references/manifest.json") as reply:
        described = json.load(reply)["references"]
    for name in cluster.replicas:
        assert f"/references/{name}/v1/api.json" in described
        with urllib.request.urlopen(f"{cluster.root_url}/api/{name}/v1/ping") as reply:
            assert json.load(reply)["alive"] is True
    for path in ("/", "/tasks", "/schemas/queue/v1/task.json", "/login/session", "/metrics"):
        with urllib.request.urlopen(cluster.root_url + path) as reply:
            assert reply.status == 200, path
    with urllib.request.urlopen(urllib.request.Request(f"{cluster.root_url}/events?bindings=%7B%22bindings%22%3A%5B%5D%7D"), timeout=5) as reply:
        assert "event-stream" in reply.headers["Content-Type"]


def test_services_call_each_other(cluster):
    """What one service asks of another comes through with its own rights: objects of the queue, profiles with the caller's scopes."""
    queue = taskcluster.Queue(cluster.options)
    task_id = taskcluster.slugId()
    queue.createTask(task_id, definitions.task("nobody/works", scopes=[]))
    claim = queue.claimTask(task_id, 0, {"workerGroup": "g", "workerId": "w"})
    made = queue.createArtifact(task_id, 0, "public/o", {"storageType": "object", "contentType": "text/plain", "expires": definitions.wire(hours=20)})
    assert made["storageType"] == "object"
    queue.reportCompleted(task_id, claim["runId"])
    profile = taskcluster.Queue(cluster.options)
    url = f"{cluster.root_url}/api/web-server/v1/task-group/{task_id}/profile"
    with urllib.request.urlopen(url) as reply:  # everybody may read tasks
        assert json.load(reply)["threads"]
    assert profile.status(task_id)["status"]["state"] == "completed"


def test_a_disabled_client_is_refused_everywhere(cluster):
    """A client that is new is taken at once; one that was disabled is refused by every replica within 5 s."""
    auth = taskcluster.Auth(cluster.options)
    wanted = {"expires": definitions.wire(days=1), "description": "", "scopes": ["secrets:*", "queue:*", "auth:*"]}
    token = auth.createClient("cluster/c", wanted)["accessToken"]
    clients = [
        getattr(taskcluster, kind)({"rootUrl": replica.url, "credentials": {"clientId": "cluster/c", "accessToken": token}, "maxRetries": 0})
        for name, kind in (("auth", "Auth"), ("secrets", "Secrets"), ("queue", "Queue"))
        for replica in cluster.replicas[name]
    ]

    def asked(client):
        try:
            match client:
                case taskcluster.Auth():
                    client.currentScopes()
                case taskcluster.Secrets():
                    client.list()
                case _:
                    client.pendingTasks("a/b")
        except taskcluster.exceptions.TaskclusterAuthFailure:
            return False
        return True

    assert all([asked(client) for client in clients])
    auth.disableClient("cluster/c")
    time.sleep(5)
    assert not any([asked(client) for client in clients])


def test_a_link_signs_the_owner_in_at_whichever_replica(cluster):
    """A sign-in link is made by a command and used up once, at another process than made it."""
    env = clean_env(**cluster.env)
    done = subprocess.run([sys.executable, "-m", "tcbox", "ui", "--cluster", "--print"], env=env, capture_output=True, text=True, cwd=cluster.folder)
    assert done.returncode == 0, done.stderr
    url, _, code = done.stdout.strip().partition("#")
    assert url == f"{cluster.root_url}/sign-in"

    def use():
        body = json.dumps({"code": code}).encode()
        asked = urllib.request.Request(f"{cluster.replicas['web-server'][1].url}/login/link", data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    status, told = use()
    assert (status, told["session"]["clientId"]) == (200, "static/taskcluster/root"), told
    assert use()[0] == 403


class Load:
    """The full life of tasks, again and again, whatever happens; every answer and every refusal is remembered."""

    def __init__(self, cluster, session):
        made = cluster.options["credentials"]
        self.http = Http(cluster.root_url, Credentials(made["clientId"], made["accessToken"]), session=session, clock=clocks.SystemClock(), retries=0)
        self.created: set[str] = set()
        self.completed: set[str] = set()
        self.secrets: dict[str, int] = {}
        self.claims: collections.Counter[tuple[str, int]] = collections.Counter()
        self.refusals: list[str] = []
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
        try:
            return await self.http.call(service, *args, **kwargs) or {}
        except errors.ApiError as error:
            self.statuses.add(error.status)
            self.refusals.append(f"{time.strftime('%H:%M:%S')} {service}.{args[0]}: {error.status} {str(error)[:300]}")
            await asyncio.sleep(0.1)
            return None

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


@pytest.fixture
def listener(cluster):
    made = Listener(cluster.rabbitmq, [(f"{EXCHANGE}{name}", "#") for name in WATCHED])
    yield made
    made.stop()


def all_told(listener, load):
    """Every task that was answered for was announced outside."""

    def told(kind):
        return {each["body"]["status"]["taskId"] for each in listener.got if each["exchange"] == EXCHANGE + kind}

    listener.until(lambda _: load.created <= told("task-defined") and load.completed <= told("task-completed"), 60)


async def _in_thread(work, *args):
    return await asyncio.get_running_loop().run_in_executor(None, work, *args)


async def test_nothing_is_lost_whatever_is_killed(cluster, listener):
    """While any process is killed, RabbitMQ stops and comes back and PostgreSQL restarts, no answer was in vain and no run is given twice."""
    async with aiohttp.ClientSession() as session:
        async with Load(cluster, session) as load:
            await asyncio.sleep(2)
            victims = [cluster.replicas[name][0] for name in ("queue", "auth", "web-server", "index", "secrets")]
            victims += [cluster.replicas["queue"][2], cluster.loops[0], cluster.replicas["auth"][1]]
            for victim in victims:
                await _in_thread(victim.kill)
                await asyncio.sleep(1)
                await _in_thread(victim.start)
            await _in_thread(cluster.rabbitmq.halt)
            await asyncio.sleep(2)
            await _in_thread(cluster.postgres.halt)
            await asyncio.sleep(2)
            await _in_thread(cluster.postgres.resume)
            await _in_thread(cluster.rabbitmq.resume)
            before = len(load.completed)
            end = time.monotonic() + 60
            while len(load.completed) < before + 20:
                assert time.monotonic() < end, "the cluster has not come back"
                await asyncio.sleep(0.2)
        assert load.statuses <= {503, 409}, [each for each in load.refusals if " 503 " not in each][:20]
        await load.settled()
    await _in_thread(all_told, listener, load)
    assert all(replica.alive for replica in cluster.all)


async def test_a_rolling_restart_is_seen_by_nobody(cluster, listener):
    """While every process is ended and started again, one replica of each service at a time, no request fails."""
    async with aiohttp.ClientSession() as session:
        async with Load(cluster, session) as load:
            await asyncio.sleep(1)
            for number in range(3):
                some = [found[number] for found in cluster.replicas.values() if len(found) > number]
                some += cluster.loops[number : number + 1]
                codes = await asyncio.gather(*(_in_thread(replica.stop) for replica in some))
                assert set(codes) == {0}, [replica.tail() for replica, code in zip(some, codes, strict=True) if code]
                for replica in some:
                    replica.start(wait=False)
                await asyncio.gather(*(_in_thread(replica.ready) for replica in some))
                await asyncio.sleep(2)  # the front door looks every half second
        assert load.refusals == [], f"{len(load.refusals)} of {load.calls}"
        await load.settled()
    await _in_thread(all_told, listener, load)
