"""The pages of worker pools, used in a real browser as a person would."""

from __future__ import annotations

import pytest
import taskcluster

from tests.acceptance.test_ui import NAME, chromium, page, sign_in_as_root  # noqa: F401
from tests.support import definitions

SECRET = "abcd" * 11
CONFIG = """
workers:
  docker: {enabled: false}
  host: {enabled: false}
providers:
  aws-prod: {type: aws}
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here, each of which makes its own pools."""
    from tests.support.box import Box

    made = Box(tmp_path_factory.mktemp("ui-pools"), CONFIG).start()
    yield made
    made.stop()


@pytest.fixture
def manager(box):
    return taskcluster.WorkerManager(box.options)


def launch_config(region, **own):
    return {"workerConfig": {"text": NAME}, "region": region, "launchConfig": {"ImageId": "ami-1"}, "capacityPerInstance": 1, "workerManager": own}


def pool(**changes):
    return {"providerId": "static", "description": NAME, "owner": "o@example.com", "emailOnError": False, "config": {}, **changes}


def worker(manager, name, worker_id, **changes):
    manager.createWorker(name, "g", worker_id, {"expires": taskcluster.fromNowJSON("1 day"), "providerInfo": {"staticSecret": SECRET}, **changes})


def test_all_pools_are_listed(page, box, manager):  # noqa: F811
    """From any page over the list of pools, with capacity, pending tasks and errors, to one of them; the list is filtered by name."""
    manager.createWorkerPool("list/one", pool())
    manager.createWorkerPool("list/two", pool(providerId="aws-prod", config={"minCapacity": 0, "maxCapacity": 7, "launchConfigs": [launch_config("west")]}))
    worker(manager, "list/one", "w1", capacity=3)
    manager.reportWorkerError("list/one", {"workerGroup": "g", "workerId": "w1", "kind": "k", "title": "t", "description": "d", "extra": {}})
    taskcluster.Queue(box.options).createTask(taskcluster.slugId(), definitions.task("list/two"))
    page.goto("/")
    sign_in_as_root(page, box)
    page.get_by_role("navigation").get_by_role("link", name="Worker pools").click()
    table = page.get_by_role("table", name="Worker pools")
    row = table.get_by_role("row").filter(has=page.get_by_role("link", name="list/one"))
    row.wait_for()
    assert row.get_by_role("cell").all_inner_texts() == ["list/one", "static", "3", "0", "0", "–", "0", "1"]
    other = table.get_by_role("row").filter(has=page.get_by_role("link", name="list/two")).get_by_role("cell").all_inner_texts()
    assert other[:7] == ["list/two", "aws-prod", "0", "0", "0", "7", "1"]
    page.get_by_role("searchbox").fill("TWO")
    assert table.get_by_role("link").all_inner_texts() == ["list/two"]
    page.get_by_role("searchbox").fill("nothing")
    page.get_by_text("No pool is like that").wait_for()
    page.get_by_role("searchbox").fill("list/two")
    table.get_by_role("link", name="list/two").click()
    page.wait_for_url("**/worker-manager/list%2Ftwo")
    page.get_by_text("from 0 to 7").wait_for()


def test_one_pool(page, box, manager):  # noqa: F811
    """A pool is shown with its configuration, launch configurations, workers and errors; new ones appear by themselves, and markup in them is text."""
    name = "one/pool"
    config = {"minCapacity": 0, "maxCapacity": 7, "launchConfigs": [launch_config("west", initialWeight=0.5, launchConfigId="mine")]}
    manager.createWorkerPool(name, pool(providerId="aws-prod", config=config))
    manager.updateWorkerPool(name, pool(providerId="static"))
    worker(manager, name, "w1")
    worker(manager, name, "w2")
    manager.removeWorker(name, "g", "w2")
    page.goto("/worker-manager/one/pool")
    sign_in_as_root(page, box)
    workers = page.get_by_role("table", name="Workers")
    workers.wait_for()
    assert [row.split("\t")[:2] for row in workers.get_by_role("row").all_inner_texts()[1:]] == [["g/w1", "running"], ["g/w2", "stopped"]]
    page.get_by_label("Show only workers in this state").select_option("stopped")
    page.get_by_role("heading", name="1 workers").wait_for()
    page.get_by_label("Show only workers in this state").select_option("requested")
    page.get_by_text("No worker is in that state.").wait_for()
    launch = page.get_by_role("table", name="Launch configurations").get_by_role("row").nth(1)
    launch.get_by_text("archived").wait_for()
    manager.updateWorkerPool(name, pool(providerId="aws-prod", config=config))
    launch.get_by_text("in use").wait_for()
    assert launch.get_by_role("cell").all_inner_texts()[1:5] == ["in use", "west", "0.5", "–"]
    assert '"launchConfigId": "mine"' in page.get_by_role("region", name="Configuration", exact=True).inner_text()
    manager.reportWorkerError(
        name, {"workerGroup": "g", "workerId": "w1", "kind": "boot-error", "title": NAME[:100], "description": NAME, "extra": {NAME: NAME}}
    )
    page.get_by_text(NAME[:100], exact=False).first.wait_for()
    page.locator("summary").filter(has_text="boot-error").click()
    page.get_by_text('"workerId": "w1"').wait_for()
    assert page.evaluate("[window.harm ?? 0, document.querySelectorAll('main img, main script').length]") == [0, 0]


def test_a_pool_that_is_not_there(page, box):  # noqa: F811
    """A pool that is not there is told in the server's words, with a way to the others."""
    page.goto("/worker-manager/no%2Fpool")
    page.get_by_role("alert").get_by_text("ResourceNotFound (404)").wait_for()
    page.get_by_role("link", name="To all worker pools").click()
    page.get_by_role("heading", level=1, name="Worker pools").wait_for()
