"""Taskcluster's client for Python, blocking and for asyncio: each method that it knows is called, and answers as it should.

A method of the client's own list that no scenario calls is an error, so that a release with more methods is noticed.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import mohawk
import pytest
import requests
import taskcluster
import taskcluster.aio

from tcbox.services.github import samples
from tests.simulators.github_api import Repository, deliver
from tests.support import definitions, proof, vendors
from tests.support.box import Box, given
from tests.support.messengers import CHANNEL, ENTRY, ROOM

pytestmark = pytest.mark.contract

RECIPE = """
version: 1
tasks:
  - taskQueueId: py/github
    priority: low
    deadline: {$fromNow: '1 hour'}
    payload: {}
    metadata: {name: hello, description: d, owner: o@example.com, source: 'https://example.com'}
"""


class World:
    """An instance with all that its services call."""

    def __init__(self, box: Box, repo: Repository) -> None:
        self.box, self.repo = box, repo


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    with given(folder) as made:
        box = Box(folder, made.config).start()
        try:
            yield World(box, made.repo)
        finally:
            box.stop()


# ----------------------------------------------------------------------------------------------- calling


class Service:
    """One service by one of the two clients: methods are awaited, whichever it is."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.called: set[str] = set()

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **more: Any) -> Any:
            function = getattr(self._client, method)
            made = await function(*args, **more) if inspect.iscoroutinefunction(function) else await asyncio.to_thread(function, *args, **more)
            self.called.add(method)
            return made

        return call

    async def usual(self) -> None:
        """What each service has."""
        assert (await self.ping())["alive"]
        assert (await self.version())["version"]
        assert await self.lbheartbeat() == await self.heartbeat() == {}


class Clients:
    """Clients of one kind."""

    def __init__(self, world: World, name: str, session: aiohttp.ClientSession) -> None:
        self.world, self.name, self._session = world, name, session
        self.made: dict[str, Service] = {}

    def of(self, kind: str, credentials: dict[str, Any] | None = None) -> Service:
        """A service with the root client's credentials, or others; what is called by it counts for the same list."""
        options = {**self.world.box.options, **({"credentials": credentials} if credentials is not None else {})}
        made = Service(getattr(taskcluster.aio, kind)(options, session=self._session) if self.name == "aio" else getattr(taskcluster, kind)(options))
        made.called = self.made.setdefault(kind, made).called
        return made

    async def get(self, url: str) -> bytes:
        async with self._session.get(url) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.read()

    async def refused(self, call: Awaitable[Any], status: int) -> str:
        """The message of a refusal."""
        with pytest.raises(taskcluster.exceptions.TaskclusterFailure) as refused:
            await call
        assert refused.value.status_code == status
        return str(refused.value)


def at(**delta: float) -> str:
    return definitions.wire(**delta)


# ----------------------------------------------------------------------------------------------- what is called


async def auth(clients: Clients) -> None:
    auth, name = clients.of("Auth"), f"py/{clients.name}"
    await auth.usual()
    wanted = {"description": "d", "expires": at(hours=1), "scopes": ["assume:py-role-*"]}
    made = await auth.createClient(name, wanted)
    assert (made["clientId"], made["scopes"], made["expandedScopes"]) == (name, ["assume:py-role-*"], ["assume:py-role-*"])
    assert (await auth.client(name))["expires"] == wanted["expires"]
    assert [each["clientId"] for each in (await auth.listClients(query={"prefix": name}))["clients"]] == [name]
    role = f"py-role-{clients.name}"
    await auth.createRole(role, {"description": "", "scopes": ["a:b"]})
    assert (await auth.updateRole(role, {"description": "", "scopes": ["a:c"]}))["scopes"] == ["a:c"]
    assert (await auth.role(role))["scopes"] == ["a:c"]
    assert role in {each["roleId"] for each in await auth.listRoles()}
    assert role in {each["roleId"] for each in (await auth.listRoles2())["roles"]}
    assert role in (await auth.listRoleIds())["roleIds"]
    assert (await auth.expandScopes({"scopes": [f"assume:{role}"]}))["scopes"] == ["a:c", f"assume:{role}"]
    credentials = {"clientId": name, "accessToken": made["accessToken"]}
    own = clients.of("Auth", credentials)
    assert {"a:c", "assume:py-role-*"} <= set((await own.currentScopes())["scopes"])
    assert (await auth.disableClient(name))["disabled"]
    await clients.refused(own.currentScopes(), 401)
    assert not (await auth.enableClient(name))["disabled"]
    assert (await auth.updateClient(name, {**wanted, "description": "e"}))["description"] == "e"
    assert (await auth.resetAccessToken(name))["accessToken"] != made["accessToken"]
    await clients.refused(own.currentScopes(), 401)
    await signatures(clients, auth)
    assert [each["actionType"] for each in (await auth.getEntityHistory("client", name))["auditHistory"]][0] == "created"
    assert any(each["entityId"] == role for each in (await auth.listAuditHistory("static/taskcluster/root"))["auditHistory"])
    await auth.deleteRole(role)
    await auth.deleteClient(name)
    await clients.refused(auth.client(name), 404)
    await elsewhere(auth)


async def signatures(clients: Clients, auth: Service) -> None:
    """Others' requests are checked, and those of people who write clients."""
    root = clients.world.box.options["credentials"]
    signed = mohawk.Sender(
        {"id": root["clientId"], "key": root["accessToken"], "algorithm": "sha256"}, "http://x.example:80/p?q=1", "GET", always_hash_content=False
    )
    asked = {"method": "get", "resource": "/p?q=1", "host": "x.example", "port": 80, "authorization": signed.request_header}
    assert (await auth.authenticateHawk(asked))["status"] == "auth-success"
    tester = clients.of("Auth", {"clientId": "tester", "accessToken": "no-secret"})
    assert (await tester.testAuthenticate({"requiredScopes": ["test:a"], "clientScopes": ["test:*"]}))["scopes"] == ["assume:anonymous", "test:*"]
    assert (await tester.testAuthenticateGet())["clientId"] == "tester"


async def elsewhere(auth: Service) -> None:
    """Credentials for other places."""
    assert set((await auth.awsS3Credentials("read-write", "bucket-one", "folder/"))["credentials"]) == {"accessKeyId", "secretAccessKey", "sessionToken"}
    assert (await auth.gcpCredentials("proj", "worker@p.example"))["accessToken"] == "token-for-worker@p.example"
    assert (await auth.sentryDSN("proj"))["dsn"]["public"].startswith("https://")
    assert (await auth.websocktunnelToken("audience", "client"))["token"].count(".") == 2
    wanted = {"repositories": ["bar"], "permissions": {"contents": "read"}}
    assert (await auth.githubRepoToken("app", "org", wanted))["token"] == "1/contents:read/bar"


async def queue(clients: Clients) -> None:
    queue, pool = clients.of("Queue"), f"py/{clients.name}"
    await queue.usual()
    group, first, second = (taskcluster.slugId() for _ in range(3))
    in_group = {"taskGroupId": group, "priority": "low"}
    made = await queue.createTask(first, definitions.task(pool, **in_group))
    assert made["status"]["state"] == "pending"
    await queue.createTask(second, definitions.task(pool, dependencies=[first], **in_group))
    assert (await queue.task(first))["taskGroupId"] == group
    assert (await queue.status(second))["status"]["state"] == "unscheduled"
    assert {each["taskId"] for each in (await queue.statuses({"taskIds": [first, second]}))["statuses"]} == {first, second}
    assert {each["taskId"] for each in (await queue.tasks({"taskIds": [first, second]}))["tasks"]} == {first, second}
    assert len((await queue.listTaskGroup(group))["tasks"]) == 2
    assert (await queue.getTaskGroup(group))["taskGroupId"] == group
    assert [each["status"]["taskId"] for each in (await queue.listDependentTasks(first))["tasks"]] == [second]
    assert (await queue.changeTaskPriority(first, {"newPriority": "high"}))["status"]["priority"] == "high"
    await queue.changeTaskGroupPriority(group, {"newPriority": "medium"})
    assert (await queue.status(first))["status"]["priority"] == "medium"
    assert (await queue.pendingTasks(pool))["pendingTasks"] == 1
    assert (await queue.taskQueueCounts(pool))["pendingTasks"] == 1
    assert (await queue.taskQueueCountsBatch({"taskQueueIds": [pool]}))["taskQueueCounts"][0]["pendingTasks"] == 1
    assert [each["taskId"] for each in (await queue.listPendingTasks(pool))["tasks"]] == [first]
    await work(clients, queue, pool, first)
    assert (await queue.scheduleTask(second))["status"]["state"] == "pending"
    await ends(clients, queue, pool, second)
    await groups(queue, pool)
    await workers(queue, *pool.split("/"))


async def claimed(clients: Clients, queue: Service, pool: str) -> tuple[dict[str, Any], Service]:
    """The next task's claim, and the queue with its credentials."""
    (claim,) = (await queue.claimWork(pool, {"workerGroup": "g", "workerId": "w", "tasks": 1}))["tasks"]
    return claim, clients.of("Queue", claim["credentials"])


async def work(clients: Clients, queue: Service, pool: str, task_id: str) -> None:
    """A worker's course: claim, claim again, leave artifacts of both kinds, report."""
    claim, own = await claimed(clients, queue, pool)
    run = (task_id, str(claim["runId"]))
    assert claim["status"]["taskId"] == task_id
    assert [each["taskId"] for each in (await queue.listClaimedTasks(pool))["tasks"]] == [task_id]
    own = clients.of("Queue", (await own.reclaimTask(*run))["credentials"])
    await upload(clients, own, run, "public/a.txt", b"hello")
    kept = await own.createArtifact(*run, "public/b.txt", {"storageType": "object", "contentType": "text/plain", "expires": at(hours=1)})
    await stored(clients.of("Object", kept["credentials"]), kept["name"], kept["projectId"], kept["uploadId"], kept["expires"], b"stored")
    await own.finishArtifact(*run, "public/b.txt", {"uploadId": kept["uploadId"]})
    assert {each["name"] for each in (await queue.listArtifacts(*run))["artifacts"]} == {"public/a.txt", "public/b.txt"}
    assert {each["name"] for each in (await queue.listLatestArtifacts(task_id))["artifacts"]} == {"public/a.txt", "public/b.txt"}
    assert (await own.reportCompleted(*run))["status"]["state"] == "completed"
    assert (await queue.artifactInfo(*run, "public/a.txt"))["storageType"] == "s3"
    assert (await queue.latestArtifactInfo(task_id, "public/b.txt"))["storageType"] == "object"
    assert await clients.get((await queue.artifact(*run, "public/a.txt"))["url"]) == b"hello"
    assert (await queue.latestArtifact(task_id, "public/b.txt"))["storageType"] == "object"
    for given in (await queue.getArtifact(*run, "public/a.txt"), await queue.getLatestArtifact(task_id, "public/a.txt")):
        assert await clients.get(given["url"]) == b"hello"


async def upload(clients: Clients, own: Service, run: tuple[str, str], name: str, content: bytes) -> None:
    kind = "text/plain"
    made = await own.createArtifact(*run, name, {"storageType": "s3", "contentType": kind, "expires": at(hours=1)})
    async with clients._session.put(made["putUrl"], data=content, headers={"Content-Type": made["contentType"]}) as reply:
        assert reply.status == 200


async def stored(objects: Service, name: str, project: str, upload_id: str, expires: str, content: bytes) -> None:
    """Upload an object within the request itself."""
    import base64
    import hashlib

    inline = {"dataInline": {"contentType": "text/plain", "objectData": base64.b64encode(content).decode()}}
    await objects.createUpload(name, {"projectId": project, "uploadId": upload_id, "expires": expires, "proposedUploadMethods": inline})
    await objects.finishUpload(name, {"projectId": project, "uploadId": upload_id, "hashes": {"sha256": hashlib.sha256(content).hexdigest()}})


async def ends(clients: Clients, queue: Service, pool: str, task_id: str) -> None:
    """The other ways in which a run ends, each followed by another run."""
    claim, own = await claimed(clients, queue, pool)
    assert (await own.reportFailed(task_id, str(claim["runId"])))["status"]["state"] == "failed"
    assert (await queue.rerunTask(task_id))["status"]["state"] == "pending"
    claim = await queue.claimTask(task_id, "1", {"workerGroup": "g", "workerId": "w"})
    own = clients.of("Queue", claim["credentials"])
    assert (await own.reportException(task_id, "1", {"reason": "worker-shutdown"}))["status"]["state"] == "pending"
    assert (await queue.cancelTask(task_id))["status"]["state"] == "exception"


async def groups(queue: Service, pool: str) -> None:
    group, task_id = taskcluster.slugId(), taskcluster.slugId()
    await queue.createTask(task_id, definitions.task(pool, taskGroupId=group))
    assert (await queue.sealTaskGroup(group))["sealed"]
    assert (await queue.cancelTaskGroup(group))["cancelledCount"] == 1


async def workers(queue: Service, provisioner: str, kind: str) -> None:
    await queue.declareWorker(provisioner, kind, "g", "w2", {"expires": at(hours=1)})
    assert (await queue.getWorker(provisioner, kind, "g", "w2"))["workerId"] == "w2"
    until = at(hours=1)
    assert (await queue.quarantineWorker(provisioner, kind, "g", "w2", {"quarantineUntil": until, "quarantineInfo": "why"}))["quarantineUntil"] == until
    assert [each["workerId"] for each in (await queue.listWorkers(provisioner, kind, query={"quarantined": "true"}))["workers"]] == ["w2"]
    assert (await queue.getProvisioner(provisioner))["provisionerId"] == provisioner
    assert provisioner in {each["provisionerId"] for each in (await queue.listProvisioners())["provisioners"]}
    assert (await queue.getWorkerType(provisioner, kind))["workerType"] == kind
    assert kind in {each["workerType"] for each in (await queue.listWorkerTypes(provisioner))["workerTypes"]}
    assert (await queue.getTaskQueue(f"{provisioner}/{kind}"))["taskQueueId"] == f"{provisioner}/{kind}"
    assert f"{provisioner}/{kind}" in {each["taskQueueId"] for each in (await queue.listTaskQueues())["taskQueues"]}


async def objects(clients: Clients) -> None:
    objects, name = clients.of("Object"), f"public/py/{clients.name}"
    await objects.usual()
    await stored(objects, name, "test", taskcluster.slugId(), at(hours=1), b"an object")
    assert (await objects.object(name))["projectId"] == "test"
    given = await objects.startDownload(name, {"acceptDownloadMethods": {"simple": True}})
    assert await clients.get(given["url"]) == b"an object"
    followed = await objects.download(name)
    assert await clients.get(followed["response"].headers["location"]) == b"an object"


async def secrets(clients: Clients) -> None:
    secrets, name = clients.of("Secrets"), f"py/{clients.name}"
    await secrets.usual()
    await secrets.set(name, {"secret": {"z": 1, "a": [None]}, "expires": at(hours=1)})
    assert json.dumps((await secrets.get(name))["secret"]) == '{"z": 1, "a": [null]}'
    assert name in (await secrets.list())["secrets"]
    await secrets.remove(name)
    await clients.refused(secrets.get(name), 404)


async def hooks(clients: Clients) -> None:
    hooks, name = clients.of("Hooks"), ("py", f"a/{clients.name}")
    await hooks.usual()
    role = f"hook-id:py/a/{clients.name}"
    await clients.of("Auth").createRole(role, {"description": "", "scopes": ["queue:create-task:*", "queue:scheduler-id:*", "queue:create-task:project:*"]})
    task = {**definitions.task("py/hooks"), "deadline": {"$fromNow": "1 hour"}, "created": {"$fromNow": ""}, "expires": {"$fromNow": "1 day"}}
    wanted = {"metadata": {"name": "n", "description": "", "owner": "o@example.com"}, "task": task, "triggerSchema": {"type": "object"}}
    made = await hooks.createHook(*name, wanted)
    assert made == await hooks.hook(*name)
    assert (await hooks.listHookGroups())["groups"] == ["py"]
    assert name[1] in {each["hookId"] for each in (await hooks.listHooks("py"))["hooks"]}
    assert (await hooks.updateHook(*name, {**wanted, "schedule": ["0 0 0 1 1 *"]}))["schedule"] == ["0 0 0 1 1 *"]
    assert (await hooks.getHookStatus(*name))["nextScheduledDate"].endswith("-01-01T00:00:00.000Z")
    first = (await hooks.triggerHook(*name, {}))["status"]["taskId"]
    token = (await hooks.getTriggerToken(*name))["token"]
    second = (await clients.of("Hooks", {}).triggerHookWithToken(*name, token, {}))["status"]["taskId"]
    assert {each["taskId"] for each in (await hooks.listLastFires(*name))["lastFires"]} == {first, second}
    assert (await hooks.resetTriggerToken(*name))["token"] != token
    await hooks.removeHook(*name)
    await clients.refused(hooks.hook(*name), 404)


async def index(clients: Clients) -> None:
    index, space = clients.of("Index"), f"py.{clients.name}"
    await index.usual()
    queue, task_id, pool = clients.of("Queue"), taskcluster.slugId(), f"py/index-{clients.name}"
    await queue.createTask(task_id, definitions.task(pool))
    claim, own = await claimed(clients, queue, pool)
    await upload(clients, own, (task_id, str(claim["runId"])), "public/f", b"indexed")
    await own.reportCompleted(task_id, str(claim["runId"]))
    entry = {"taskId": task_id, "rank": 3, "data": {"b": 1, "a": [None]}, "expires": at(days=1)}
    there = {"namespace": f"{space}.one", **entry}
    assert await index.insertTask(f"{space}.one", entry) == there
    assert await index.findTask(f"{space}.one") == there
    assert (await index.findTasksAtIndex({"indexes": [f"{space}.one", "py.no"]}))["tasks"] == [there]
    assert (await index.listTasks(space))["tasks"] == [there]
    assert space in {each["namespace"] for each in (await index.listNamespaces("py"))["namespaces"]}
    found = await index.findArtifactFromTask(f"{space}.one", "public/f")
    assert await clients.get(found["response"].headers["location"]) == b"indexed"
    await index.deleteTask(f"{space}.one")
    await clients.refused(index.findTask(f"{space}.one"), 404)


async def notify(clients: Clients) -> None:
    notify = clients.of("Notify")
    await notify.usual()
    await notify.email({"address": "me@example.com", "subject": f"Hello {clients.name}", "content": "**hi**"})
    await notify.pulse({"routingKey": "a.b", "message": {"x": 1}})
    await notify.matrix({"roomId": ROOM, "body": clients.name})
    await notify.slack({"channelId": CHANNEL, "text": clients.name})
    await notify.addDenylistAddress(ENTRY)
    assert (await notify.listDenylist())["addresses"] == [ENTRY]
    denied = {"address": ENTRY["notificationAddress"], "subject": "s", "content": "c"}
    assert "denylisted" in await clients.refused(notify.email(denied), 400)
    await notify.deleteDenylistAddress(ENTRY)


async def purge_cache(clients: Clients) -> None:
    purge, pool = clients.of("PurgeCache"), f"py/{clients.name}"
    await purge.usual()
    await purge.purgeCache(pool, {"cacheName": "mine"})
    assert [each["cacheName"] for each in (await purge.purgeRequests(pool))["requests"]] == ["mine"]
    assert clients.name in {each["workerType"] for each in (await purge.allPurgeRequests())["requests"]}


async def worker_manager(clients: Clients) -> None:
    manager, pool = clients.of("WorkerManager"), f"pym/{clients.name}"
    await manager.usual()
    assert [each["providerId"] for each in (await manager.listProviders())["providers"]] == ["static", "aws-main", "azure-main", "google-main"]
    wanted = {"providerId": "static", "description": "d", "owner": "o@example.com", "emailOnError": False, "config": {"workerConfig": {"a": 1}}}
    made = await manager.createWorkerPool(pool, wanted)
    assert await manager.workerPool(pool) == made
    assert (await manager.updateWorkerPool(pool, {**wanted, "description": "e"}))["description"] == "e"
    assert pool in {each["workerPoolId"] for each in (await manager.listWorkerPools())["workerPools"]}
    assert pool in {each["workerPoolId"] for each in (await manager.listWorkerPoolsStats())["workerPoolsStats"]}
    assert await manager.listWorkerPoolLaunchConfigs(pool) == {"workerPoolLaunchConfigs": []}
    machine, given = (pool, "g", "w"), {"expires": at(hours=1), "providerInfo": {"staticSecret": "abcd" * 11}}
    await manager.createWorker(*machine, given)
    await manager.updateWorker(*machine, {**given, "capacity": 2})
    assert (await manager.worker(*machine))["capacity"] == 2
    who = {"workerPoolId": pool, "workerGroup": "g", "workerId": "w"}
    proof_of_it = {"providerId": "static", "workerIdentityProof": given["providerInfo"]}
    got = await clients.of("WorkerManager", {}).registerWorker({**who, **proof_of_it})
    own = clients.of("WorkerManager", got["credentials"])
    assert (await own.reregisterWorker({**who, "secret": got["secret"]}))["secret"] != got["secret"]
    await clients.of("Queue").declareWorker(*pool.split("/"), "g", "w", {"expires": at(hours=1)})
    assert (await manager.getWorker(*pool.split("/"), "g", "w"))["state"] == "running"
    assert [each["workerId"] for each in (await manager.listWorkers(*pool.split("/")))["workers"]] == ["w"]
    assert [each["workerId"] for each in (await manager.listWorkersForWorkerPool(pool))["workers"]] == ["w"]
    assert [each["workerId"] for each in (await manager.listWorkersForWorkerGroup(pool, "g"))["workers"]] == ["w"]
    assert (await manager.workerPoolStats(pool))["launchConfigStats"][0]["runningCapacity"] == 2
    error = await manager.reportWorkerError(pool, {"workerGroup": "g", "workerId": "w", "kind": "k", "title": "t", "description": "d", "extra": {}})
    assert (await manager.listWorkerPoolErrors(pool))["workerPoolErrors"] == [error]
    assert (await manager.workerPoolErrorStats(query={"workerPoolId": pool}))["totals"]["total"] == 1
    assert not (await manager.shouldWorkerTerminate(*machine))["terminate"]
    await manager.removeWorker(*machine)
    assert (await manager.deleteWorkerPool(pool))["providerId"] == "null-provider"


async def github(clients: Clients) -> None:
    world, github, branch = clients.world, clients.of("Github"), clients.name
    await github.usual()
    role = f"repo:github.com/octo/hello:branch:{branch}"
    await clients.of("Auth").createRole(role, {"description": "", "scopes": ["queue:create-task:low:py/github", "queue:create-task:project:none"]})
    world.repo.commit(RECIPE)
    sha = world.repo.commit(RECIPE, branch)
    body = {**samples.event("github-push", None, "octo", "hello", {"branch": branch}), "after": sha, "installation": {"id": 5808}}
    raw, headers = deliver(vendors.HOOK_SECRET, "push", body, str(uuid.uuid4()))
    sent = await asyncio.to_thread(requests.post, f"{world.box.root_url}/api/github/v1/github", data=raw, headers=headers, timeout=30)
    assert sent.status_code == 204
    async with asyncio.timeout(30):
        while not (await github.builds(query={"organization": "octo", "repository": "hello", "sha": sha}))["builds"]:
            await asyncio.sleep(0.05)
    assert (await github.repository("octo", "hello"))["installed"]
    assert (await github.renderTaskclusterYml({"body": RECIPE, "fakeEvent": {"type": "github-push"}, "organization": "octo", "repository": "hello"}))["tasks"]
    await github.createStatus("octo", "hello", sha, {"state": "success", "description": "d", "context": "default", "target_url": "https://example.com/"})
    world.repo.pulls[1] = samples.event("github-pull-request", "opened", "octo", "hello", {})["pull_request"]
    await github.createComment("octo", "hello", "1", {"body": clients.name})
    assert (await github.badge("octo", "hello", branch))["response"].headers["content-type"].startswith("image/svg+xml")
    assert (await github.latest("octo", "hello", branch))["response"].headers["location"].startswith("http")
    await github.cancelBuilds("octo", "hello", query={"sha": sha})


async def web_server(clients: Clients) -> None:
    server, queue, task_id, pool = clients.of("WebServer"), clients.of("Queue"), taskcluster.slugId(), f"py/web-{clients.name}"
    await server.usual()
    await queue.createTask(task_id, definitions.task(pool, taskGroupId=task_id))
    claim, own = await claimed(clients, queue, pool)
    line = f"[taskcluster {at()}] hello\n".encode()
    await upload(clients, own, (task_id, str(claim["runId"])), "public/logs/live.log", line * 2)
    await own.reportCompleted(task_id, str(claim["runId"]))
    assert (await server.taskGroupProfile(task_id))["meta"]["product"].startswith(f"Task Group {task_id}")
    assert (await server.taskProfile(task_id))["threads"][0]["name"] == "Live Log"


SCENARIOS: dict[str, Callable[[Clients], Awaitable[None]]] = {
    "Auth": auth, "Github": github, "Hooks": hooks, "Index": index, "Notify": notify, "Object": objects, "PurgeCache": purge_cache, "Queue": queue,
    "Secrets": secrets, "WebServer": web_server, "WorkerManager": worker_manager,
}  # fmt: skip
KINDS = {name for name, kind in vars(taskcluster).items() if inspect.isclass(kind) and getattr(kind, "funcinfo", None) and hasattr(kind, "serviceName")}


def test_no_service_is_left_out():
    """There is a scenario for each service that the client knows, blocking or not."""
    assert set(SCENARIOS) == KINDS == {name for name in KINDS if hasattr(taskcluster.aio, name)}


@pytest.mark.parametrize("kind", sorted(SCENARIOS))
@pytest.mark.parametrize("name", ["blocking", "aio"])
async def test_every_method(world, name, kind, request):
    """All methods of a service's client are called with success, and give what they promise."""
    with proof.by("taskcluster (PyPI)", world.box.root_url, request, part=f"{name}-{kind}"):
        async with aiohttp.ClientSession() as session:
            clients = Clients(world, name, session)
            await SCENARIOS[kind](clients)
    missing = set(getattr(taskcluster, kind).funcinfo) - clients.made[kind].called
    assert not missing, f"no scenario calls {sorted(missing)}"
