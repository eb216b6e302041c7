"""What the queue announces: every step of a task, artifacts, and what happens to task groups.

Source: the published exchanges reference of the queue.
"""

from __future__ import annotations

from tcbox.events import Exchange, Exchanges, Key

exchanges = Exchanges(
    "queue",
    title="Queue Exchanges",
    description="""
    Messages about tasks as they move from their definition to their resolution.

    All messages about tasks have routing keys of the same form, so that one pattern binds to a kind of task on every
    exchange. A task with the route `some.thing` in `task.routes` is also announced under the key `route.some.thing`.
    A message may come more than once.
    """,
)

_KIND = Key("routingKeyKind", "Always `primary`, as opposed to `route` for the routes of a task.", required=True, constant="primary")
_RESERVED = Key("reserved", "Room for words to come; bind to it with `#`.", multiple_words=True)


def _task_keys(*, run: bool = False, worker: bool = False) -> tuple[Key, ...]:
    return (
        _KIND,
        Key("taskId", "The task that the message is about.", required=True),
        Key("runId", "The run that the message is about, `_` if there is none.", required=run),
        Key("workerGroup", "The group of the run's worker, `_` if there is none.", required=worker),
        Key("workerId", "The run's worker, `_` if there is none.", required=worker),
        Key("provisionerId", "The first part of the task queue's name.", required=True),
        Key("workerType", "The second part of the task queue's name.", required=True),
        Key("schedulerId", "The scheduler that the task belongs to.", required=True),
        Key("taskGroupId", "The group that the task is in.", required=True),
        _RESERVED,
    )


_GROUP_KEYS = (
    _KIND,
    Key("taskGroupId", "The group that the message is about.", required=True),
    Key("schedulerId", "The scheduler that the group belongs to.", required=True),
    _RESERVED,
)


def _task(kind: str, name: str, title: str, description: str, *, run: bool = False, worker: bool = False) -> Exchange:
    return exchanges.declare(kind, name=name, title=title, description=description, schema=f"{kind}-message", keys=_task_keys(run=run, worker=worker))


def _group(kind: str, name: str, title: str, description: str, schema: str) -> Exchange:
    return exchanges.declare(kind, name=name, title=title, description=description, schema=schema, keys=_GROUP_KEYS)


task_defined = _task("task-defined", "taskDefined", "Task Defined", "A task has been created, and has no run yet.")
task_pending = _task("task-pending", "taskPending", "Task Pending", "A run of a task waits for a worker.", run=True)
task_running = _task("task-running", "taskRunning", "Task Running", "A worker has claimed a run of a task.", run=True, worker=True)
artifact_created = _task(
    "artifact-created", "artifactCreated", "Artifact Created",
    "An artifact can be had. There is no such message for artifacts of the storage type `s3`, as the queue does not "
    "learn when their data has come.",
    run=True, worker=True,
)  # fmt: skip
task_completed = _task("task-completed", "taskCompleted", "Task Completed", "A task has ended with success.", run=True, worker=True)
task_failed = _task("task-failed", "taskFailed", "Task Failed", "A task has ended, and says itself that it failed.")
task_exception = _task(
    "task-exception", "taskException", "Task Exception",
    "A run of a task has ended for a reason outside the task; `reasonResolved` of that run says which. Another run "
    "may follow.",
)  # fmt: skip
task_group_resolved = _group(
    "task-group-resolved", "taskGroupResolved", "Task Group Resolved",
    "All tasks of a group are resolved. This may come more than once for a group, as tasks can be added and run again.",
    "task-group-changed-message",
)  # fmt: skip
task_group_sealed = _group("task-group-sealed", "taskGroupSealed", "Task Group Sealed", "A group takes no more tasks.", "task-group-changed-message")
task_priority_changed = _task("task-priority-changed", "taskPriorityChanged", "Task Priority Changed", "A task has been given another priority.")
task_group_priority_changed = _group(
    "task-group-priority-changed", "taskGroupPriorityChanged", "Task Group Priority Changed",
    "The unresolved tasks of a group have been given another priority.", "task-group-priority-changed-message",
)  # fmt: skip

BY_KIND = {
    "defined": task_defined,
    "pending": task_pending,
    "running": task_running,
    "completed": task_completed,
    "failed": task_failed,
    "exception": task_exception,
}
"""The exchange of each kind of announcement."""
