"""The pages of hooks, used in a real browser as a person would."""

from __future__ import annotations

import taskcluster

import pytest

from tests.acceptance.test_ui import NAME, box, chromium, page, queue, sign_in_as_root  # noqa: F401

METADATA = {"name": "every night", "description": "what it does", "owner": "owner@example.com"}
SCHEMA = {
    "type": "object",
    "properties": {"who": {"type": "string"}, "go": {"type": "boolean", "default": True}},
    "required": ["who"],
    "additionalProperties": False,
}


def template(**changes) -> dict:
    return {
        "$if": "payload.go",
        "then": {
            "taskQueueId": "nobody/here", "created": {"$fromNow": "0 seconds"}, "deadline": {"$fromNow": "1 hour"}, "payload": {},
            "metadata": {"name": "for ${payload.who}", "description": "d", "owner": "o@example.com", "source": "https://example.com/"}, **changes,
        },
    }  # fmt: skip


@pytest.fixture
def hooks(box):  # noqa: F811
    return taskcluster.Hooks(box.options)


def test_hooks_are_found_by_group_and_name(page, hooks):  # noqa: F811
    """All hooks are listed by group, sifted by what is typed, and lead to their pages; what others wrote is text, never markup."""
    for group, name in (("release", "ship"), ("release", "sub/nightly"), ("docs", "build")):
        hooks.createHook(group, name, {"metadata": {**METADATA, "name": NAME, "description": NAME}, "task": {}, "schedule": ["0 0 1 1 *"]})
    page.goto("/")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Hooks").click()
    page.get_by_role("link", name="sub/nightly").wait_for()
    assert page.get_by_role("table", name="Hooks of release").get_by_role("row").count() == 3
    page.get_by_label("Show only hooks").fill("nightl")
    page.get_by_role("link", name="ship").wait_for(state="hidden")
    assert page.get_by_role("link", name="build").is_hidden()
    page.get_by_role("link", name="sub/nightly").click()
    page.get_by_role("heading", name=NAME).wait_for()
    page.get_by_text("never fired").wait_for()
    page.get_by_text("fires next").wait_for()
    assert page.evaluate("[window.harm, document.title]") == [None, "release/sub/nightly"]
    page.get_by_role("link", name="release", exact=True).click()
    page.get_by_role("heading", name="Hooks of release").wait_for()
    page.goto("/hooks/none/such")
    page.get_by_role("alert").get_by_text("ResourceNotFound (404)").wait_for()


def test_a_hook_is_triggered_and_what_came_of_it_is_shown(page, box, hooks, queue):  # noqa: F811
    """A hook is triggered with a payload: refusals are told in the server's words, a task is linked, and fires are listed with their errors."""
    hooks.createHook(
        "ui",
        "trigger",
        {"metadata": METADATA, "task": template(), "triggerSchema": SCHEMA, "bindings": [{"exchange": "exchange/x/y", "routingKeyPattern": "a.#"}]},
    )
    page.goto("/hooks/ui/trigger")
    page.get_by_role("heading", name="every night").wait_for()
    for text in ("owner@example.com", "exchange/x/y", "hook-id:ui/trigger", "for ${payload.who}"):
        assert page.get_by_text(text).first.is_visible()
    trigger = page.get_by_role("button", name="Trigger", exact=True)
    trigger.click()
    page.get_by_role("alert").get_by_text("hooks:trigger-hook:ui/trigger").first.wait_for()
    sign_in_as_root(page, box)
    payload = page.get_by_label("Payload", exact=True)
    for text, words in (
        ("{", "is no JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "/who is missing"),
        ('{"who": "me"}', "The role `hook-id:ui/trigger` does not have"),
    ):
        payload.fill(text)
        trigger.click()
        page.get_by_role("alert").get_by_text(words).first.wait_for()
    page.get_by_text("could not fire").wait_for()
    page.get_by_text("no task", exact=True).click()
    page.get_by_role("table", name="Last fires").get_by_text("queue:create-task:lowest:nobody/here").wait_for()
    taskcluster.Auth(box.options).createRole("hook-id:ui/*", {"description": "", "scopes": ["queue:create-task:*", "queue:scheduler-id:*"]})
    payload.fill('{"who": "me", "go": false}')
    trigger.click()
    page.get_by_text("The template created no task").wait_for()
    payload.fill('{"who": "me"}')
    trigger.click()
    link = page.get_by_role("status").get_by_role("link")
    link.wait_for()
    task_id = link.inner_text()
    assert queue.task(task_id)["metadata"]["name"] == "for me"
    row = page.get_by_role("table", name="Last fires").get_by_role("row").filter(has_text=task_id)
    row.get_by_text("pending").wait_for()
    assert "call" in row.inner_text()
    assert payload.input_value() == '{"who": "me"}'
    queue.cancelTask(task_id)
    row.get_by_text("exception").wait_for()
    link.click()
    page.get_by_role("heading", name="for me").wait_for()
