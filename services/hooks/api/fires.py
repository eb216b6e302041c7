"""What came of a hook's firings."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors
from tcbox.api import Call, paging
from tcbox.client import Caller
from tcbox.services.hooks import model
from tcbox.services.hooks.api.hooks import existing
from tcbox.services.hooks.declarations import api
from tcbox.services.hooks.model import Name
from tcbox.services.hooks.store import LAST, Store, sql

UNKNOWN = "unknown"


class Fires:
    """Tells how hooks fired.

    Args:
        caller: asks the queue how far tasks have come.
    """

    def __init__(self, *, database: db.Database, store: Store, caller: Caller) -> None:
        self._db = database
        self._store = store
        self._caller = caller

    @api.get(
        "/hooks/<hookGroupId>/<hookId>/status", name="getHookStatus", scopes="hooks:status:<hookGroupId>/<hookId>",
        output="hook-status", category="Hook Status", stability="deprecated",
    )  # fmt: skip
    async def get_hook_status(self, call: Call, hookGroupId: str, hookId: str) -> dict[str, Any]:
        """Get hook status

        How a hook fired last, and when it fires next by its schedule. `listLastFires` tells more.
        """
        hook = await existing(self._store, Name(hookGroupId, hookId))
        row = await self._db.one(sql.last_fire, **hook.name.columns)
        reply: dict[str, Any] = {"lastFire": _last(row)}
        if hook.next_fire is not None:
            reply["nextScheduledDate"] = clocks.to_wire(hook.next_fire)
        return reply

    @api.get(
        "/hooks/<hookGroupId>/<hookId>/last-fires", name="listLastFires", scopes="hooks:list-last-fires:<hookGroupId>/<hookId>",
        output="list-lastFires-response", category="Hook Status", query=("continuationToken", "limit"),
    )  # fmt: skip
    async def list_last_fires(self, call: Call, hookGroupId: str, hookId: str) -> dict[str, Any]:
        """Get information about recent hook fires

        When a hook fired, why, what came of it, and how far the task has come; the latest first, at most 1000 in a
        reply. There are more as long as a reply holds a `continuationToken`.
        """
        name = Name(hookGroupId, hookId)
        size = paging.limit(call.query)
        before = paging.after(call.query, int, str) or [LAST, ""]
        rows = await self._db.all(sql.list_fires, **name.columns, before_fired=before[0], before_id=before[1], limit=size + 1)
        if not rows:
            raise errors.ResourceNotFound("No such hook or never fired: nothing is known of firings of {name}.", name=str(name))
        states = await self._states([row["task_id"] for row in rows[:size] if row["result"] == model.SUCCESS])

        def shape(row: db.Row) -> dict[str, Any]:
            return {
                **name.words, "firedBy": row["fired_by"], "taskId": row["task_id"], "taskCreateTime": clocks.to_wire(row["fired"]),
                "result": row["result"], "error": row["error"], "taskState": states.get(row["task_id"], UNKNOWN),
            }  # fmt: skip

        return paging.page("lastFires", rows, size, key=lambda row: (row["fired"], row["task_id"]), shape=shape)

    async def _states(self, task_ids: list[str]) -> dict[str, str]:
        """The states of those tasks that the queue still knows; of none while it does not answer."""
        if not task_ids:
            return {}
        try:
            found = await self._caller.call("queue", "statuses", payload={"taskIds": task_ids}, query={"limit": str(len(task_ids))})
        except errors.ApiError:
            return {}
        return {each["taskId"]: each["status"]["state"] for each in found["statuses"]}


def _last(row: db.Row | None) -> dict[str, Any]:
    if row is None:
        return {"result": "no-fire"}
    time = clocks.to_wire(row["fired"])
    if row["result"] == model.SUCCESS:
        return {"result": model.SUCCESS, "taskId": row["task_id"], "time": time}
    try:
        error = msgspec.json.decode(row["error"])
    except msgspec.DecodeError:
        error = None
    return {"result": model.ERROR, "error": error if isinstance(error, dict) else {"message": row["error"]}, "time": time}
