"""The methods of the service."""

from __future__ import annotations

from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import Call, paging
from tcbox.services.purge_cache import times
from tcbox.services.purge_cache.declarations import api
from tcbox.services.purge_cache.store import Request, Store

_CATEGORY = "Purge-Cache Service"
LONGEST = 1000
"""Bytes of a cache's name."""


class PurgeCache:
    """Takes requests, and shows them."""

    def __init__(self, store: Store, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    @api.post(
        "/purge-cache/<workerPoolId>", name="purgeCache", category=_CATEGORY, input="purge-cache-request",
        scopes="purge-cache:<workerPoolId>:<cacheName>",
    )  # fmt: skip
    async def purge_cache(self, call: Call, workerPoolId: str) -> None:
        """Purge Worker Cache

        Request that the workers of a pool throw away their caches of a name, as they are now. Where there is such a
        request already, its time becomes the present one.
        """
        name = call.payload["cacheName"]
        await call.authorize(workerPoolId=workerPoolId, cacheName=name)
        if "\0" in name or len(name.encode()) > LONGEST:
            raise errors.InputError("No cache can have this cacheName: a name has at most {most} bytes, and no NUL character.", most=LONGEST)
        await self._store.request(workerPoolId, name)

    @api.get(
        "/purge-cache/list", name="allPurgeRequests", category=_CATEGORY, output="all-purge-cache-request-list",
        scopes="purge-cache:all-purge-requests", query=("continuationToken", "limit"),
    )  # fmt: skip
    async def all_purge_requests(self, call: Call) -> dict[str, Any]:
        """All Open Purge Requests

        All requests that have not expired, in the order of worker pools and names. This is for people who look
        after an instance; workers ask by `purgeRequests`.
        """
        size = paging.limit(call.query)
        pool, name = paging.after(call.query, str, str) or ("", "")
        rows = await self._store.all(pool, name, self._clock.now(), size + 1)
        return paging.page("requests", rows, size, key=lambda row: row[:2], shape=_shown)

    @api.get(
        "/purge-cache/<workerPoolId>", name="purgeRequests", category=_CATEGORY, output="purge-cache-request-list",
        scopes="purge-cache:purge-requests::<workerPoolId>", query={"since": "."},
    )  # fmt: skip
    async def purge_requests(self, call: Call, workerPoolId: str) -> dict[str, Any]:
        """Open Purge Requests for a worker pool

        The requests for a pool: each names a cache, and the time before which caches of that name are to be thrown
        away if they were made then. With `since`, only requests of that time or later.

        A request is here as soon as `purgeCache` has answered, and for a day.
        """
        since = _since(call.query.get("since"))
        return {"requests": [_shown(row) for row in await self._store.of_pool(workerPoolId, since, self._clock.now())]}


def _since(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return times.moment(text)
    except ValueError as error:
        raise errors.InvalidRequestArguments("Query-string parameter: since={reason}", reason=str(error)) from None


def _shown(request: Request) -> dict[str, str]:
    provisioner_id, _, worker_type = request.worker_pool_id.partition("/")
    return {"provisionerId": provisioner_id, "workerType": worker_type, "cacheName": request.cache_name, "before": clocks.to_wire(request.before)}
