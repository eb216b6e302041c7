"""The pages at the root URL, used in a real browser as a person would."""

from __future__ import annotations

import os
import shutil
import sys
import time

import pytest
import taskcluster

from tests.support import definitions

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAME = "<img src=x onerror=\"document.title='harm'; window.harm=1\"><script>window.harm=1</script>"
CONFIG = "workers:\n  docker: {enabled: false}\n"


def absent(what: str, request: pytest.FixtureRequest) -> None:
    """Fail where all of the tests are meant to run; elsewhere say that these did not."""
    message = f"{what} is missing, so the pages are not tested: install Chromium (apt-get install chromium) and playwright (pip install playwright)"
    if os.environ.get("CI"):
        pytest.fail(message)
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        sys.stderr.write(f"\nSKIPPED: {message}\n")
    pytest.skip(message)


@pytest.fixture(scope="module")
def chromium(request):
    """A browser without a window, one for all tests here."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return absent("playwright", request)
    if BROWSER is None:
        return absent("Chromium", request)
    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=BROWSER, args=SWITCHES)
        yield made
        made.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here, each of which makes its own tasks."""
    from tests.support.box import Box

    made = Box(tmp_path_factory.mktemp("ui"), CONFIG).start()
    yield made
    made.stop()


@pytest.fixture
def page(chromium, box):
    """A fresh browser profile; the test fails when a script of the pages does."""
    context = chromium.new_context(base_url=box.root_url)
    context.set_default_timeout(10_000)
    made, wrong = context.new_page(), []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield made
    context.close()
    assert wrong == []


@pytest.fixture
def queue(box):
    return taskcluster.Queue(box.options)


def create(queue, definition: dict) -> str:
    task_id = taskcluster.slugId()
    queue.createTask(task_id, definition)
    return task_id


def sign_in(page, client_id: str, access_token: str) -> None:
    page.locator("#who").get_by_role("button", name="Sign in").click()
    page.get_by_label("Client ID").fill(client_id)
    page.get_by_label("Access token").fill(access_token)
    page.locator("#sign-in").get_by_role("button", name="Sign in").click()


def sign_in_as_root(page, box) -> None:
    made = box.info["credentials"]
    sign_in(page, made["clientId"], made["accessToken"])
    page.get_by_role("button", name="Sign out").wait_for()


def test_the_start_page_tells_what_the_instance_is_and_does(page, box, queue):
    """The start page shows the services, the task queues with their counts, how to connect, and opens a task by its ID."""
    group = taskcluster.slugId()
    for _ in range(2):
        task_id = create(queue, definitions.task("start/page", taskGroupId=group))
    page.goto("/")
    row = page.get_by_role("row").filter(has=page.get_by_text("start/page", exact=True))
    row.wait_for()
    assert row.get_by_role("cell").all_inner_texts()[1:3] == ["2", "0"]
    page.get_by_text("healthy", exact=True).wait_for()
    for service in box.info["services"]:
        assert page.request.get(page.get_by_role("link", name=f"OpenAPI of {service}").get_attribute("href")).ok
    assert page.request.get(page.get_by_role("link", name="API references").get_attribute("href")).ok
    assert page.get_by_text('eval "$(tcbox env)"').is_visible()
    assert "listed here" in page.get_by_text("The tasks and task groups that you look at").inner_text()

    page.get_by_label("Task ID or task group ID").fill(f"see {task_id}")
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(f"**/tasks/{task_id}")
    page.get_by_role("link", name=group).click()
    page.get_by_role("heading", name="2 tasks").wait_for()
    page.goto("/")
    page.get_by_role("link", name=group).wait_for()
    page.get_by_label("Task ID or task group ID").fill("nothing")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("alert").get_by_text("holds no ID").wait_for()


def test_a_log_appears_while_its_task_runs(page, queue, tmp_path):
    """The log of a running host task is shown line by line, with its colours, to its end; then come state and artifacts."""
    gate = tmp_path / "gate"
    script = f"printf 'one \\033[31mred\\033[0m <b>\\n'; mkdir o; echo x > o/f; while [ ! -e {gate} ]; do sleep 0.05; done; echo last words; exit 3"
    task_id = create(queue, definitions.host(script, artifacts=[{"type": "directory", "path": "o", "name": "public/o"}]))
    page.goto(f"/tasks/{task_id}")
    log = page.get_by_role("log")
    log.get_by_text("one red <b>").wait_for()
    assert log.locator(".a-fg-1").inner_text() == "red"
    assert "last words" not in log.inner_text().splitlines()
    assert queue.status(task_id)["status"]["state"] == "running"
    gate.touch()
    page.get_by_text("The end of the log.").wait_for()
    assert "last words" in log.inner_text().splitlines()
    page.locator(".state").get_by_text("failed").wait_for()
    artifact = page.get_by_role("link", name="public/o/f")
    artifact.wait_for()
    assert page.request.get(artifact.get_attribute("href")).text() == "x\n"


def test_a_long_log_does_not_hold_up_the_page(page, queue):
    """Of a log of 150000 lines the page shows the end and says what it left out, and goes on answering meanwhile."""
    task_id = create(queue, definitions.host("seq -f 'line %.0f of a long log, which nobody will read whole' 1 150000"))
    page.add_init_script(
        "window.stall=0; let last=performance.now(); setInterval(() => { const now=performance.now(); stall=Math.max(stall, now-last); last=now }, 20)"
    )
    page.goto(f"/tasks/{task_id}")
    until = time.monotonic() + 20
    while "The end of the log." not in (page.evaluate("document.querySelector('.bar')?.textContent") or "") and time.monotonic() < until:
        page.wait_for_timeout(100)
    assert page.evaluate("stall") < 1500
    shown = page.get_by_role("log").evaluate(
        "box => [box.firstChild.textContent, box.textContent.includes('line 150000 of'), box.scrollHeight - box.scrollTop - box.clientHeight]"
    )
    assert "lines are left out" in shown[0]
    assert shown[1:] == [True, pytest.approx(0, abs=8)]


def test_what_is_refused_is_told_in_the_server_s_words(page, queue):
    """Without credentials, cancelling is refused, and the page shows the scopes that the server asks for; wrong ones are refused, too."""
    task_id = create(queue, definitions.task("nobody/here"))
    page.goto(f"/tasks/{task_id}")
    page.get_by_role("button", name="Cancel").click()
    words = page.get_by_role("alert").first
    words.get_by_text("InsufficientScopes (403)").wait_for()
    assert f"queue:cancel-task:test/{queue.task(task_id)['taskGroupId']}/{task_id}" in words.inner_text()
    assert queue.status(task_id)["status"]["state"] == "pending"
    with pytest.raises(taskcluster.TaskclusterFailure) as refused:
        taskcluster.Queue({**queue.options, "credentials": {"clientId": "no-such-client", "accessToken": "x" * 44}}).cancelTask(task_id)
    sign_in(page, "no-such-client", "x" * 44)
    said = page.locator("#sign-in-refusal")
    said.filter(has_text="no-such-client").wait_for()
    assert said.inner_text().strip() == refused.value.body["message"].split("\n---\n")[0].strip()
    page.goto(f"/tasks/{taskcluster.slugId()}")
    page.get_by_role("alert").get_by_text("ResourceNotFound (404)").wait_for()


def test_signed_in_people_can_act(page, box, queue):
    """With credentials, tasks are scheduled, cancelled and rerun; those they depend on, and that need them, are linked with their states."""
    first = create(queue, definitions.task("nobody/here"))
    second = create(queue, definitions.task("nobody/here", dependencies=[first], metadata={**definitions.task()["metadata"], "name": "the second"}))
    page.goto(f"/tasks/{second}")
    sign_in_as_root(page, box)
    state = page.locator(".state .badge")
    for action, then in (("Schedule", "pending"), ("Cancel", "exception"), ("Rerun", "pending")):
        page.get_by_role("button", name=action, exact=True).click()
        state.get_by_text(then).wait_for()
        assert queue.status(second)["status"]["state"] == then
    assert page.get_by_role("table", name="Runs").get_by_role("row").nth(1).inner_text().split() == ["Run", "0", "exception", "canceled", "–", "–"]
    page.get_by_role("link", name="test", exact=True).click()
    page.get_by_role("link", name="the second").wait_for()
    assert page.evaluate("[Object.keys(localStorage), JSON.stringify(localStorage).includes('accessToken')]") == [["tcbox.recent"], False]
    page.get_by_role("button", name="Sign out").click()
    assert page.evaluate("sessionStorage.length") == 0


def test_a_private_artifact_can_be_read_when_signed_in(page, box, queue):
    """An artifact that anonymous callers may not read opens, by a signed address, for who has signed in."""
    task_id = create(queue, definitions.host("echo secret > f.txt", artifacts=[{"type": "file", "path": "f.txt", "name": "private/f"}]))
    page.goto(f"/tasks/{task_id}")
    link = page.get_by_role("link", name="private/f")
    link.wait_for()
    assert page.request.get(link.get_attribute("href")).status == 403
    sign_in_as_root(page, box)
    with page.context.expect_page() as opened:
        link.click()
    opened.value.get_by_text("secret").wait_for()


def test_names_of_tasks_are_text(page, queue):
    """A task whose name is markup does no harm on any page, and is shown as it is written."""
    group = taskcluster.slugId()
    meta = {"name": NAME, "description": NAME, "owner": NAME, "source": "https://example.com/"}
    task_id = create(queue, definitions.task("nobody/here", taskGroupId=group, metadata=meta, payload={NAME: NAME}))
    for place in (f"/tasks/{task_id}", f"/groups/{group}", "/"):
        page.goto(place)
        page.get_by_text(NAME, exact=True).first.wait_for()
        assert page.evaluate("[window.harm ?? 0, document.querySelectorAll('main img, main script').length, document.title === 'harm']") == [0, 0, False]


def test_a_group_is_shown_as_it_grows(page, queue):
    """The tasks of a group are counted by state and found by name and state; new ones appear by themselves."""
    group = taskcluster.slugId()

    def add(name: str, task_queue: str) -> str:
        return create(queue, definitions.task(task_queue, taskGroupId=group, metadata={**definitions.task()["metadata"], "name": name}))

    add("alpha", "nobody/here")
    page.goto(f"/groups/{group}")
    page.get_by_role("heading", name="1 tasks").wait_for()
    done = add("beta", "built-in/succeed")
    until = time.monotonic() + 10
    while queue.status(done)["status"]["state"] != "completed" and time.monotonic() < until:
        time.sleep(0.05)
    page.get_by_role("img", name="Of 2 tasks: 1 pending, 1 completed").wait_for()
    page.get_by_role("button", name="1 completed").click()
    assert page.get_by_role("table").get_by_role("link").all_inner_texts() == ["beta"]
    page.get_by_role("button", name="1 completed").click()
    page.get_by_role("searchbox").fill("ALPH")
    assert page.get_by_role("table").get_by_role("link").all_inner_texts() == ["alpha"]
    page.get_by_role("searchbox").fill("gamma")
    page.get_by_text("No task of this group is like that").wait_for()
