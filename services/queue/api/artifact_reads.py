"""Getting at artifacts: where the bytes are, what is known of them, and lists, of one run or of the latest."""

from __future__ import annotations

from typing import Any

from tcbox import clock as clocks
from tcbox import db, errors
from tcbox.api import Call, Redirect, Reply, paging
from tcbox.client import Caller
from tcbox.services.queue import artifacts, replies
from tcbox.services.queue import status as statuses
from tcbox.services.queue.artifact_store import ArtifactStore
from tcbox.services.queue.artifacts import Artifact
from tcbox.services.queue.declarations import PAGED, api
from tcbox.services.queue.run_credentials import RunCredentials
from tcbox.services.queue.store import sql

_CATEGORY = "Artifacts"
_READ = {"AllOf": [{"for": "name", "in": "names", "each": "queue:get-artifact:<name>"}]}


class ArtifactReads:
    """Gives out artifacts.

    Args:
        caller: calls the object service with the queue's credentials.
        artifact_store: where the bytes of the storage type `s3` are; None where that type is not offered.
    """

    def __init__(
        self,
        database: db.Database,
        clock: clocks.Clock,
        credentials: RunCredentials,
        caller: Caller,
        artifact_store: ArtifactStore | None,
    ) -> None:
        self._db = database
        self._clock = clock
        self._credentials = credentials
        self._caller = caller
        self._store = artifact_store

    @api.get(
        "/task/<taskId>/runs/<runId>/artifacts/<name>", name="getArtifact", output="get-artifact-response", scopes=_READ,
        category=_CATEGORY,
    )  # fmt: skip
    async def get_artifact(self, call: Call, taskId: str, runId: str, name: str) -> Reply:
        """Get Artifact Data from Run

        Sends the caller on, with status 303 and a JSON body that says the same, to where the bytes are. For an
        `error` artifact the status is 424. The header `x-taskcluster-artifact-storage-type` tells the storage type.
        """
        return await self._download(await self._follow(call, taskId, replies.run_number(runId), name))

    @api.get(
        "/task/<taskId>/artifacts/<name>", name="getLatestArtifact", output="get-artifact-response", scopes=_READ,
        category=_CATEGORY,
    )  # fmt: skip
    async def get_latest_artifact(self, call: Call, taskId: str, name: str) -> Reply:
        """Get Artifact Data from Latest Run

        As `getArtifact`, of the task's latest run. Where the run is known, `getArtifact` is the safer choice, as a
        new run may begin at any time.
        """
        await call.authorize(names=[name])
        return await self._download(await self._follow(call, taskId, await self._latest(taskId), name))

    @api.get(
        "/task/<taskId>/runs/<runId>/artifacts", name="listArtifacts", output="list-artifacts-response",
        scopes="queue:list-artifacts:<taskId>:<runId>", category=_CATEGORY, query=PAGED,
    )  # fmt: skip
    async def list_artifacts(self, call: Call, taskId: str, runId: str) -> dict[str, Any]:
        """Get Artifacts from Run

        The artifacts of a run by name, up to 1000 at a time: as long as a reply has a `continuationToken`, there may
        be more.
        """
        run_id = replies.run_number(runId)
        if run_id > await self._latest(taskId):
            raise errors.ResourceNotFound("Task with taskId: `{taskId}` has no run with runId: {runId}", taskId=taskId, runId=run_id)
        return await self._list(call, taskId, run_id)

    @api.get(
        "/task/<taskId>/artifacts", name="listLatestArtifacts", output="list-artifacts-response",
        scopes="queue:list-artifacts:<taskId>", category=_CATEGORY, query=PAGED,
    )  # fmt: skip
    async def list_latest_artifacts(self, call: Call, taskId: str) -> dict[str, Any]:
        """Get Artifacts from Latest Run

        As `listArtifacts`, of the task's latest run.
        """
        return await self._list(call, taskId, await self._latest(taskId))

    @api.get(
        "/task/<taskId>/runs/<runId>/artifact-info/<name>", name="artifactInfo", output="artifact-response",
        scopes="queue:list-artifacts:<taskId>:<runId>", category=_CATEGORY,
    )  # fmt: skip
    async def artifact_info(self, call: Call, taskId: str, runId: str, name: str) -> dict[str, Any]:
        """Get Artifact Information From Run

        What is known of an artifact: storage type, content type, when it expires. Links are not followed.
        """
        return (await self._present(taskId, replies.run_number(runId), name)).document()

    @api.get(
        "/task/<taskId>/artifact-info/<name>", name="latestArtifactInfo", output="artifact-response",
        scopes="queue:list-artifacts:<taskId>", category=_CATEGORY,
    )  # fmt: skip
    async def latest_artifact_info(self, call: Call, taskId: str, name: str) -> dict[str, Any]:
        """Get Artifact Information From Latest Run

        As `artifactInfo`, of the task's latest run.
        """
        return (await self._present(taskId, await self._latest(taskId), name)).document()

    @api.get(
        "/task/<taskId>/runs/<runId>/artifact-content/<name>", name="artifact", output="artifact-content-response",
        scopes=_READ, category=_CATEGORY,
    )  # fmt: skip
    async def artifact(self, call: Call, taskId: str, runId: str, name: str) -> dict[str, Any]:
        """Get Artifact Content From Run

        How to get the bytes of an artifact, by storage type: a URL, or a name in the object service with credentials
        for it, or the reason why there are none. Links are followed. Meant for client libraries.
        """
        return await self._content(await self._follow(call, taskId, replies.run_number(runId), name))

    @api.get(
        "/task/<taskId>/artifact-content/<name>", name="latestArtifact", output="artifact-content-response",
        scopes=_READ, category=_CATEGORY,
    )  # fmt: skip
    async def latest_artifact(self, call: Call, taskId: str, name: str) -> dict[str, Any]:
        """Get Artifact Content From Latest Run

        As `artifact`, of the task's latest run.
        """
        await call.authorize(names=[name])
        return await self._content(await self._follow(call, taskId, await self._latest(taskId), name))

    async def _latest(self, task_id: str) -> int:
        row = await self._db.point(sql.get_status, task_id=task_id)
        if row is None:
            raise errors.ResourceNotFound("Task not found: there is no task `{taskId}`", taskId=task_id)
        run_id = statuses.decode(row[0]).last_run_id
        if run_id < 0:
            raise errors.ResourceNotFound("Task `{taskId}` doesn't have any runs", taskId=task_id)
        return run_id

    async def _list(self, call: Call, task_id: str, run_id: int) -> dict[str, Any]:
        limit, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        rows = await self._db.all(sql.list_artifacts, task_id=task_id, run_id=run_id, after=after[0], limit=limit + 1)
        return paging.page("artifacts", rows, limit, lambda row: [row["name"]], lambda row: artifacts.from_row(row).document())

    async def _present(self, task_id: str, run_id: int, name: str) -> Artifact:
        row = await self._db.point(sql.get_artifact, task_id=task_id, run_id=run_id, name=name)
        artifact = None if row is None else artifacts.from_row(row)
        if artifact is None or not artifact.present:
            raise errors.ResourceNotFound(
                "Artifact not found: run {runId} of task `{taskId}` has no artifact `{name}`",
                name=name, runId=run_id, taskId=task_id,
            )  # fmt: skip
        return artifact

    async def _follow(self, call: Call, task_id: str, run_id: int, name: str) -> Artifact:
        names = [name]
        while True:
            await call.authorize(names=names)
            artifact = await self._present(task_id, run_id, names[-1])
            if artifact.expires < self._clock.now():
                raise errors.ResourceExpired(
                    "Artifact expired: `{name}` was to be had until {expires}", name=names[-1], expires=clocks.to_wire(artifact.expires)
                )
            if artifact.storage_type != "link":
                return artifact
            target = artifact.details["artifact"]
            if target in names:
                raise errors.InputError("Artifact leads to a link cycle: {names}", names=" -> ".join([*names, target]))
            names.append(target)

    async def _download(self, artifact: Artifact) -> Reply:
        headers = {"x-taskcluster-artifact-storage-type": artifact.storage_type}
        if artifact.storage_type == "error":
            return Reply({"reason": artifact.details["reason"], "message": artifact.details["message"]}, 424, headers)
        url = await self._object_url(artifact) if artifact.storage_type == "object" else self._url(artifact)
        redirect = Redirect(url, {"storageType": artifact.storage_type, "url": url})
        return Reply(redirect.body, redirect.status, {**redirect.headers, **headers})

    async def _content(self, artifact: Artifact) -> dict[str, Any]:
        if artifact.storage_type == "error":
            return {"storageType": "error", "reason": artifact.details["reason"], "message": artifact.details["message"]}
        if artifact.storage_type == "object":
            place = f"{artifact.task_id}/{artifact.run_id}/{artifact.name}"
            credentials = self._credentials.for_download(place, f"object:download:{artifact.object_name}")
            return {"storageType": "object", "name": artifact.object_name, "credentials": credentials}
        return {"storageType": artifact.storage_type, "url": self._url(artifact)}

    def _url(self, artifact: Artifact) -> str:
        if artifact.storage_type == "reference":
            return str(artifact.details["url"])
        if self._store is None:
            raise errors.ResourceNotFound("Artifact `{name}` is of the storageType s3, and no place for such artifacts is configured here.", name=artifact.name)
        return self._store.get_url(
            artifact.details["key"], public=artifact.public, expires_ms=self._clock.now() + artifacts.DOWNLOAD_LIFE,
            content_type=artifact.content_type, filename=artifact.filename,
        )  # fmt: skip

    async def _object_url(self, artifact: Artifact) -> str:
        try:
            reply = await self._caller.call("object", "startDownload", artifact.object_name, payload={"acceptDownloadMethods": {"simple": True}})
        except errors.ResourceNotFound:
            raise errors.ResourceNotFound("Object does not exist: the object service has no {name}.", name=artifact.object_name) from None
        if reply["method"] != "simple":
            raise errors.ResourceNotFound("Object does not support simple downloads: use the method `artifact` instead.")
        return str(reply["url"])
