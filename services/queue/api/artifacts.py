"""Creating artifacts: the record first, then a way for the worker to send the bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors, ids
from tcbox.api import Call, Encoded
from tcbox.client import Caller
from tcbox.services.queue import artifacts, definitions, replies, store
from tcbox.services.queue import events as exchanges
from tcbox.services.queue.artifact_store import ArtifactStore
from tcbox.services.queue.artifacts import Artifact
from tcbox.services.queue.changes import Changes
from tcbox.services.queue.declarations import api
from tcbox.services.queue.run_credentials import RunCredentials
from tcbox.services.queue.status import Run
from tcbox.services.queue.store import Task, sql

_CATEGORY = "Artifacts"
_ROUTE = "/task/<taskId>/runs/<runId>/artifacts/<name>"


class Artifacts:
    """Takes artifacts from workers.

    Args:
        caller: calls the object service with the queue's credentials.
        artifact_store: where the bytes of the storage type `s3` go; None where that type is not offered.
    """

    def __init__(
        self,
        *,
        database: db.Database,
        clock: clocks.Clock,
        changes: Changes,
        credentials: RunCredentials,
        caller: Caller,
        artifact_store: ArtifactStore | None,
    ) -> None:
        self._db = database
        self._clock = clock
        self._changes = changes
        self._credentials = credentials
        self._caller = caller
        self._store = artifact_store

    @api.post(
        _ROUTE, name="createArtifact", input="post-artifact-request", output="post-artifact-response", category=_CATEGORY,
        scopes="queue:create-artifact:<taskId>/<runId>",
    )  # fmt: skip
    async def create_artifact(self, call: Call, taskId: str, runId: str, name: str) -> Encoded:
        """Create Artifact

        Say that a run has an artifact, and get what is needed to send its bytes, which differs by storage type. The
        run must be running; after an exception artifacts are taken for another 25 minutes. An artifact must not
        expire later than its task.
        """
        request = call.payload
        run_id = replies.run_number(runId)
        expires = definitions.moment(request, "expires")
        if expires < self._clock.now() - definitions.DRIFT:
            raise errors.InputError("Expires must be in the future: it is {expires}", expires=request["expires"])
        task = await self._task(taskId)
        run = self._claimed_run(task, run_id)
        self._check(task, run, expires)
        wanted = artifacts.requested((taskId, run_id), name, request, expires, ids.slugid())
        if wanted.storage_type == "s3" and self._store is None:
            raise errors.InputError("Artifacts of the storageType s3 are not offered here: use the storageType object.")
        if wanted.storage_type == "object":
            wanted = await self._reserve(wanted, task.status.project_id)
        artifact = await self._record(wanted, taskId, run)
        return replies.encoded(self._reply(artifact, task.status.project_id, run))

    @api.put(
        _ROUTE, name="finishArtifact", input="finish-artifact-request", category=_CATEGORY,
        scopes="queue:create-artifact:<taskId>/<runId>",
    )  # fmt: skip
    async def finish_artifact(self, call: Call, taskId: str, runId: str, name: str) -> None:
        """Finish Artifact

        Say that all bytes of an `object` artifact have been sent; from then on it can be had.
        """
        run_id = replies.run_number(runId)
        key = {"task_id": taskId, "run_id": run_id, "name": name}
        row, task = await self._db.point(sql.get_artifact, **key), await self._find(taskId)
        run = None if task is None else task.status.run(run_id)
        if row is None or task is None or run is None:
            raise errors.ResourceNotFound(
                "Artifact `{name}` of run {runId} of task `{taskId}` not found. Create it first.", name=name, runId=run_id, taskId=taskId
            )
        artifact = artifacts.from_row(row)
        if artifact.storage_type != "object":
            raise errors.InputError(
                "Only object artifacts can be finished, and this one is of the storageType {storageType}, which needs no such call.",
                storageType=artifact.storage_type,
            )
        if artifact.present:
            return
        if call.payload["uploadId"] != artifact.details.get("uploadId"):
            raise errors.InputError("given uploadId does not match that for the artifact: give the one that createArtifact replied with")
        await self._check_object(artifact)

        async def finish(tx: db.Tx) -> None:
            if await tx.execute(sql.finish_artifact, **key):
                await self._announce(tx, artifact, taskId, run)

        await self._db.transaction(finish)

    async def _find(self, task_id: str) -> Task | None:
        row = await self._db.point(sql.get_task, task_id=task_id)
        return None if row is None else store.task(row)

    async def _task(self, task_id: str) -> Task:
        task = await self._find(task_id)
        if task is None:
            raise errors.InputError("Task not found: there is no task `{taskId}`", taskId=task_id)
        return task

    def _claimed_run(self, task: Task, run_id: int) -> Run:
        run = task.status.run(run_id)
        if run is None:
            raise errors.InputError("Run not found: task `{taskId}` has no run {runId}", taskId=task.status.task_id, runId=run_id)
        if run.worker_group is None or run.worker_id is None:
            raise errors.InputError(
                "Run was not claimed by a worker and so no artifacts can exist: claim run {runId} of task `{taskId}` first",
                taskId=task.status.task_id, runId=run_id,
            )  # fmt: skip
        return run

    def _check(self, task: Task, run: Run, expires: int) -> None:
        if expires > task.expires:
            raise errors.InputError(
                "Artifact expires ({expires}) after the task expiration {taskExpires}: let it expire earlier.",
                expires=clocks.to_wire(expires), taskExpires=clocks.to_wire(task.expires),
            )  # fmt: skip
        if run.state == "running":
            return
        resolved = clocks.from_wire(run.resolved) if run.resolved else 0
        if run.state != "exception" or resolved <= self._clock.now() - artifacts.LATE:
            raise errors.RequestConflict(
                "Artifacts cannot be created for a task after it is resolved, unless it is resolved 'exception', and even "
                "in this case only up to 25 min past resolution: this run is {state}. Create artifacts before reporting.",
                state=run.state, status=msgspec.to_builtins(task.status),
            )  # fmt: skip

    async def _reserve(self, wanted: Artifact, project_id: str) -> Artifact:
        """Tie an object's name to its upload, which a repeated call goes on with; the artifact with that upload."""
        row = await self._db.point(sql.get_artifact, task_id=wanted.task_id, run_id=wanted.run_id, name=wanted.name)
        artifact = wanted if row is None else artifacts.resumed(artifacts.from_row(row), wanted)
        upload = {
            "expires": clocks.to_wire(artifact.expires),
            "projectId": project_id,
            "uploadId": artifact.details["uploadId"],
            "proposedUploadMethods": {},
        }
        try:
            await self._caller.call("object", "createUpload", artifact.object_name, payload=upload)
        except errors.RequestConflict as error:
            raise errors.RequestConflict(
                "The object of artifact {name} belongs to another upload, maybe of another createArtifact at this very moment: try again, "
                "or use another name. The object service says: {reason}",
                name=artifact.name, reason=str(error),
            ) from None  # fmt: skip
        return artifact

    async def _check_object(self, artifact: Artifact) -> None:
        try:
            await self._caller.call("object", "object", artifact.object_name)
        except errors.ResourceNotFound:
            raise errors.InputError(
                "Object storing artifact data does not exist: finish the upload of {name} to the object service first.",
                name=artifact.object_name,
            ) from None

    async def _record(self, wanted: Artifact, task_id: str, run: Run) -> Artifact:
        async def record(tx: db.Tx) -> Artifact:
            artifact = wanted
            if not await tx.execute(sql.insert_artifact, **wanted.columns()):
                artifact = await self._replace(tx, wanted)
            if artifact.present and artifact.storage_type != "s3":
                await self._announce(tx, artifact, task_id, run)
            return artifact

        return await self._db.transaction(record)

    async def _replace(self, tx: db.Tx, wanted: Artifact) -> Artifact:
        key = {"task_id": wanted.task_id, "run_id": wanted.run_id, "name": wanted.name}
        row = await tx.one(sql.get_artifact, **key)
        if row is None:
            raise errors.RequestConflict("Artifact {name} was removed at this very moment: try again.", name=wanted.name)
        original = artifacts.from_row(row)
        if not artifacts.may_replace(original, wanted):
            raise artifacts.conflict(original)
        columns = wanted.columns()
        await tx.execute(sql.update_artifact, storage_type=columns["storage_type"], details=columns["details"], expires=wanted.expires, **key)
        changed = await tx.one(sql.get_artifact, **key)
        return artifacts.from_row(changed or row)

    async def _announce(self, tx: db.Tx, artifact: Artifact, task_id: str, run: Run) -> None:
        row = await tx.one(sql.get_task, task_id=task_id)
        if row is None:
            return
        task = store.task(row)
        message = {
            "version": 1,
            "status": task.status,
            "artifact": artifact.document(),
            "workerGroup": run.worker_group,
            "workerId": run.worker_id,
            "runId": run.run_id,
        }
        await self._changes.publish(tx, task, exchanges.artifact_created, message)

    def _reply(self, artifact: Artifact, project_id: str, run: Run) -> dict[str, Any]:
        if artifact.storage_type == "object":
            scope = f"object:upload:{project_id}:{artifact.object_name}"
            place, worker = f"{artifact.task_id}/{artifact.run_id}", f"{run.worker_group}/{run.worker_id}"
            return {
                "storageType": "object",
                "name": artifact.object_name,
                "projectId": project_id,
                "uploadId": artifact.details["uploadId"],
                "expires": clocks.to_wire(artifact.expires),
                "credentials": self._credentials.for_upload(place, worker, scope, artifact.expires),
            }
        if artifact.storage_type == "s3" and self._store is not None:
            until = self._clock.now() + artifacts.UPLOAD_LIFE
            # the length that was announced does not bind the upload: workers announce it before they compress
            url = self._store.put_url(artifact.details["key"], content_type=artifact.content_type, content_length=None, expires_ms=until)
            content_type = artifact.content_type
            return {"storageType": "s3", "contentType": content_type, "expires": clocks.to_wire(until), "putUrl": url}
        return {"storageType": artifact.storage_type}
