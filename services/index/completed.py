"""Tasks that complete: they are indexed by their routes.

A message may come again, after a crash, or in another process that shares the database. It then changes nothing.
"""

from __future__ import annotations

from tcbox import errors, log
from tcbox.client import Caller
from tcbox.events import Binding, Event
from tcbox.services.index import model
from tcbox.services.index.store import Store

SUBSCRIPTION = "index/task-completed"
BINDINGS = (Binding("exchange/taskcluster-queue/v1/task-completed", f"route.{model.PREFIX}#"),)
"""What to subscribe to."""

_log = log.get("index")


class Completed:
    """Indexes tasks as they complete.

    Args:
        caller: calls the queue with the service's own credentials.
    """

    def __init__(self, store: Store, caller: Caller) -> None:
        self._store = store
        self._caller = caller

    async def handle(self, event: Event) -> None:
        """A message that a task has completed; what cannot be indexed is logged, and does not hold up the rest.

        Raises ApiError when the queue cannot answer just now, so that the message comes again.
        """
        task_id, run_id = event.payload["status"]["taskId"], event.payload["runId"]
        paths, wrong = model.routed(event.cc)
        for route in wrong:
            _log.warning(
                "the task %s cannot be indexed by its route %r: what follows 'index.' must be words of letters, digits and _!~*'()%%- with dots between them",
                task_id, route, extra={"taskId": task_id, "route": route},
            )  # fmt: skip
        if not paths or await self._store.handled(task_id, run_id):
            return
        try:
            wanted = model.wanted(await self._caller.call("queue", "task", task_id))
        except (errors.ResourceNotFound, model.Unindexable) as error:
            _log.warning("the task %s is not indexed: %s", task_id, error, extra={"taskId": task_id})
            return
        if await self._store.index(task_id, run_id, paths, wanted):
            _log.debug("indexed the task %s", task_id, extra={"taskId": task_id, "paths": paths})
