"""Workers, task queues and provisioners: who was seen, and who is in quarantine."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors
from tcbox.api import Call, paging
from tcbox.services.queue import definitions
from tcbox.services.queue.declarations import PAGED, api
from tcbox.services.queue.sightings import Sightings
from tcbox.services.queue.store import sql

_CATEGORY = "Worker Metadata"
_FOREVER = 2**53
_LATELY = "Are you sure that a task was created for it, or that a worker asked for its tasks, lately?"
_LAST = "\U0010ffff"
_WORKER = "/provisioners/<provisionerId>/worker-types/<workerType>/workers/<workerGroup>/<workerId>"


class Workers:
    """Answers about workers and task queues, and puts workers into quarantine."""

    def __init__(self, database: db.Database, clock: clocks.Clock, sightings: Sightings) -> None:
        self._db = database
        self._clock = clock
        self._sightings = sightings

    @api.get(
        "/provisioners", name="listProvisioners", output="list-provisioners-response", scopes="queue:list-provisioners",
        category=_CATEGORY, query=PAGED, stability="deprecated",
    )  # fmt: skip
    async def list_provisioners(self, call: Call) -> dict[str, Any]:
        """Get a List of All Active Provisioners

        The first parts of the names of all task queues in use, in pages.
        """
        limit, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        found: list[dict[str, Any]] = []
        # past all task queues of a provisioner: "0" follows "/", which ends its name
        start = f"{after[0]}0" if after[0] else ""
        while len(found) <= limit:
            rows = await self._task_queues(start, _LAST, 1)
            if not rows:
                break
            found.append(await self._provisioner(rows[0]["task_queue_id"].partition("/")[0]) or {})
            start = f"{found[-1]['provisionerId']}0"
        return paging.page("provisioners", found, limit, lambda item: [item["provisionerId"]], lambda item: item)

    @api.get(
        "/provisioners/<provisionerId>", name="getProvisioner", output="provisioner-response",
        scopes="queue:get-provisioner:<provisionerId>", category=_CATEGORY, stability="deprecated",
    )  # fmt: skip
    async def get_provisioner(self, call: Call, provisionerId: str) -> dict[str, Any]:
        """Get an Active Provisioner

        When task queues of a provisioner were last in use.
        """
        found = await self._provisioner(provisionerId)
        if found is None:
            raise errors.ResourceNotFound(
                f"Provisioner `{{provisionerId}}` not found. {_LATELY}",
                provisionerId=provisionerId,
            )
        return found

    @api.get(
        "/provisioners/<provisionerId>/worker-types", name="listWorkerTypes", output="list-workertypes-response",
        scopes="queue:list-worker-types:<provisionerId>", category=_CATEGORY, query=PAGED, stability="deprecated",
    )  # fmt: skip
    async def list_worker_types(self, call: Call, provisionerId: str) -> dict[str, Any]:
        """Get a List of All Active Worker Types

        The task queues of a provisioner that are in use, in pages.
        """
        limit, after = paging.limit(call.query), paging.after(call.query, str) or [f"{provisionerId}/"]
        rows = await self._task_queues(max(after[0], f"{provisionerId}/"), f"{provisionerId}0", limit + 1)
        return paging.page("workerTypes", rows, limit, lambda row: [row["task_queue_id"]], _worker_type)

    @api.get(
        "/provisioners/<provisionerId>/worker-types/<workerType>", name="getWorkerType", output="workertype-response",
        scopes="queue:get-worker-type:<provisionerId>/<workerType>", category=_CATEGORY, stability="deprecated",
    )  # fmt: skip
    async def get_worker_type(self, call: Call, provisionerId: str, workerType: str) -> dict[str, Any]:
        """Get a Worker Type

        When a task queue, given as provisioner and worker type, was last in use.
        """
        row = await self._task_queue(f"{provisionerId}/{workerType}")
        if row is None:
            raise errors.ResourceNotFound(
                f"Worker-type `{{workerType}}` with Provisioner `{{provisionerId}}` not found. {_LATELY}",
                provisionerId=provisionerId, workerType=workerType,
            )  # fmt: skip
        return _worker_type(row)

    @api.get(
        "/task-queues", name="listTaskQueues", output="list-taskqueues-response", scopes="queue:list-task-queues",
        category=_CATEGORY, query=PAGED,
    )  # fmt: skip
    async def list_task_queues(self, call: Call) -> dict[str, Any]:
        """Get a List of All Active Task Queues

        The task queues that are in use, in pages.
        """
        limit, after = paging.limit(call.query), paging.after(call.query, str) or [""]
        rows = await self._task_queues(after[0], _LAST, limit + 1)
        return paging.page("taskQueues", rows, limit, lambda row: [row["task_queue_id"]], _task_queue)

    @api.get(
        "/task-queues/<taskQueueId>", name="getTaskQueue", output="taskqueue-response",
        scopes="queue:get-task-queue:<taskQueueId>", category=_CATEGORY,
    )  # fmt: skip
    async def get_task_queue(self, call: Call, taskQueueId: str) -> dict[str, Any]:
        """Get a Task Queue

        When a task queue was last in use.
        """
        row = await self._task_queue(taskQueueId)
        if row is None:
            raise errors.ResourceNotFound(
                f"Task queue with `{{taskQueueId}}` not found. {_LATELY}",
                taskQueueId=taskQueueId,
            )
        return _task_queue(row)

    @api.get(
        "/provisioners/<provisionerId>/worker-types/<workerType>/workers", name="listWorkers",
        output="list-workers-response", scopes="queue:list-workers:<provisionerId>/<workerType>", category=_CATEGORY,
        query={"continuationToken": ".", "limit": "^[0-9]+$", "quarantined": "^(true|false)$"}, stability="deprecated",
    )  # fmt: skip
    async def list_workers(self, call: Call, provisionerId: str, workerType: str) -> dict[str, Any]:
        """Get a List of All Active Workers of a Worker Type

        The workers that were seen lately or are in quarantine, in pages; with `quarantined`, only those that are, or
        are not, in quarantine.
        """
        await self._sightings.flush()
        limit, after = paging.limit(call.query), paging.after(call.query, str, str) or ["", ""]
        now, quarantined = self._clock.now(), call.query.get("quarantined")
        rows = await self._db.all(
            sql.list_workers, task_queue_id=f"{provisionerId}/{workerType}", after_group=after[0], after_id=after[1],
            now=now, limit=limit + 1, quarantined_from=now if quarantined == "true" else -_FOREVER,
            quarantined_before=now if quarantined == "false" else _FOREVER,
        )  # fmt: skip
        return paging.page("workers", rows, limit, lambda row: [row["worker_group"], row["worker_id"]], lambda row: _listed(row, now))

    @api.get(
        _WORKER, name="getWorker", output="worker-response", category=_CATEGORY, stability="deprecated",
        scopes="queue:get-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>",
    )  # fmt: skip
    async def get_worker(self, call: Call, provisionerId: str, workerType: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Get a Worker

        What is known of a worker: when it was first and last seen, what it claimed lately, whether it is in quarantine.
        """
        await self._sightings.flush()
        row = await self._worker(provisionerId, workerType, workerGroup, workerId)
        now = self._clock.now()
        if row is None or (row["expires"] < now and row["quarantine_until"] < now):
            raise _no_worker(provisionerId, workerType, workerGroup, workerId)
        return _worker(row)

    @api.put(
        _WORKER, name="quarantineWorker", input="quarantine-worker-request", output="worker-response", category=_CATEGORY,
        stability="experimental",
        scopes={"AllOf": ["queue:quarantine-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>"]},
    )  # fmt: skip
    async def quarantine_worker(self, call: Call, provisionerId: str, workerType: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Quarantine a Worker

        Give a worker no more work until a time; a time in the past ends the quarantine. Who did so, and why, is kept.
        """
        until = definitions.moment(call.payload, "quarantineUntil")
        client_id = await call.client_id()
        information = call.payload.get("quarantineInfo") or "[unspecified]"
        key = {"task_queue_id": f"{provisionerId}/{workerType}", "worker_group": workerGroup, "worker_id": workerId}
        await self._sightings.flush()

        async def quarantine(tx: db.Tx) -> db.Row | None:
            await tx.value(sql.get_recent_tasks, **key)
            row = await tx.one(sql.get_worker, **key)
            if row is None:
                return None
            entry = {
                "clientId": client_id,
                "updatedAt": clocks.to_wire(tx.now),
                "quarantineUntil": clocks.to_wire(until),
                "quarantineInfo": information,
            }
            details = [*msgspec.json.decode(row["quarantine_details"]), entry]
            await tx.execute(
                sql.set_quarantine, quarantine_until=until, quarantine_details=msgspec.json.encode(details).decode(),
                expires=tx.now + clocks.DAY, **key,
            )  # fmt: skip
            return await tx.one(sql.get_worker, **key)

        row = await self._db.transaction(quarantine)
        if row is None:
            raise _no_worker(provisionerId, workerType, workerGroup, workerId)
        return _worker(row)

    @api.put(
        "/provisioners/<provisionerId>/worker-types/<workerType>/<workerGroup>/<workerId>", name="declareWorker",
        input="update-worker-request", output="worker-response", category=_CATEGORY, stability="experimental",
        scopes={
            "AllOf": [
                {
                    "for": "property",
                    "in": "properties",
                    "each": "queue:declare-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>#<property>",
                }
            ]
        },
    )  # fmt: skip
    async def declare_worker(self, call: Call, provisionerId: str, workerType: str, workerGroup: str, workerId: str) -> dict[str, Any]:
        """Declare a Worker

        Say that a worker is there, and when to forget it unless it is seen again.
        """
        await call.authorize(
            provisionerId=provisionerId, workerType=workerType, workerGroup=workerGroup, workerId=workerId,
            properties=list(call.payload),
        )  # fmt: skip
        expires = definitions.moment(call.payload, "expires")
        await self._sightings.flush()
        await self._sightings.declare(f"{provisionerId}/{workerType}", workerGroup, workerId, expires)
        row = await self._worker(provisionerId, workerType, workerGroup, workerId)
        if row is None:
            raise _no_worker(provisionerId, workerType, workerGroup, workerId)
        return _worker(row)

    async def _worker(self, provisioner_id: str, worker_type: str, worker_group: str, worker_id: str) -> db.Row | None:
        return await self._db.one(sql.get_worker, task_queue_id=f"{provisioner_id}/{worker_type}", worker_group=worker_group, worker_id=worker_id)

    async def _task_queue(self, task_queue_id: str) -> db.Row | None:
        return await self._db.one(sql.get_task_queue, task_queue_id=task_queue_id, now=self._clock.now())

    async def _task_queues(self, after: str, before: str, limit: int) -> list[db.Row]:
        return await self._db.all(sql.list_task_queues, after=after, before=before, now=self._clock.now(), limit=limit)

    async def _provisioner(self, provisioner_id: str) -> dict[str, Any] | None:
        row = await self._db.one(sql.sum_up_provisioner, after=f"{provisioner_id}/", before=f"{provisioner_id}0", now=self._clock.now())
        if row is None or row["expires"] is None:
            return None
        return {
            "provisionerId": provisioner_id,
            "expires": clocks.to_wire(row["expires"]),
            "lastDateActive": clocks.to_wire(row["last_date_active"]),
            "description": "",
            "stability": "experimental",
        }


def _task_queue(row: db.Row) -> dict[str, Any]:
    return {
        "taskQueueId": row["task_queue_id"],
        "expires": clocks.to_wire(row["expires"]),
        "lastDateActive": clocks.to_wire(row["last_date_active"]),
        "description": row["description"],
        "stability": row["stability"],
    }


def _split(task_queue_id: str) -> dict[str, str]:
    provisioner_id, _, worker_type = task_queue_id.partition("/")
    return {"provisionerId": provisioner_id, "workerType": worker_type}


def _worker_type(row: db.Row) -> dict[str, Any]:
    return {**_task_queue(row), **_split(row["task_queue_id"])}


def _worker(row: db.Row) -> dict[str, Any]:
    document = {
        "taskQueueId": row["task_queue_id"],
        **_split(row["task_queue_id"]),
        "workerGroup": row["worker_group"],
        "workerId": row["worker_id"],
        "quarantineUntil": clocks.to_wire(row["quarantine_until"]),
        "expires": clocks.to_wire(row["expires"]),
        "firstClaim": clocks.to_wire(row["first_claim"]),
        "recentTasks": msgspec.json.decode(row["recent_tasks"]),
        "lastDateActive": clocks.to_wire(row["last_date_active"]),
    }
    details = msgspec.json.decode(row["quarantine_details"])
    return {**document, "quarantineDetails": details} if details else document


def _listed(row: db.Row, now: int) -> dict[str, Any]:
    entry = {
        "workerGroup": row["worker_group"],
        "workerId": row["worker_id"],
        "firstClaim": clocks.to_wire(row["first_claim"]),
        "lastDateActive": clocks.to_wire(row["last_date_active"]),
    }
    recent = msgspec.json.decode(row["recent_tasks"])
    if recent:
        entry["latestTask"] = recent[-1]
    if row["quarantine_until"] > now:
        entry["quarantineUntil"] = clocks.to_wire(row["quarantine_until"])
    return entry


def _no_worker(provisioner_id: str, worker_type: str, worker_group: str, worker_id: str) -> errors.ResourceNotFound:
    return errors.ResourceNotFound(
        "Worker with workerId `{workerId}`, workerGroup `{workerGroup}`, worker-type `{workerType}` and provisionerId "
        "`{provisionerId}` not found. Are you sure it has asked for tasks lately, or was declared?",
        workerId=worker_id, workerGroup=worker_group, workerType=worker_type, provisionerId=provisioner_id,
    )  # fmt: skip
