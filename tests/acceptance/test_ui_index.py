"""The pages of the index, used in a real browser as a person would."""

from __future__ import annotations

import taskcluster

from tests.acceptance.test_ui import NAME, box, chromium, page, queue, sign_in_as_root  # noqa: F401
from tests.support import definitions
from tests.support.tasks import Tasks


def insert(box, path: str, **more) -> str:  # noqa: F811
    task_id = more.setdefault("taskId", taskcluster.slugId())
    taskcluster.Index(box.options).insertTask(path, {"rank": 0, "data": {}, "expires": definitions.wire(days=2), **more})
    return task_id


def test_people_find_a_task_by_its_name(page, box, queue):  # noqa: F811
    """From the start page over namespaces to a name, to its task with state and data, and to an artifact under a lasting address."""
    tasks = Tasks(box)
    made = definitions.host("echo built > f", artifacts=[{"type": "file", "path": "f", "name": "public/f.txt"}], routes=["index.shop.nightly.linux"])
    task_id = tasks.run({**made, "extra": {"index": {"rank": 7, "data": {"revision": "abc"}}}})
    page.goto("/")
    page.get_by_role("navigation").get_by_role("link", name="Index").click()
    page.get_by_role("link", name="shop", exact=True).click()
    page.wait_for_url("**/index/shop")
    page.get_by_role("link", name="nightly", exact=True).click()
    row = page.get_by_role("table", name="Tasks").get_by_role("row").nth(1)
    row.wait_for()
    assert row.get_by_role("cell").all_inner_texts()[:3] == ["linux", task_id, "7"]
    row.get_by_role("link", name="linux").click()
    page.wait_for_url("**/index/shop.nightly.linux")
    page.locator(".badge").get_by_text("completed").wait_for()
    page.get_by_text('"revision": "abc"').wait_for()
    artifact = page.get_by_role("link", name="public/f.txt")
    assert artifact.get_attribute("href").endswith("/api/index/v1/task/shop.nightly.linux/artifacts/public%2Ff.txt")
    assert page.request.get(artifact.get_attribute("href")).text() == "built\n"
    page.get_by_role("heading", level=1).get_by_role("link", name="nightly").click()
    page.wait_for_url("**/index/shop.nightly")
    page.get_by_role("table", name="Tasks").get_by_role("link", name=task_id).click()
    page.get_by_role("link", name="shop.nightly.linux").click()
    page.wait_for_url("**/index/shop.nightly.linux")


def test_a_name_is_typed(page, box):  # noqa: F811
    """A name, also one that is written as a route, leads to its page; one that stands for nothing says so; old addresses work."""
    task_id = insert(box, "typed.name")
    page.goto("/index/")
    page.get_by_label("Name or namespace").fill(" index.typed.name ")
    page.get_by_role("button", name="Go").click()
    page.wait_for_url("**/index/typed.name")
    page.get_by_text("which the queue does not have any more").wait_for()
    assert task_id in page.get_by_role("link", name="which the queue does not have any more").inner_text()
    page.goto("/index/typed.nothing")
    page.get_by_text("No tasks here.").wait_for()
    page.get_by_text("No namespaces here.").wait_for()
    assert not page.get_by_role("heading", name="Task", exact=True).is_visible()
    page.goto("/tasks/index/typed/name")
    page.get_by_role("button", name="Remove from the index").wait_for()
    page.goto("/index/not/a%2Fname")
    page.get_by_role("alert").get_by_text("InvalidRequestArguments (400)").first.wait_for()


def test_an_entry_is_removed_by_who_may(page, box):  # noqa: F811
    """Without credentials removal is refused in the server's words; with them the name stands for nothing any more."""
    insert(box, "removed.name")
    page.on("dialog", lambda asked: asked.accept())
    page.goto("/index/removed.name")
    page.get_by_role("button", name="Remove from the index").click()
    words = page.get_by_role("alert").first
    words.get_by_text("InsufficientScopes (403)").wait_for()
    assert "index:delete-task:removed.name" in words.inner_text()
    sign_in_as_root(page, box)
    page.get_by_role("button", name="Remove from the index").click()
    page.get_by_text("No tasks here.").wait_for()
    page.goto("/index/removed")
    page.get_by_text("No tasks here.").wait_for()


def test_a_private_artifact_opens_by_its_name_in_the_index(page, box):  # noqa: F811
    """For who has signed in a private artifact opens under its address in the index."""
    tasks = Tasks(box)
    tasks.run(definitions.host("echo secret > f.txt", artifacts=[{"type": "file", "path": "f.txt", "name": "private/f"}], routes=["index.hidden.name"]))
    page.goto("/index/hidden.name")
    link = page.get_by_role("link", name="private/f")
    link.wait_for()
    assert page.request.get(link.get_attribute("href")).status == 403
    sign_in_as_root(page, box)
    with page.context.expect_page() as opened:
        link.click()
    opened.value.get_by_text("secret").wait_for()


def test_a_large_namespace_is_shown_in_parts(page, box):  # noqa: F811
    """Of more than a thousand entries the first are shown, more on demand, and a filter finds one among them."""
    index = taskcluster.Index(box.options)
    for number in range(1005):
        index.insertTask(f"large.n{number:04}", {"taskId": "fN1SbArXTPSVFNUvaOlinQ", "rank": 0, "data": {}, "expires": definitions.wire(days=2)})
    page.goto("/index/large")
    page.get_by_role("heading", name="1000+ tasks").wait_for()
    page.get_by_role("button", name="Show more").click()
    page.get_by_role("heading", name="1005 tasks").wait_for()
    page.get_by_label("Show only tasks whose name has").fill("N1004")
    page.get_by_role("heading", name="1 of 1005 tasks").wait_for()
    assert page.get_by_role("table", name="Tasks").get_by_role("row").count() == 2


def test_data_and_names_are_text(page, box, queue):  # noqa: F811
    """Markup in an entry's data, or in its task's name, does no harm and is shown as it is written."""
    task_id = taskcluster.slugId()
    meta = {"name": NAME, "description": NAME, "owner": NAME, "source": "https://example.com/"}
    queue.createTask(task_id, definitions.task("nobody/here", metadata=meta))
    insert(box, "markup.name", taskId=task_id, data={NAME: NAME})
    page.goto("/index/markup.name")
    page.get_by_role("link", name=NAME).wait_for()
    assert NAME.replace('"', '\\"') in page.locator("pre.source").inner_text()
    assert page.evaluate("[window.harm ?? 0, document.querySelectorAll('main img, main script').length]") == [0, 0]
