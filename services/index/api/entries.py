"""Single entries: finding, inserting and removing them."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import Call
from tcbox.services.index import model
from tcbox.services.index.api import replies
from tcbox.services.index.declarations import api
from tcbox.services.index.model import Entry
from tcbox.services.index.store import Store


class Entries:
    """Answers about one name at a time."""

    def __init__(self, store: Store, clock: clocks.Clock) -> None:
        self._store = store
        self._clock = clock

    @api.get("/task/<indexPath>", name="findTask", output="indexed-task-response", scopes="index:find-task:<indexPath>", eager=True)
    async def find_task(self, call: Call, indexPath: str) -> dict[str, Any]:
        """Find Indexed Task

        The task that a name stands for: of those that were indexed by it, the one with the highest rank, and of
        several such the last. Answers 404 where there is none.
        """
        found = await self._store.get(model.split(indexPath))
        return replies.entry(replies.present(found, indexPath, self._clock.now()))

    @api.put(
        "/task/<namespace>", name="insertTask", input="insert-task-request", output="indexed-task-response",
        scopes="index:insert-task:<namespace>",
    )  # fmt: skip
    async def insert_task(self, call: Call, namespace: str) -> dict[str, Any]:
        """Insert Task into Index

        Have a name stand for a task. Where the name stands for one of a higher rank already, nothing changes; the
        reply is then that entry, and no error.

        Tasks that are to be indexed when they complete need no such call, but a route that begins with `index.`.
        """
        if not model.sound(namespace):  # the form was checked before, so it is empty, or too long
            raise errors.InputError(
                "The name {namespace} cannot be indexed: it must have between 1 and {most} characters.", namespace=namespace, most=model.LONGEST
            )
        given = call.payload
        data = msgspec.json.encode(given["data"]).decode()
        entry = Entry(model.split(namespace), given["taskId"], given["rank"], data, clocks.from_wire(given["expires"]))
        return replies.entry(await self._store.insert(entry))

    @api.delete("/task/<namespace>", name="deleteTask", scopes="index:delete-task:<namespace>")
    async def delete_task(self, call: Call, namespace: str) -> dict[str, Any]:
        """Remove Task from Index

        Have a name stand for nothing any more. Entries of a lower rank do not come back, as they were not kept, and
        the namespace stays listed until it expires. Succeeds too where the name stands for nothing.
        """
        await self._store.remove(model.split(namespace))
        return {}
