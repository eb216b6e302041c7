"""Messages about tasks, put together from JSON that is there already: a status is encoded once for all that tell of it.

Source: the queue's schemas of messages, such as `task-pending-message`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox.events import Exchange, Message
from tcbox.services.queue import events as exchanges
from tcbox.services.queue import status as statuses
from tcbox.services.queue.status import Status
from tcbox.services.queue.store import Task
from tcbox.services.queue.transitions import Announcement

_encode = msgspec.json.Encoder().encode


def announcement(task: Task, status: Status, said: Announcement) -> Message:
    """The message that a change of a task's state calls for."""
    run_id = said.run_id
    more: dict[str, Any] = {}
    if run_id >= 0:
        run = status.runs[run_id]
        more["runId"] = run_id
        if said.worker and run.worker_group is not None:
            more["workerGroup"] = run.worker_group
            more["workerId"] = run.worker_id
        if said.kind == "running":
            more["takenUntil"] = run.taken_until
    rest = f",{_encode(more)[1:-1].decode()}" if more else ""
    text = f'{{"version":1,"status":{statuses.encode(status)},"task":{{"tags":{task.tags}}}{rest}}}'
    return Message(exchanges.BY_KIND[said.kind], key(status, more), text, task.routes)


def message(task: Task, exchange: Exchange, content: dict[str, Any]) -> Message:
    """Another message about a task; `content` has its `status`, and the words of its routing key."""
    return Message(exchange, key(content["status"], content), _encode(content).decode(), task.routes)


def key(status: Status, content: dict[str, Any]) -> dict[str, Any]:
    """The words of the routing key of a message about a task."""
    words = {
        "taskId": status.task_id, "provisionerId": status.provisioner_id, "workerType": status.worker_type,
        "schedulerId": status.scheduler_id, "taskGroupId": status.task_group_id,
    }  # fmt: skip
    for name in ("runId", "workerGroup", "workerId"):
        if name in content:
            words[name] = content[name]
    return words
