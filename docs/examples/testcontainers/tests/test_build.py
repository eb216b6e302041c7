import time

import requests
import taskcluster


def test_a_task_runs_and_its_log_can_be_read(box):
    queue = taskcluster.Queue(box.options)
    task_id = taskcluster.slugId()
    queue.createTask(
        task_id,
        {
            "taskQueueId": "local/host",  # the worker inside the container
            "created": taskcluster.fromNowJSON("0 seconds"),
            "deadline": taskcluster.fromNowJSON("1 hour"),
            "payload": {"command": [["echo", "hello from a container"]], "maxRunTime": 60},
            "metadata": {"name": "hello", "description": "", "owner": "nobody@localhost", "source": "http://localhost/"},
        },
    )
    until = time.monotonic() + 60
    while (state := queue.status(task_id)["status"]["state"]) not in ("completed", "failed", "exception"):
        assert time.monotonic() < until, state
        time.sleep(0.2)
    assert state == "completed"
    log = queue.buildSignedUrl("getLatestArtifact", task_id, "public/logs/live.log")
    assert "hello from a container" in requests.get(log, timeout=30).text


def test_who_am_i(box):
    assert taskcluster.Auth(box.options).currentScopes() == {"scopes": ["*"]}
