"""A program with a generated client: what it sees, as JSON. usage: program.py tour|async|refused|body"""

import asyncio
import json
import sys
from datetime import datetime, timedelta, timezone

from tc import AsyncQueue, ClientMismatch, Queue, QueueEvents, TaskclusterRestFailure, UnexpectedBody, async_pages, pages, slugid
from tc.queue import CreateTaskRequest


def moment(**after: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(**after)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def definition(group: str) -> CreateTaskRequest:
    return {
        "taskQueueId": "test/generated",
        "taskGroupId": group,
        "created": moment(),
        "deadline": moment(hours=1),
        "payload": {"command": ["true"]},
        "priority": "high",
        "metadata": {"name": "a task", "description": "", "owner": "nobody@localhost", "source": "http://localhost/"},
    }


def tour() -> dict[str, object]:
    queue = Queue()
    group = slugid()
    tasks = [slugid() for _ in range(3)]
    for task in tasks:
        queue.createTask(task, definition(group))
    status = queue.status(tasks[0])["status"]
    seen = [each["status"]["taskId"] for page in pages(queue.listTaskGroup, group, limit=2) for each in page["tasks"]]
    try:
        queue.status(slugid())
        code = 0
    except TaskclusterRestFailure as error:
        code = error.status_code
    return {
        "state": status["state"],
        "listed": seen == tasks,
        "error": code,
        "priority": queue.task(tasks[0])["priority"],
        "binding": QueueEvents.taskDefined(taskId=tasks[0])["routingKeyPattern"] == f"primary.{tasks[0]}.*.*.*.*.*.*.*.#",
        "url": queue.taskUrl(tasks[0], expiration=60),
    }


async def asynchronous() -> dict[str, object]:
    queue = AsyncQueue()
    group = slugid()
    tasks = [slugid() for _ in range(3)]
    for task in tasks:
        await queue.createTask(task, definition(group))
    status = (await queue.status(tasks[0]))["status"]
    seen = [each["status"]["taskId"] async for page in async_pages(queue.listTaskGroup, group, limit=2) for each in page["tasks"]]
    try:
        await queue.status(slugid())
        code = 0
    except TaskclusterRestFailure as error:
        code = error.status_code
    priority = (await queue.task(tasks[0]))["priority"]
    return {"state": status["state"], "listed": seen == tasks, "error": code, "priority": priority, "binding": True, "url": queue.taskUrl(tasks[0])}


def refused(*, of_body: bool) -> dict[str, object]:
    queue = Queue()
    task = slugid()
    try:
        if of_body:
            queue.status(task)
        else:
            queue.createTask(task, definition(task))
    except ClientMismatch as error:
        return {"kind": "mismatch", "message": str(error), "differences": error.differences, "status": error.status_code}
    except UnexpectedBody as error:
        return {"kind": "body", "message": str(error)}
    return {"kind": "none"}


if __name__ == "__main__":
    what = sys.argv[1]
    made = tour() if what == "tour" else asyncio.run(asynchronous()) if what == "async" else refused(of_body=what == "body")
    print(json.dumps(made))
