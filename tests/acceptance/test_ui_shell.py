"""A shell in a running docker task, opened from its artifact in a real browser, through the instance's own address."""

from __future__ import annotations

import time

import pytest
import taskcluster

from tests.acceptance.test_ui import chromium as chromium
from tests.support import definitions
from tests.support import docker_images as images
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")]
SHELL = "private/docker-worker/shell.html"


def test_a_person_opens_a_shell_in_a_task(chromium, make_box):
    """The artifact shell.html leads to a terminal in the task's container, where what is typed is done and coloured output is shown."""
    images.ensure()
    box = make_box("workers:\n  docker: {capacity: 1}\n  host: {enabled: false}\n")
    queue = taskcluster.Queue(box.options)
    payload = {"image": images.IMAGE, "command": ["sh", "-c", "echo fourty > /two; sleep 120"], "maxRunTime": 300, "features": {"interactive": True}}
    task_id = taskcluster.slugId()
    queue.createTask(task_id, definitions.task("local/docker", payload))

    def announced() -> bool:
        return any(each["name"] == SHELL for each in queue.listLatestArtifacts(task_id)["artifacts"])

    until(announced)
    context = chromium.new_context(base_url=box.root_url)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        page.goto(queue.buildSignedUrl("getLatestArtifact", task_id, SHELL))
        assert page.url.startswith(f"{box.root_url}/shell/?v=1&socketUrl=ws%3A%2F%2F")
        terminal = page.locator(".terminal")

        def shown() -> str:
            """What stands on the screen, without what keeps empty lines open."""
            return terminal.inner_text().replace("\u200b", "")

        page.get_by_text("Connected.").wait_for()
        until(lambda: "#" in terminal.inner_text() or "$" in terminal.inner_text(), 20, shown)
        page.keyboard.type("cat /two; echo $((6*7)); printf '\\033[32mgreen\\033[0m'; stty size")
        page.keyboard.press("Enter")
        until(lambda: "fourty\n42\ngreen" in terminal.inner_text(), 20, shown)
        assert page.locator(".terminal .a-fg-2").inner_text() == "green"
        until(lambda: shown().rstrip().endswith("#"), 20, shown)  # what is typed before the prompt is there would stand elsewhere
        page.keyboard.type("sleep 60")
        page.keyboard.press("Enter")
        until(lambda: shown().rstrip().endswith("sleep 60"), 20, shown)
        page.keyboard.press("Control+c")
        until(lambda: shown().rstrip().endswith("#"), 20, shown)
        page.keyboard.type("echo bac")
        page.keyboard.press("Backspace")
        page.keyboard.type("ck again")
        page.keyboard.press("Enter")
        until(lambda: "\nback again" in shown(), 20, shown)
        page.keyboard.type("exit")
        page.keyboard.press("Enter")
        page.get_by_text("The shell has ended.").wait_for()
        page.goto("/shell/?v=9")
        page.get_by_text("This address is no shell's").wait_for()
    finally:
        context.close()
    assert wrong == []
    queue.cancelTask(task_id)
