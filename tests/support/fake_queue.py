"""A queue over real HTTP, with just what a worker asks of one: enough to run workers without an instance."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from tcbox import clock as clocks
from tcbox import ids

_QUEUE = [
    ("claimWork", "post", "/claim-work/<taskQueueId>"),
    ("reclaimTask", "post", "/task/<taskId>/runs/<runId>/reclaim"),
    ("reportCompleted", "post", "/task/<taskId>/runs/<runId>/completed"),
    ("reportFailed", "post", "/task/<taskId>/runs/<runId>/failed"),
    ("reportException", "post", "/task/<taskId>/runs/<runId>/exception"),
    ("createArtifact", "post", "/task/<taskId>/runs/<runId>/artifacts/<name>"),
    ("latestArtifact", "get", "/task/<taskId>/artifact-content/<name>"),
    ("status", "get", "/task/<taskId>/status"),
    ("listTaskQueues", "get", "/task-queues"),
    ("listClaimedTasks", "get", "/task-queues/<taskQueueId>/claimed"),
    ("pendingTasks", "get", "/pending/<taskQueueId>"),
]
_OTHERS = {
    "auth": [("expandScopes", "get", "/scopes/expand")],
    "index": [("findTask", "get", "/task/<indexPath>")],
}


@dataclass
class Task:
    """A task and what has become of it."""

    id: str
    definition: dict[str, Any]
    state: str = "pending"
    reason: str | None = None
    reclaims: int = 0
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    content: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    def body(self, name: str) -> bytes:
        """An artifact's content, links followed, as a client that decodes gzip sees it."""
        artifact = self.artifacts[name]
        if artifact["storageType"] == "link":
            return self.body(artifact["artifact"])
        data, headers = self.content[name]
        return gzip.decompress(data) if headers.get("Content-Encoding") == "gzip" else data

    @property
    def log(self) -> str:
        """The log that was kept."""
        return self.body("public/logs/live_backing.log").decode()


class FakeQueue:
    """Gives out the tasks that are added, and keeps what is reported and uploaded."""

    def __init__(self, claim_ms: int = 20 * clocks.MINUTE) -> None:
        self.tasks: dict[str, Task] = {}
        self.pending: dict[str, list[Task]] = {}
        self.calls: list[str] = []
        self.namespaces: dict[str, str] = {}
        self.root_url = ""
        self.claim_ms = claim_ms
        self.cuts = 0  # how many uploads are still to be broken off in the middle
        self.uploads = 0
        self._new = asyncio.Event()
        self._clock = clocks.SystemClock()

    def add(self, payload: dict[str, Any], queue: str = "local/host", **more: Any) -> Task:
        """Add a task that can be claimed at once."""
        now = self._clock.now()
        provisioner, _, worker_type = queue.partition("/")
        definition = {
            "provisionerId": provisioner, "workerType": worker_type, "taskQueueId": queue, "schedulerId": "-", "projectId": "none",
            "taskGroupId": ids.slugid(), "dependencies": [], "requires": "all-completed", "routes": [], "priority": "lowest", "retries": 5,
            "created": clocks.to_wire(now), "deadline": clocks.to_wire(now + clocks.HOUR), "expires": clocks.to_wire(now + clocks.DAY), "scopes": [],
            "payload": payload, "metadata": {"name": "t", "description": "t", "owner": "t@example.com", "source": "https://example.com"}, "tags": {}, "extra": {},
            **more,
        }  # fmt: skip
        task = Task(ids.slugid(), definition)
        self.tasks[task.id] = task
        self.pending.setdefault(queue, []).append(task)
        self._new.set()
        self._new = asyncio.Event()
        return task

    async def done(self, task: Task, seconds: float = 30) -> Task:
        """Wait for a task's end."""
        await asyncio.wait_for(task.ended.wait(), seconds)
        return task

    def resolve(self, task: Task, state: str, reason: str) -> None:
        """Resolve a task, as a person who cancels it would."""
        task.state, task.reason = state, reason
        task.ended.set()

    async def start(self, port: int = 0) -> web.AppRunner:
        """Serve on the loopback address, at any free port when none is given."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/references/{service}/v1/api.json", self._references)
        app.router.add_route("*", "/api/{service}/v1/{rest:.*}", self._api)
        app.router.add_put("/put/{task}/{name:.*}", self._put)
        app.router.add_get("/get/{task}/{name:.*}", self._get)
        runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        self.root_url = "http://127.0.0.1:%d" % runner.addresses[0][1]
        return runner

    async def _references(self, request: web.Request) -> web.Response:
        service = request.match_info["service"]
        entries = _QUEUE if service == "queue" else _OTHERS.get(service)
        if entries is None:
            return web.json_response({"code": "ResourceNotFound", "message": "no such service"}, status=404)
        return web.json_response({"entries": [{"name": name, "method": method, "route": route} for name, method, route in entries]})

    async def _api(self, request: web.Request) -> web.StreamResponse:
        from urllib.parse import unquote

        service = request.match_info["service"]
        path = request.raw_path.partition("?")[0].split("/v1", 1)[1]
        given = [unquote(part) for part in path.strip("/").split("/")]
        for name, method, route in _QUEUE if service == "queue" else _OTHERS[service]:
            pattern = route.strip("/").split("/")
            if method.upper() == request.method and len(pattern) == len(given) and all(p.startswith("<") or p == g for p, g in zip(pattern, given)):
                self.calls.append(name)
                args = [g for p, g in zip(pattern, given) if p.startswith("<")]
                raw = await request.read()
                return await getattr(self, name)(*args, payload=msgspec.json.decode(raw) if raw else None)
        return web.json_response({"code": "ResourceNotFound", "message": request.path}, status=404)

    def _claim(self, task: Task) -> dict[str, Any]:
        until = clocks.to_wire(self._clock.now() + self.claim_ms)
        return {
            "status": {"taskId": task.id, "taskGroupId": task.definition["taskGroupId"], "runs": []}, "runId": 0, "workerGroup": "g", "workerId": "w",
            "takenUntil": until, "task": task.definition, "credentials": {"clientId": f"task-client/{task.id}", "accessToken": "secret"},
        }  # fmt: skip

    async def claimWork(self, queue: str, payload: Any) -> web.Response:
        end = asyncio.get_running_loop().time() + 20
        while not self.pending.get(queue) and asyncio.get_running_loop().time() < end:
            try:
                await asyncio.wait_for(self._new.wait(), 1)
            except TimeoutError:
                continue
        given = [self.pending[queue].pop(0) for _ in range(min(payload["tasks"], len(self.pending.get(queue, []))))]
        for task in given:
            task.state = "running"
            task.started.set()
        return web.json_response({"tasks": [self._claim(task) for task in given]})

    def _running(self, task_id: str) -> Task:
        task = self.tasks[task_id]
        if task.state != "running":
            raise web.HTTPConflict(text='{"code": "RequestConflict", "message": "the run is resolved"}')
        return task

    async def reclaimTask(self, task_id: str, run: str, payload: Any) -> web.Response:
        task = self._running(task_id)
        task.reclaims += 1
        return web.json_response(self._claim(task))

    async def _report(self, task_id: str, state: str, reason: str | None = None) -> web.Response:
        self.resolve(self._running(task_id), state, reason or state)
        return web.json_response({})

    async def reportCompleted(self, task_id: str, run: str, payload: Any) -> web.Response:
        return await self._report(task_id, "completed")

    async def reportFailed(self, task_id: str, run: str, payload: Any) -> web.Response:
        return await self._report(task_id, "failed")

    async def reportException(self, task_id: str, run: str, payload: Any) -> web.Response:
        return await self._report(task_id, "exception", payload["reason"])

    async def createArtifact(self, task_id: str, run: str, name: str, payload: Any) -> web.Response:
        task = self.tasks[task_id]
        before = task.artifacts.get(name)
        if before is not None and before["storageType"] != "reference" and before != payload:
            return web.json_response({"code": "RequestConflict", "message": "another artifact"}, status=409)
        task.artifacts[name] = payload
        kind = payload["storageType"]
        if kind != "s3":
            return web.json_response({"storageType": kind})
        return web.json_response(
            {"storageType": kind, "putUrl": f"{self.root_url}/put/{task_id}/{name}", "expires": payload["expires"], "contentType": payload["contentType"]}
        )

    async def latestArtifact(self, task_id: str, name: str, payload: Any) -> web.Response:
        if task_id not in self.tasks or name not in self.tasks[task_id].artifacts:
            return web.json_response({"code": "ResourceNotFound", "message": "no artifact"}, status=404)
        return web.json_response({"storageType": "s3", "url": f"{self.root_url}/get/{task_id}/{name}"})

    async def status(self, task_id: str, payload: Any) -> web.Response:
        task = self.tasks[task_id]
        run = {"runId": 0, "state": task.state, **({"reasonResolved": task.reason} if task.reason else {})}
        return web.json_response({"status": {"taskId": task_id, "state": task.state, "runs": [run]}})

    async def listTaskQueues(self, payload: Any) -> web.Response:
        return web.json_response({"taskQueues": [{"taskQueueId": name} for name in self.pending]})

    async def pendingTasks(self, queue: str, payload: Any) -> web.Response:
        return web.json_response({"pendingTasks": len(self.pending.get(queue, []))})

    async def listClaimedTasks(self, queue: str, payload: Any) -> web.Response:
        claimed = [task for task in self.tasks.values() if task.state == "running" and task.definition["taskQueueId"] == queue]
        return web.json_response({"tasks": [{"taskId": task.id, "runId": 0, "workerGroup": "local", "workerId": "worker"} for task in claimed]})

    async def expandScopes(self, payload: Any) -> web.Response:
        extra = ["generic-worker:cache:from-role", "docker-worker:cache:from-role"] if "assume:caching" in payload["scopes"] else []
        return web.json_response({"scopes": [*payload["scopes"], *extra]})

    async def findTask(self, namespace: str, payload: Any) -> web.Response:
        if namespace not in self.namespaces:
            return web.json_response({"code": "ResourceNotFound", "message": "not indexed"}, status=404)
        return web.json_response({"taskId": self.namespaces[namespace], "namespace": namespace})

    async def _put(self, request: web.Request) -> web.Response:
        self.uploads += 1
        if self.cuts and "/logs/" not in request.path:
            self.cuts -= 1
            await request.content.read(1000)
            request.transport.abort()
            return web.Response()
        headers = {name: request.headers[name] for name in ("Content-Type", "Content-Encoding") if name in request.headers}
        self.tasks[request.match_info["task"]].content[request.match_info["name"]] = (await request.read(), headers)
        return web.Response()

    async def _get(self, request: web.Request) -> web.Response:
        found = self.tasks[request.match_info["task"]].content.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        data, headers = found
        return web.Response(body=data, headers=headers)
