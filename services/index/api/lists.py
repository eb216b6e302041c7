"""Lists: the entries at many names, and what is in a namespace."""

from __future__ import annotations

from typing import Any

from tcbox import clock as clocks
from tcbox import db
from tcbox.api import Call, paging
from tcbox.services.index import model
from tcbox.services.index.api import replies
from tcbox.services.index.declarations import PAGED, api
from tcbox.services.index.model import Entry
from tcbox.services.index.store import Store

_STEP = 1000
_IN_BODY = {"continuationToken": str, "limit": int}


class Lists:
    """Answers about many names."""

    def __init__(self, store: Store, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    @api.post(
        "/tasks/indexes", name="findTasksAtIndex", input="list-tasks-at-index", output="list-tasks-response", query=PAGED,
        stability="experimental", scopes={"AllOf": [{"for": "indexPath", "in": "indexPaths", "each": "index:find-task:<indexPath>"}]},
    )  # fmt: skip
    async def find_tasks_at_index(self, call: Call) -> dict[str, Any]:
        """Find tasks at indexes

        The tasks that several names stand for, in the order of the names, each once. Names that stand for nothing
        are left out.

        At most 1000 come in a reply. There are more as long as it holds a `continuationToken`, which is to be given
        with the same names in the next request.
        """
        indexes: list[str] = call.payload["indexes"]
        await call.authorize(indexPaths=indexes)
        size, start = paging.limit(call.query), (paging.after(call.query, int) or [-1])[0] + 1
        paths = list(dict.fromkeys(indexes))
        found: list[tuple[int, Entry]] = []
        for first in range(max(start, 0), len(paths), _STEP):
            asked = [model.split(path) for path in paths[first : first + _STEP] if model.sound(path)]
            there = await self._store.tasks_at(asked, self._clock.now())
            for place, path in enumerate(paths[first : first + _STEP], first):
                if (entry := there.get(model.split(path))) is not None:
                    found.append((place, entry))
            if len(found) > size:
                break
        return paging.page("tasks", found, size, key=lambda row: (row[0],), shape=lambda row: replies.entry(row[1]))

    @api.get(
        "/namespaces/<namespace>", name="listNamespaces", output="list-namespaces-response", scopes="index:list-namespaces:<namespace>",
        query=PAGED, empty=True,
    )  # fmt: skip
    async def list_namespaces(self, call: Call, namespace: str) -> dict[str, Any]:
        """List Namespaces

        The namespaces straight below a namespace, or below the root when none is given, in order.

        At most 1000 come in a reply. There are more as long as it holds a `continuationToken`, which is to be given
        in the next request.
        """
        return await self._namespaces(call, namespace)

    @api.post(
        "/namespaces/<namespace>", name="listNamespacesPost", input="list-namespaces-request", output="list-namespaces-response",
        scopes="index:list-namespaces:<namespace>", stability="deprecated", empty=True, published=False,
    )  # fmt: skip
    async def list_namespaces_post(self, call: Call, namespace: str) -> dict[str, Any]:
        """List Namespaces (POST)

        What clients of long ago call instead of `listNamespaces`; limit and token stand in the body.
        """
        query = {name: str(value) for name, value in call.payload.items()}
        return await self._namespaces(call, namespace, query)

    @api.get(
        "/tasks/<namespace>", name="listTasks", output="list-tasks-response", scopes="index:list-tasks:<namespace>", query=PAGED, empty=True,
    )  # fmt: skip
    async def list_tasks(self, call: Call, namespace: str) -> dict[str, Any]:
        """List Tasks

        The entries straight in a namespace, or at the root when none is given, in order. This is for people who look
        around; programs know the names that they want, and ask for them by `findTask`.

        At most 1000 come in a reply. There are more as long as it holds a `continuationToken`, which is to be given
        in the next request.
        """
        return await self._tasks(call, namespace)

    @api.post(
        "/tasks/<namespace>", name="listTasksPost", output="list-tasks-response",
        scopes="index:list-tasks:<namespace>", stability="deprecated", empty=True, published=False,
    )  # fmt: skip
    async def list_tasks_post(self, call: Call, namespace: str) -> dict[str, Any]:
        """List Tasks (POST)

        What clients of long ago call instead of `listTasks`; limit and token stand in the body, which may be left out.
        """
        body = call.payload if isinstance(call.payload, dict) else {}
        query = {name: str(body[name]) for name, kind in _IN_BODY.items() if type(body.get(name)) is kind}
        return await self._tasks(call, namespace, query)

    async def _namespaces(self, call: Call, namespace: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        size, after = _page(call, query)
        rows = await self._store.namespaces(namespace, after, self._clock.now(), size + 1)
        return paging.page("namespaces", rows, size, key=lambda row: (row["name"],), shape=_folder)

    async def _tasks(self, call: Call, namespace: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        size, after = _page(call, query)
        rows = await self._store.tasks(namespace, after, self._clock.now(), size + 1)
        return paging.page("tasks", rows, size, key=lambda row: (row.path.name,), shape=replies.entry)


def _page(call: Call, query: dict[str, str] | None) -> tuple[int, str]:
    asked = call.query if query is None else query
    return paging.limit(asked), (paging.after(asked, str) or [""])[0]


def _folder(row: db.Row) -> dict[str, str]:
    return {"namespace": model.join(row["parent"], row["name"]), "name": row["name"], "expires": clocks.to_wire(row["expires"])}
