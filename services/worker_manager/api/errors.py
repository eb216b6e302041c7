"""Methods about what is wrong with pools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tcbox import clock as clocks
from tcbox import db
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.worker_manager import replies, store
from tcbox.services.worker_manager.declarations import LAUNCH_CONFIG, NEXT, api
from tcbox.services.worker_manager.pools import Pools
from tcbox.services.worker_manager.providers.interface import Trouble
from tcbox.services.worker_manager.reports import Reports
from tcbox.services.worker_manager.workers import Workers

_CATEGORY = "Worker Pools"
_HOURS_OF_DAY = 24
_DAYS = 7


class ErrorMethods:
    """Takes reports of errors, lists and counts them."""

    def __init__(self, clock: clocks.Clock, pools: Pools, workers: Workers, reports: Reports) -> None:
        self._clock = clock
        self._pools = pools
        self._workers = workers
        self._reports = reports

    @api.post(
        "/worker-pool-errors/<workerPoolId>", name="reportWorkerError", category="Worker Interface", input="report-worker-error-request",
        output="worker-pool-error",
        scopes={"AllOf": ["assume:worker-pool:<workerPoolId>", "assume:worker-id:<workerGroup>/<workerId>"]},
    )  # fmt: skip
    async def report_worker_error(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Report an error from a worker

        A worker tells what is wrong with it, for instance with its configuration, for whoever looks after the pool. What
        it says stands among the pool's errors, where others can read it: it must hold nothing secret.
        """
        given = call.payload
        group, name = given["workerGroup"], given["workerId"]
        await call.authorize(workerPoolId=workerPoolId, workerGroup=group, workerId=name)
        pool = await self._pools.get(workerPoolId)
        worker = await self._workers.find(workerPoolId, group, name)
        trouble = Trouble(given["kind"], given["title"], given["description"], {**given["extra"], "workerGroup": group, "workerId": name})
        made = await self._reports.add(pool, trouble, launch_config_id=worker.launch_config_id if worker is not None else None)
        assert made is not None, "an error that may be repeated is always reported"
        return replies.error(made)

    @api.get(
        "/worker-pool-errors/stats", name="workerPoolErrorStats", category=_CATEGORY, output="worker-pool-error-stats", stability="experimental",
        scopes="worker-manager:list-worker-pool-errors:<workerPoolId>", query={"workerPoolId": "^([a-zA-Z0-9/_-]+)?$"},
    )  # fmt: skip
    async def worker_pool_error_stats(self, call: Call) -> dict[str, Any]:
        """List Worker Pool Errors Count

        How many errors a pool had in the last seven days, by day, by hour of the last 24, by title, code and launch
        configuration; without `workerPoolId`, those of all pools.
        """
        worker_pool_id = call.query.get("workerPoolId", "")
        await call.authorize(workerPoolId=worker_pool_id or "*")
        if worker_pool_id:
            await self._pools.get(worker_pool_id)
        hour = self._clock.now() // clocks.HOUR
        day = hour // _HOURS_OF_DAY
        rows = await self._reports.counts(worker_pool_id, (day - _DAYS + 1) * clocks.DAY)
        days = dict.fromkeys(range(day - _DAYS + 1, day + 1), 0) | _sums((row["hour"] // _HOURS_OF_DAY, row) for row in rows)
        hours = dict.fromkeys(range(hour - _HOURS_OF_DAY + 1, hour + 1), 0)
        hours |= {each: count for each, count in _sums((row["hour"], row) for row in rows).items() if each in hours}
        totals = {
            "total": sum(row["errors"] for row in rows),
            "daily": {clocks.to_wire(each * clocks.DAY): count for each, count in days.items()},
            "hourly": {clocks.to_wire(each * clocks.HOUR): count for each, count in hours.items()},
            "title": _sums((row["title"], row) for row in rows),
            "code": _sums((row["code"], row) for row in rows),
            "workerPool": _sums((row["worker_pool_id"], row) for row in rows),
            "launchConfig": _sums((row["launch_config_id"] or "unknown", row) for row in rows) if worker_pool_id else {},
        }
        return {"workerPoolId": worker_pool_id, "totals": totals}

    @api.get(
        "/worker-pool-errors/<workerPoolId>", name="listWorkerPoolErrors", category=_CATEGORY, output="worker-pool-error-list",
        scopes="worker-manager:list-worker-pool-errors:<workerPoolId>", query={**NEXT, "launchConfigId": LAUNCH_CONFIG, "errorId": "^[a-zA-Z0-9_-]+$"},
    )  # fmt: skip
    async def list_worker_pool_errors(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """List Worker Pool Errors

        What is or was wrong with a pool in the last days, the latest first, in pages; with `launchConfigId` or
        `errorId`, only that.
        """
        launch_config_id = call.query.get("launchConfigId", "")
        if "errorId" in call.query:
            one = await self._reports.get(workerPoolId, call.query["errorId"])
            fits = one is not None and launch_config_id in ("", one.launch_config_id)
            return {"workerPoolErrors": [replies.error(one)] if one is not None and fits else []}
        size, before = paging.limit(call.query), paging.after(call.query, int, str) or [store.LATEST, store.LAST]
        rows = await self._reports.page(workerPoolId, launch_config_id, (before[0], before[1]), size + 1)
        return paging.page("workerPoolErrors", rows, size, lambda row: (row.reported, row.error_id), replies.error)


def _sums(keyed: Iterable[tuple[Any, db.Row]]) -> dict[Any, int]:
    found: Counter[Any] = Counter()
    for key, row in keyed:
        found[key] += row["errors"]
    return dict(found)
