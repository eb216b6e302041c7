"""A graph of 200 tasks with the unmodified client from PyPI, on the workers inside."""

import asyncio
import hashlib
import time
import urllib.request

import aiohttp
import pytest
import taskcluster
import taskcluster.aio

from tests.support import definitions, docker_images

DONE = ("completed", "failed", "exception")


def script(index: int) -> str:
    """Writes an artifact whose bytes depend on the task, and a line into the log."""
    return f'i=0; while [ $i -lt 50 ]; do echo "{index}:$i:payload"; i=$((i+1)); done > out.bin; echo task {index} says hello'


def content(index: int) -> bytes:
    return "".join(f"{index}:{i}:payload\n" for i in range(50)).encode()


def of_docker(index: int, image: str, **changes) -> dict:
    payload = {
        "image": image, "command": ["/bin/sh", "-c", f"cd /tmp; {script(index)}"], "maxRunTime": 120,
        "artifacts": {"public/out.bin": {"type": "file", "path": "/tmp/out.bin"}},
    }  # fmt: skip
    return definitions.task("local/docker", payload, **changes)


def of_host(index: int, **changes) -> dict:
    return definitions.host(script(index), artifacts=[{"name": "public/out.bin", "type": "file", "path": "out.bin"}], **changes)


def graph(image: str, count: int = 200):
    """Three levels: 20 roots, 80 in the middle, the rest on top; every tenth is retried once, two fail."""
    ids = [taskcluster.slugId() for _ in range(count)]
    group = ids[0]
    for index, task_id in enumerate(ids):
        level = 0 if index < 20 else 1 if index < 100 else 2
        needs = [] if level == 0 else [ids[index % 20]] if level == 1 else [ids[20 + index % 80], ids[index % 20]]
        common = {"taskGroupId": group, "dependencies": needs, "requires": "all-resolved"}
        if index in (7, 57):
            yield task_id, index, "failed", definitions.host("echo about to fail; exit 3", **common)
        elif index % 10 == 5:
            first = f'if [ "$RUN_ID" = 0 ]; then exit 77; fi; {script(index)}'
            made = definitions.host(first, artifacts=[{"name": "public/out.bin", "type": "file", "path": "out.bin"}], onExitStatus={"retry": [77]}, **common)
            yield task_id, index, "retried", made
        elif index % 4 == 1:
            yield task_id, index, "completed", of_docker(index, image, **common)
        else:
            yield task_id, index, "completed", of_host(index, **common)


async def resolved(queue, ids, seconds=300):
    """The final status of each task."""
    until = time.monotonic() + seconds
    left, statuses = set(ids), {}
    while left:
        assert time.monotonic() < until, f"{len(left)} tasks have not ended: {[(await queue.status(i))['status'] for i in list(left)[:3]]}"
        for start in range(0, len(left), 100):
            reply = await queue.statuses({"taskIds": list(left)[start : start + 100]})
            for entry in reply["statuses"]:
                if entry["status"]["state"] in DONE:
                    statuses[entry["taskId"]] = entry["status"]
        left -= set(statuses)
        await asyncio.sleep(0.3)
    return statuses


@pytest.mark.contract
@pytest.mark.docker
async def test_a_graph_of_200_tasks_runs_to_its_end(make_box):
    """Every task of a graph over both worker kinds ends as it should, and each artifact comes back byte for byte."""
    image = docker_images.ensure()
    box = make_box("workers:\n  docker: {capacity: 2}\n  host: {capacity: 4}\n")
    async with aiohttp.ClientSession() as session:
        queue = taskcluster.aio.Queue(box.options, session=session)
        expected = {}
        for task_id, index, outcome, definition in graph(image):
            await queue.createTask(task_id, definition)
            expected[task_id] = (index, outcome)
        statuses = await resolved(queue, expected)
        for task_id, (index, outcome) in expected.items():
            status = statuses[task_id]
            assert status["state"] == ("failed" if outcome == "failed" else "completed"), (index, status)
            assert len(status["runs"]) == (2 if outcome == "retried" else 1), (index, status)
            if outcome != "failed":
                url = queue.buildUrl("getLatestArtifact", task_id, "public/out.bin")
                async with session.get(url) as reply:
                    assert reply.status == 200, (index, reply.status)
                    assert hashlib.sha256(await reply.read()).digest() == hashlib.sha256(content(index)).digest(), index
    group = taskcluster.Queue(box.options).getTaskGroup(next(iter(expected)))
    assert group["taskGroupId"] == next(iter(expected))


@pytest.mark.contract
def test_the_live_log_is_read_while_the_task_runs(box):
    """A line that a task prints can be read before the task ends, and the whole log afterwards."""
    queue = taskcluster.Queue(box.options)
    task_id = taskcluster.slugId()
    queue.createTask(
        task_id, definitions.host("echo early bird; while [ ! -e go ]; do sleep 0.05; [ $((n=n+1)) -gt 400 ] && exit 9; done; echo late bird", env={})
    )
    url = queue.buildUrl("getLatestArtifact", task_id, "public/logs/live.log")
    until = time.monotonic() + 20
    seen = b""
    while b"early bird" not in seen:
        assert time.monotonic() < until, seen
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                while b"early bird" not in seen and (line := reply.readline()):
                    seen += line
        except urllib.error.HTTPError as error:
            assert error.code == 404
            time.sleep(0.05)
    assert queue.status(task_id)["status"]["state"] == "running"
    queue.cancelTask(task_id)
    assert queue.status(task_id)["status"]["state"] == "exception"


@pytest.mark.contract
def test_the_sync_client_runs_a_task_and_reads_what_it_left(box):
    """With the synchronous client: create, wait, read artifact and the kept log."""
    queue = taskcluster.Queue(box.options)
    task_id = taskcluster.slugId()
    queue.createTask(task_id, of_host(1))
    until = time.monotonic() + 20
    while (status := queue.status(task_id)["status"])["state"] not in DONE:
        assert time.monotonic() < until, status
        time.sleep(0.05)
    assert status["state"] == "completed"
    for name, part in (
        ("public/out.bin", content(1)),
        ("public/logs/live_backing.log", b"task 1 says hello\n"),
        ("public/logs/live.log", b"task 1 says hello\n"),
    ):
        with urllib.request.urlopen(queue.buildUrl("getLatestArtifact", task_id, name), timeout=10) as reply:
            body = reply.read()
            import gzip

            body = gzip.decompress(body) if reply.headers.get("Content-Encoding") == "gzip" else body
            assert part in body
