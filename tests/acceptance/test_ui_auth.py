"""The pages on clients, roles and secrets in a real browser, for the owner and for who has not signed in."""

from __future__ import annotations

import pytest
import taskcluster

from tests.acceptance.test_ui import box, chromium, page  # noqa: F401
from tests.acceptance.test_web_sign_in import by_link, works


@pytest.fixture
def auth(box):  # noqa: F811
    return taskcluster.Auth(box.options)


def test_clients(page, box, auth):
    """The owner makes a client, changes, disables, enables, resets and deletes it, and sees what it may do, roles included."""
    auth.createRole("pages-role", {"description": "", "scopes": ["queue:by-role"]})
    by_link(page, box)
    page.goto("/auth/clients")
    page.get_by_role("link", name="static/taskcluster/queue").wait_for()
    page.get_by_role("link", name="Create a client").click()
    page.locator("main").get_by_label("Client ID").fill("pages/one|x")
    page.get_by_label("Description").fill("a *test*")
    page.get_by_role("textbox", name="Scopes").fill("assume:pages-role\n\n queue:own \n")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_text("It is shown only now").wait_for()
    first = page.locator(".fresh code").nth(1).inner_text()
    works(box, {"clientId": "pages/one|x", "accessToken": first}, "queue:by-role", "queue:own")
    assert auth.client("pages/one|x")["description"] == "a *test*"
    page.reload()
    page.locator("h1", has_text="pages/one|x").wait_for()
    assert first not in page.content()
    page.get_by_text("queue:by-role").wait_for()
    before = auth.client("pages/one|x")["expires"]
    page.get_by_role("textbox", name="Scopes").fill("queue:other")
    page.get_by_role("button", name="Save").click()
    page.locator(".scopes").get_by_text("queue:other").wait_for()
    assert (auth.client("pages/one|x")["scopes"], auth.client("pages/one|x")["expires"]) == (["queue:other"], before)
    page.get_by_role("button", name="Disable").click()
    page.get_by_text("disabled", exact=True).wait_for()
    page.get_by_role("button", name="Enable").click()
    page.get_by_text("enabled", exact=True).wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Reset access token").click()
    page.get_by_text("It is shown only now").wait_for()
    second = page.locator(".fresh code").nth(1).inner_text()
    assert second != first
    works(box, {"clientId": "pages/one|x", "accessToken": second}, "queue:other")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="Clients", exact=True).first.wait_for()
    page.get_by_role("searchbox").fill("pages/")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_text("There is no such client").wait_for()
    page.goto("/auth/clients/static%2Ftaskcluster%2Fqueue")
    page.get_by_text("It comes from the configuration, and can be changed only there").wait_for()
    assert page.get_by_role("button", name="Save").count() == 0


def test_roles(page, box, auth):
    """The owner makes a role, sees all that it gives, changes and deletes it; a role that cannot be is refused in words."""
    auth.createRole("pages-inner:*", {"description": "", "scopes": ["queue:inner:<..>"]})
    by_link(page, box)
    page.goto("/auth/roles")
    page.get_by_role("link", name="anonymous").wait_for()
    page.get_by_role("searchbox").fill("queue:inner:")
    page.get_by_role("link", name="pages-inner:*").wait_for()
    assert page.get_by_role("link", name="anonymous").count() == 0
    page.get_by_role("link", name="Create a role").click()
    page.get_by_label("Role ID").fill("pages-outer")
    page.get_by_role("textbox", name="Scopes").fill("assume:pages-inner:x")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_text("queue:inner:x").wait_for()
    page.get_by_role("link", name="pages-inner:x").first.wait_for()
    page.get_by_role("textbox", name="Scopes").fill("assume:pages-inner:x\nbäd")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").filter(has_text="InputValidationError").or_(page.get_by_text("Schema Validation Failed")).first.wait_for()
    page.get_by_role("textbox", name="Scopes").fill("queue:plain")
    page.get_by_label("Description").fill("changed")
    page.get_by_role("button", name="Save").click()
    page.locator(".description", has_text="changed").wait_for()
    assert auth.role("pages-outer")["scopes"] == ["queue:plain"]
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("link", name="pages-inner:*").wait_for()
    assert "pages-outer" not in auth.listRoleIds()["roleIds"]


def test_secrets(page, box):
    """The owner makes a secret, which is shown only when asked for, and changes it; numbers and the order of keys stay as they are."""
    kept = taskcluster.Secrets(box.options)
    by_link(page, box)
    page.goto("/secrets/create")
    page.get_by_label("Name").fill("pages/a b")
    page.get_by_label("Value").fill("[1]")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("alert").filter(has_text="no JSON object").wait_for()
    page.get_by_label("Value").fill('{"z": 123456789012345678901234567890, "a": [1.0, {}, "x: {\\"y\\", [ "]}')
    page.get_by_role("button", name="Create").click()
    page.get_by_role("button", name="Show and change").wait_for()
    assert "1234567" not in page.content()
    page.reload()
    page.get_by_role("button", name="Show and change").click()
    area = page.get_by_label("Value")
    assert area.input_value() == '{\n  "z": 123456789012345678901234567890,\n  "a": [\n    1.0,\n    {},\n    "x: {\\"y\\", [ "\n  ]\n}'
    expires = kept.get("pages/a b")["expires"]
    area.fill(area.input_value().replace("1.0", "2.0"))
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Show and change").wait_for()
    assert kept.get("pages/a b") == {"secret": {"z": 123456789012345678901234567890, "a": [2.0, {}, 'x: {"y", [ ']}, "expires": expires}
    page.goto("/secrets")
    page.get_by_role("link", name="pages/a b").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("There is no secret").or_(page.get_by_role("link", name="tool/")).first.wait_for()
    assert "pages/a b" not in kept.list()["secrets"]


def test_without_signing_in(page, box):
    """Without a sign-in the pages show what everybody may read, and say what is missing, and how to sign in, where that is not enough."""
    page.goto("/auth/clients")
    page.get_by_role("link", name="static/taskcluster/queue").wait_for()
    page.goto("/auth/roles/anonymous")
    page.locator(".scopes").get_by_text("queue:get-task:*").wait_for()
    page.goto("/account")
    page.get_by_role("heading", name="What everybody may do").wait_for()
    page.get_by_text("tcbox ui").first.wait_for()
    page.goto("/secrets")
    notice = page.get_by_role("alert").filter(has_text="secrets:list-secrets")
    notice.wait_for()
    notice.get_by_role("button", name="Sign in").click()
    made = box.info["credentials"]
    page.locator("#sign-in").get_by_label("Client ID").fill(made["clientId"])
    page.get_by_label("Access token").fill(made["accessToken"])
    page.locator("#sign-in").get_by_role("button", name="Sign in").click()
    page.get_by_text("There is no secret").wait_for()
    page.goto("/account")
    page.get_by_text("with credentials that were entered in this tab").wait_for()
