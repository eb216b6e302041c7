"""The host worker inside an instance: shells through the instance's own port, certificates, payloads for containers, and the end of an instance."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import taskcluster

from tcbox.workers import certificates
from tests.acceptance.test_host_features import Screen
from tests.acceptance.test_host_worker import alive, marker
from tests.acceptance.test_ui import chromium as chromium
from tests.support import docker_images as images
from tests.support.tasks import Tasks
from tests.support.waiting import until

SHELL = "private/generic-worker/shell.html"


def definition(payload: dict, **more) -> dict:
    return {
        "provisionerId": "local", "workerType": "host", "created": taskcluster.fromNowJSON(""), "deadline": taskcluster.fromNowJSON("1 hour"),
        "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"}, "payload": payload, **more,
    }  # fmt: skip


def started(tasks: Tasks, payload: dict, **more) -> str:
    task_id = taskcluster.slugId()
    tasks.queue.createTask(task_id, definition(payload, **more))
    return task_id


def names(tasks: Tasks, task_id: str) -> set[str]:
    return {each["name"] for each in tasks.queue.listLatestArtifacts(task_id)["artifacts"]}


def test_a_shell_through_the_instances_port(box):
    """The shell of an interactive task is behind the instance's own URL, so that it is reached wherever the instance is."""
    tasks = Tasks(box)
    task_id = started(
        tasks, {"command": [["sh", "-c", "while [ ! -e done ]; do sleep 0.1; done; echo over"]], "maxRunTime": 120, "features": {"interactive": True}}
    )
    until(lambda: SHELL in names(tasks, task_id))
    place = tasks.queue.latestArtifact(task_id, SHELL)
    url = urlsplit(place["url"])
    socket_url = parse_qs(url.query)["socketUrl"][0]
    assert (url.path, urlsplit(socket_url).netloc) == ("/shell/", urlsplit(box.root_url).netloc)

    async def visit() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(socket_url) as socket:
            screen = Screen(socket)
            await screen.resize(24, 80)
            await screen.type("echo here-$TASK_ID; stty size\n")
            assert "24 80" in await screen.until("24 80")
            assert f"here-{task_id}" in screen.shown.decode()
            await screen.type("touch done\n")
            await screen.closed()

    asyncio.run(visit())
    until(lambda: tasks.state(task_id) == "completed")


def test_a_person_opens_a_shell_in_a_task(chromium, box):
    """The artifact shell.html leads to the web UI's terminal, where what is typed is done in the task's folder."""
    tasks = Tasks(box)
    task_id = started(tasks, {"command": [["sh", "-c", "echo forty > two; sleep 100"]], "maxRunTime": 120, "features": {"interactive": True}})
    until(lambda: SHELL in names(tasks, task_id))
    context = chromium.new_context(base_url=box.root_url)
    page = context.new_page()
    try:
        page.goto(tasks.queue.buildSignedUrl("getLatestArtifact", task_id, SHELL))
        assert page.url.startswith(f"{box.root_url}/shell/?v=2&socketUrl=ws%3A%2F%2F")
        terminal = page.locator(".terminal")
        page.get_by_text("Connected.").wait_for()
        until(lambda: "#" in terminal.inner_text() or "$" in terminal.inner_text())
        page.keyboard.type("cat two; echo $((6*7))")
        page.keyboard.press("Enter")
        until(lambda: "forty\n42\n" in terminal.inner_text())
    finally:
        context.close()


def test_a_certificate_of_the_instances_worker(box):
    """A certificate can be verified with the public key in the worker's folder."""
    tasks = Tasks(box)
    payload = {
        "command": [["sh", "-c", "echo x > x"]],
        "maxRunTime": 60,
        "features": {"chainOfTrust": True},
        "artifacts": [{"type": "file", "path": "x", "name": "public/x"}],
    }
    task_id = tasks.run(definition(payload))
    assert tasks.state(task_id) == "completed"
    told, signature = (tasks.read(task_id, f"public/chain-of-trust.json{end}") for end in ("", ".sig"))
    public = next(box.data.rglob("chain-of-trust.pub"))
    assert public.parent.name == "host"
    assert certificates.verified([public.read_text().strip()], told, signature)
    assert json.loads(told)["task"]["payload"] == payload


@pytest.mark.docker
@pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")
@pytest.mark.parametrize("end", ["down", "kill"])
def test_containers_end_with_the_instance(box, end):
    """Containers of the host worker are gone when the instance ends or is killed, and their tasks run again after."""
    image = images.ensure()
    tasks = Tasks(box)
    mark = marker()
    task_id = tasks.run(definition({"image": image, "command": ["sh", "-c", "echo from-the-box"], "maxRunTime": 60}))
    assert "from-the-box" in tasks.log(task_id)
    task_id = started(tasks, {"image": image, "command": ["sleep", mark], "maxRunTime": 600})
    until(lambda: alive(mark))
    box.stop() if end == "down" else box.kill()
    until(lambda: not alive(mark), 20)
    box.start()
    tasks = Tasks(box)
    runs = until(lambda: [run for run in tasks.queue.status(task_id)["status"]["runs"] if run["runId"] == 1])
    assert tasks.queue.status(task_id)["status"]["runs"][0]["reasonResolved"] == "worker-shutdown"
    assert runs
    tasks.queue.cancelTask(task_id)
    until(lambda: not alive(mark), 30)
