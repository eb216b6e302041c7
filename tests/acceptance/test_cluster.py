"""A whole cluster of processes: what one box does, they do together; and what happens to any of them, nobody loses anything."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

import aiohttp
import pytest
import taskcluster

from tests.support import definitions, releases, s3_server
from tests.support import load as loads
from tests.support.cluster import Cluster, clean_env
from tests.support.load import Load
from tests.support.waiting import until

pytestmark = pytest.mark.slow
NEXT = "99.0.0"
NEXT_STEPS = {  # columns in the busiest tables among it
    "queue": "ALTER TABLE queue_tasks ADD COLUMN later TEXT NOT NULL DEFAULT 'none';\n",
    "auth": "ALTER TABLE auth_clients ADD COLUMN later TEXT NOT NULL DEFAULT 'none';\n",
    "secrets": "CREATE TABLE secrets_laters (name TEXT PRIMARY KEY);\n",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two replicas of each service, three of the queue, the loops of hooks apart, a front door before them."""
    made = Cluster(tmp_path_factory.mktemp("cluster"), s3_server.server().endpoint, counts={"queue": 3})
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
        "bindings": [{"exchange": f"{loads.EXCHANGE}task-completed", "routingKeyPattern": f"*.{made[29][0]}.#"}],
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
    """A client that is new is taken at once by every replica, and one that was disabled is refused at once."""
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


@pytest.fixture
def listener(cluster):
    made = loads.listener(cluster)
    yield made
    made.stop()


def _version(replica):
    with urllib.request.urlopen(f"{replica.url}/__version__") as reply:
        return json.load(reply)["version"]


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
    await _in_thread(loads.all_told, listener, load)
    assert all(replica.alive for replica in cluster.all)


async def test_a_new_release_is_rolled_out_and_seen_by_nobody(cluster, listener, tmp_path):
    """While the schema is changed and every process is replaced by one of the next release, a replica of each service at a time, no request fails."""
    following = releases.later(tmp_path, NEXT, NEXT_STEPS)
    async with aiohttp.ClientSession() as session:
        async with Load(cluster, session) as load:
            await asyncio.sleep(1)
            cluster.env["PYTHONPATH"] = str(following)
            assert await _in_thread(cluster.migrate().wait, 60) == 0
            await asyncio.sleep(1)  # the last release goes on with the new schema
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
        assert {_version(replica) for replica in cluster.all} == {NEXT}
        await load.settled()
    await _in_thread(loads.all_told, listener, load)
