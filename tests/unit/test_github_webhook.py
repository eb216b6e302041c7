"""GitHub's webhooks: who may send them, and what each is answered."""

from __future__ import annotations

import uuid

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox.services.github import samples
from tests.simulators.github_api import deliver
from tests.support import github as support
from tests.support.databases import database  # noqa: F401

migrations = support.MIGRATIONS
PING = {"zen": "Keep it.", "hook_id": 1, "hook": {"type": "Repository", "id": 1, "name": "web", "active": True, "events": ["push"], "config": {}}, "sender": {"login": "x"}}  # fmt: skip
SHA = "a" * 40


def check_run(**changes):
    body = {
        "action": "rerequested",
        "check_run": {"id": 5, "head_sha": SHA, "status": "completed", "conclusion": "failure", "name": "n", "pull_requests": [],
                      "check_suite": {"id": 7, "head_sha": SHA, "head_branch": "main"}},
        "repository": {"name": "hello.world", "full_name": "octo/hello.world", "owner": {"login": "octo"}},
        "sender": {"login": "octo-dev", "type": "User"}, "installation": {"id": support.INSTALLATION},
    }  # fmt: skip
    return {**body, **changes}


def installation(action: str = "created", number: int = 11, login: str = "Acme") -> dict:
    account = {"login": login, "id": 1, "type": "Organization"}
    return {
        "action": action, "sender": {"login": "x"},
        "installation": {"id": number, "account": account, "repository_selection": "all", "target_id": 1, "target_type": "Organization"},
    }  # fmt: skip


@pytest_asyncio.fixture
async def world(database, clock):  # noqa: F811
    async with support.running(database, clock) as made:
        yield made


@pytest_asyncio.fixture
async def lone(tmp_path, clock):
    """The same on SQLite alone, for rules that do not touch what is stored."""
    async with support.alone(tmp_path, clock) as made:
        yield made


@pytest.mark.parametrize("secret", support.SECRETS)
@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
async def test_any_secret_and_both_algorithms(lone, secret, algorithm):
    """A webhook may be signed with any of the secrets, by SHA-256 or, as old servers do, by SHA-1."""
    assert (await lone.webhook("push", lone.push(None), secret=secret, algorithm=algorithm)).status == 204
    (event,) = await lone.messages()
    assert event.payload["details"]["event.head.user.email"] == "octo-dev@users.noreply.github.com"


async def test_what_is_not_from_github(lone):
    """What is not signed, signed wrongly, or changed by one byte afterwards is refused, and nothing is announced."""
    body = lone.push(None)
    assert (await lone.webhook("push", body, secret="other")).status == 403
    raw, headers = deliver(support.SECRETS[0], "push", body, str(uuid.uuid4()))
    answer = await lone.call("githubWebHookConsumer", payload=raw.replace(b"octo-dev", b"octo-bad"), headers=headers)
    assert (answer.status, answer.raw) == (403, b"X-hub-signature does not match; bad webhook secret?")
    assert answer.headers["content-type"].startswith("text/plain")
    for missing in ("x-hub-signature-256", "x-github-event", "x-github-delivery"):
        answer = await lone.call("githubWebHookConsumer", payload=raw, headers={name: value for name, value in headers.items() if name != missing})
        assert answer.status == 400, missing
    for signature in ("md5=0", "", "sha256=", "sha256", "sha256=é"):
        assert (await lone.call("githubWebHookConsumer", payload=raw, headers={**headers, "x-hub-signature-256": signature})).status in (400, 403)
    assert (await lone.call("githubWebHookConsumer", payload=b"", headers=headers)).status == 400
    assert await lone.messages() == []


async def test_a_signature_covers_the_bytes_that_came(lone):
    """The signature is checked over the body as it came, whatever the order and spacing of its JSON."""
    import hashlib
    import hmac
    import json

    raw = json.dumps(lone.push(None), indent=3, sort_keys=True, ensure_ascii=False).encode() + b"\n "
    signature = "sha256=" + hmac.new(support.SECRETS[1].encode(), raw, hashlib.sha256).hexdigest()
    headers = {"x-github-event": "push", "x-github-delivery": str(uuid.uuid4()), "x-hub-signature-256": signature}
    assert (await lone.call("githubWebHookConsumer", payload=raw, headers=headers)).status == 204


@pytest.mark.parametrize(
    ("event", "body", "status", "words"),
    [
        ("ping", PING, 200, "Received ping event!"),
        ("ping", {"zen": "As an App's.", "hook_id": 1, "hook": {"type": "App", "app_id": 4711}}, 200, "Received ping event!"),
        ("check_suite", {"action": "requested"}, 200, "No publisher available for X-GitHub-Event: check_suite"),
        ("star", {"action": "created"}, 200, "No publisher available for X-GitHub-Event: star"),
        ("check_run", check_run(action="created"), 200, "Only rerequested for check runs is supported"),
        ("check_run", check_run(sender={"login": "tc[bot]", "type": "Bot"}), 200, "Skipping rerequested event started by bot"),
        ("check_run", check_run(), 204, ""),
        ("check_run", check_run(check_run={}), 400, ""),
        ("installation", installation(), 200, "Created table row!"),
        ("push", {"ref": "refs/heads/x"}, 400, ""),
    ],
)
async def test_answers(lone, event, body, status, words):
    """Each kind of event is answered as published; what does not fit its schema is refused with its faults."""
    answer = await lone.webhook(event, body)
    assert answer.status == status
    assert status == 400 or answer.raw.decode() == words
    if status == 400:
        assert answer.code == "InputValidationError" and "/" in answer.message


async def test_what_says_that_no_tasks_are_wanted(lone):
    """`[skip ci]` in the latest commit's message or a pull request's title, and comments without a command, are skipped."""
    push = lone.push(None)
    push["head_commit"] = {**push["head_commit"], "message": "Mend it [Skip CI]"}
    assert (await lone.webhook("push", push)).raw == b"Skipping push event"
    push["head_commit"] = None
    push["commits"] = [{"id": SHA, "message": "x"}, {"id": SHA, "message": "[ci skip]"}]
    assert (await lone.webhook("push", push)).raw == b"Skipping push event"
    pull = lone.pull(None)
    pull["pull_request"]["title"] = "[ci skip] work"
    assert (await lone.webhook("pull_request", pull)).raw == b"Skipping pull_request event"
    for comment in (lone.comment("hello"), lone.comment("/taskcluster"), lone.comment("/taskcluster x", action="deleted")):
        assert (await lone.webhook("issue_comment", comment)).raw == b"Skipping issue_comment event"
    for change in ({"state": "closed"}, {"pull_request": None}):
        comment = lone.comment("/taskcluster x")
        comment["issue"] |= change
        assert (await lone.webhook("issue_comment", comment)).raw == b"Skipping issue_comment event"
    assert await lone.messages() == []


async def test_messages(world):
    """Each event is announced on its exchange, whole, with its details, under a key in which dots are `%`."""
    world.hub.users["octo-dev"] = "octo@example.org"
    release = samples.event("github-release", "published", "octo", "hello.world", {}) | {"installation": {"id": support.INSTALLATION}}
    sent = {
        "push": world.push(None), "pull_request": world.pull(None), "release": release, "issue_comment": world.comment("/taskcluster go"),
        "check_run": check_run(),
    }  # fmt: skip
    for event, body in sent.items():
        assert (await world.webhook(event, body)).status == 204
    messages = await world.messages()
    assert [event.routing_key for event in messages] == [
        "primary.octo.hello%world", "primary.octo.hello%world.opened", "primary.octo.hello%world", "primary.octo.hello%world.created",
        "primary.octo.hello%world",
    ]  # fmt: skip
    assert [event.payload["body"] for event in messages] == list(sent.values())
    assert [event.payload["tasks_for"] for event in messages] == [
        "github-push", "github-pull-request", "github-release", "github-issue-comment", "github-push",
    ]  # fmt: skip
    assert {event.payload["details"]["event.head.user.email"] for event in messages} == {"octo@example.org"}
    details = messages[1].payload["details"]
    assert (details["event.type"], details["event.pullNumber"], details["event.base.user.login"]) == ("pull_request.opened", 1, "octo")
    assert (messages[4].payload["checkRunId"], messages[4].payload["checkSuiteId"]) == (5, 7)


async def test_an_event_without_installation(lone):
    """An event of a repository's own webhook, which names no installation, is refused with what to do."""
    body = lone.push(None)
    body.pop("installation")
    answer = await lone.webhook("push", body)
    assert answer.status == 400 and b"GitHub App" in answer.raw


async def test_installations_come_and_go(world):
    """The owner of an installation is known from its event on, whatever the case, until it is removed."""
    assert await world.service.store.installation("acme") is None
    await world.webhook("installation", installation())
    assert await world.service.store.installation("aCmE") == 11
    await world.webhook("installation", installation("created", 12))
    await world.webhook("installation", installation("deleted", 11))
    assert await world.service.store.installation("acme") == 12, "an older installation's end is not the newer one's"
    await world.webhook("installation", installation("deleted", 12))
    assert await world.service.store.installation("acme") is None


async def test_installations_are_learnt_from_github(world):
    """Once a day, and at the start, all installations are learnt, over all pages, and those that are gone are forgotten."""
    await world.service.store.install("gone", 1)
    for number in range(150):
        world.hub.install(f"Org{number}", 2000 + number)
    await world.service.sync()
    known = await world.service.store.integrations()
    assert len(known) == 151 and known["org149"] == 2149 and "gone" not in known


async def test_one_process_learns_installations_each_day(world, database, clock):
    """Each process asks GitHub when it starts; from then on one of them does, once a day."""
    twin = support.World(database, clock, world.service.hub._url, world.hub, world.bytes)

    async def asked() -> int:
        for each in (world.service, twin.service):
            await each.sync()
        return world.hub.asked.pop("GET /app/installations")

    once = await asked()
    assert once >= 2 and once % 2 == 0
    for _ in range(2):
        clock.advance(clocks.DAY)
        assert await asked() == once // 2


@pytest.mark.parametrize(
    ("options", "setting"),
    [({"webhook_secrets": ()}, "services.github.webhook_secrets"), ({"app": None}, "services.github.app_id")],
)
async def test_without_configuration(database, clock, options, setting):  # noqa: F811
    """Without configuration a webhook is refused with the name of the setting that it needs."""
    async with support.running(database, clock, **options) as world:
        answer = await world.webhook("push", world.push(None))
        assert answer.status == 400 and setting.encode() in answer.raw
        assert await world.messages() == []
