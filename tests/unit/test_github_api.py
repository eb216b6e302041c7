"""The methods of the github service beside the webhook."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tcbox.services.github import badges
from tests.support import github as support
from tests.support.databases import database  # noqa: F401
from tests.unit.test_github_building import CREATE, config

migrations = support.MIGRATIONS
EVERY = "repo:github.com/octo/hello.world:*"
PUBLIC = "policy: {pullRequests: public}\n"


@pytest_asyncio.fixture
async def world(database, clock):  # noqa: F811
    async with support.running(database, clock) as made:
        await made.service.store.install("octo", support.INSTALLATION)
        await made.grant(EVERY, *CREATE)
        yield made


@pytest_asyncio.fixture
async def lone(tmp_path, clock):
    """The same on SQLite alone, for rules that do not touch what is stored."""
    async with support.alone(tmp_path, clock) as made:
        await made.service.store.install("octo", support.INSTALLATION)
        await made.grant(EVERY, *CREATE)
        yield made


@pytest_asyncio.fixture
async def built(world):
    """Two pushes, and a pull request with two commits."""
    world.repo.commit(config("x", policy=PUBLIC), "main")
    await world.deliver("push", world.push(config("one", policy=PUBLIC)))
    await world.deliver("push", world.push(config("two"), branch="topic"))
    more = "autoCancelPreviousChecks: false\n"
    await world.deliver("pull_request", world.pull(config("three", more=more), number=5))
    await world.deliver("pull_request", world.pull(config("four", more=more), number=5, action="synchronize"))
    return world


# -- builds


async def test_builds_are_listed_and_narrowed(built):
    """Builds come by their last change, of all, of an owner, a repository, a commit or a pull request, in pages."""
    everything = (await built.call("builds")).body["builds"]
    assert len(everything) == 4 and [build["updated"] for build in everything] == sorted(build["updated"] for build in everything)
    here = {"organization": "octo", "repository": "hello%world"}
    shas = [build["sha"] for build in everything]
    for query, expected in (
        ({"organization": "octo"}, shas), (here, shas), ({"organization": "acme"}, []), ({"organization": ""}, shas),
        ({**here, "sha": shas[2]}, shas[2:3]), ({**here, "pullRequest": "5"}, shas[2:]), ({**here, "pullRequest": "5", "sha": shas[3]}, shas[3:]),
        ({**here, "pullRequest": "5", "sha": shas[0]}, []), ({**here, "pullRequest": "9" * 40}, []), ({**here, "pullRequest": ""}, shas),
    ):  # fmt: skip
        assert [build["sha"] for build in (await built.call("builds", query=query)).body["builds"]] == expected, query
    pages, token = [], {}
    while True:
        page = (await built.call("builds", query={**here, "limit": "3", **token})).body
        pages += page["builds"]
        if "continuationToken" not in page:
            break
        token = {"continuationToken": page["continuationToken"]}
    assert pages == everything
    assert everything[2]["pullRequestNumber"] == 5 and "pullRequestNumber" not in everything[0]


@pytest.mark.parametrize("query", [{"repository": "x"}, {"organization": "x", "sha": "a"}, {"organization": "x", "pullRequest": "1"}, {"sha": "a"}])
async def test_builds_are_narrowed_step_by_step(lone, query):
    """A repository needs its owner beside it, a commit and a pull request their repository."""
    answer = await lone.call("builds", query=query)
    assert (answer.status, answer.code) == (400, "InputError") and "Must provide" in answer.message


@pytest.mark.parametrize("query", [{"organization": "a.b"}, {"pullRequest": "x"}, {"organization": "a/b"}])
async def test_malformed_queries(lone, query):
    """Parameters of another form than the published are refused."""
    assert (await lone.call("builds", query=query)).code == "InvalidRequestArguments"


async def test_cancel_builds(built):
    """Canceling takes all pending builds of a repository, or those of a commit or pull request, and no others."""
    everything = await built.builds()
    answer = await built.call("cancelBuilds", "octo", "hello.world", query={"sha": everything[0]["sha"]})
    assert [(build["state"], build["sha"]) for build in answer.body["builds"]] == [("cancelled", everything[0]["sha"])]
    (entry,) = await built.group(everything[0]["taskGroupId"])
    assert (entry["status"]["state"], entry["status"]["runs"][-1]["reasonResolved"]) == ("exception", "canceled")
    answer = await built.call("cancelBuilds", "octo", "hello%world", query={"pullRequest": "5"})
    assert [build["pullRequestNumber"] for build in answer.body["builds"]] == [5, 5]
    await built.settle()
    assert sorted(build["state"] for build in await built.builds()) == ["cancelled"] * 3 + ["pending"]
    again = await built.call("cancelBuilds", "octo", "hello.world", query={"pullRequest": "5"})
    assert (again.status, again.code) == (404, "ResourceNotFound")
    built.scopes = ("github:cancel-builds:octo:other",)
    assert (await built.call("cancelBuilds", "octo", "hello.world")).status == 403


async def test_canceling_what_the_role_may_not(world):
    """When the repository's role may not cancel a build's tasks, the refusal names the role and the scope."""
    await world.grant(EVERY, *CREATE, "queue:scheduler-id:own")
    await world.deliver("push", world.push(config("one").replace("priority", "schedulerId: own\n    priority")))
    answer = await world.call("cancelBuilds", "octo", "hello.world")
    assert (answer.status, answer.code) == (403, "InsufficientScopes")
    assert f"The role `{EVERY}` lacks a scope" in answer.message and "`queue:seal-task-group:own/" in answer.message


# -- what GitHub shows


async def latest(world, branch="main"):
    answer = await world.call("latest", "octo", "hello.world", branch)
    return answer.status, answer.headers.get("location")


async def badge(world, branch="main"):
    answer = await world.call("badge", "octo", "hello.world", branch)
    assert answer.status == 200 and answer.headers["content-type"] == "image/svg+xml" and answer.raw.startswith(b"<svg ")
    return answer.headers["x-taskcluster-status"]


async def test_badge_and_latest_by_status(world):
    """With a commit status, the badge shows its state and `latest` leads to its group."""
    assert await badge(world) == "newrepo" and (await latest(world))[0] == 404
    await world.deliver("push", world.push(config("one")))
    (build,) = await world.builds()
    assert await badge(world) == "pending"
    assert await latest(world) == (302, f"https://tc.example.com/tasks/groups/{build['taskGroupId']}")
    world.repo.statuses.insert(0, {"sha": build["sha"], "state": "failure", "creator": {"id": 1}, "target_url": "https://elsewhere"})
    assert await badge(world) == "pending", "statuses of others do not count"


async def test_badge_and_latest_by_checks(world):
    """With check runs, the badge is as the worst of them, and `latest` leads to the first."""
    await world.deliver("push", world.push(config("one", "two", more="reporting: checks-v1\n"), branch="a/b"))
    runs = world.repo.checks()
    assert await badge(world, "a/b") == "pending"
    assert await latest(world, "a/b") == (302, runs[0]["html_url"])
    for task in [run["external_id"] for run in runs]:
        await world.claim(task)
        await world.end(task)
    await world.settle()
    assert await badge(world, "a/b") == "success"
    runs[1]["conclusion"] = "failure"
    assert await badge(world, "a/b") == "failure"
    assert await badge(world, "no-such-branch") == "newrepo"


async def test_badge_without_the_app(world):
    """Where the app is not installed the badge says that there are no builds, with a header of its own."""
    answer = await world.call("badge", "nobody", "x", "main")
    assert (answer.status, answer.headers["x-taskcluster-status"]) == (200, "nogithub")
    world.hub.permissions[support.INSTALLATION] = {}
    assert await badge(world) == "error"


@pytest.mark.parametrize(
    ("status", "conclusions", "state"),
    [
        (None, [], None), ("pending", [], "pending"), (None, ["success"], "success"), (None, ["success", None], "pending"),
        (None, ["skipped", "success", "failure"], "failure"), ("failure", ["success"], "failure"), ("failure", ["neutral"], "failure"),
        ("success", ["cancelled"], "cancelled"), ("pending", ["success"], "success"), ("error", [], "error"), (None, ["timed_out", "stale"], "timed_out"),
    ],
)  # fmt: skip
def test_badge_states(status, conclusions, state):
    """A failure outweighs what is unfinished or odd, and that outweighs success."""
    assert badges.state(status, conclusions) == state


def test_every_state_has_a_picture():
    """Each state is drawn, as XML that can be read, with its name for those who cannot see it."""
    from xml.etree import ElementTree

    for state in badges.STATES:
        root = ElementTree.fromstring(badges.svg(state))
        assert root.get("aria-label", "").startswith("taskcluster: ")


async def test_repository(world):
    """A repository is installed when the installation of its owner has access to it, on whichever page it is."""
    assert (await world.call("repository", "octo", "hello.world")).body == {"installed": True}
    assert (await world.call("repository", "Octo", "Hello.World")).body == {"installed": True}
    assert (await world.call("repository", "octo", "other")).body == {"installed": False}
    assert (await world.call("repository", "nobody", "x")).body == {"installed": False}
    world.hub.install("octo", support.INSTALLATION, *(f"r{number}" for number in range(250)))
    assert (await world.call("repository", "octo", "r249")).body == {"installed": True}


# -- writing


async def test_create_status(world):
    """A status is set in the app's name, under the context `default` unless another is given."""
    sha = world.repo.commit(None)
    assert (await world.call("createStatus", "octo", "hello.world", sha, payload={"state": "success", "target_url": "https://x.example"})).body == {}
    await world.call("createStatus", "octo", "hello.world", sha, payload={"state": "error", "context": "lint", "description": "d"})
    assert [(status["state"], status["context"]) for status in world.repo.statuses] == [("error", "lint"), ("success", "default")]


async def test_create_comment(world):
    """A comment is written on a pull request or issue."""
    world.pull(None, number=3)
    assert (await world.call("createComment", "octo", "hello.world", "3", payload={"body": "hello"})).body == {}
    assert [(comment["number"], comment["body"]) for comment in world.repo.comments] == [(3, "hello")]


@pytest.mark.parametrize(
    ("method", "args", "payload", "status", "code"),
    [
        ("createStatus", ("nobody", "x", "a" * 40), {"state": "success"}, 404, "ResourceNotFound"),
        ("createStatus", ("octo", "hello.world", "a" * 40), {"state": "success"}, 400, "InputError"),
        ("createStatus", ("octo", "nothing", "a" * 40), {"state": "success"}, 404, "ResourceNotFound"),
        ("createStatus", ("octo", "hello.world", "a" * 40), {"state": "fine"}, 400, "InputValidationError"),
        ("createComment", ("octo", "hello.world", "9"), {"body": "x"}, 404, "ResourceNotFound"),
        ("createComment", ("octo", "hello.world", "../../x"), {"body": "x"}, 404, "ResourceNotFound"),
        ("createComment", ("octo", "..", "9"), {"body": "x"}, 404, "ResourceNotFound"),
        ("createComment", ("nobody", "x", "9"), {"body": "x"}, 404, "ResourceNotFound"),
    ],
)
async def test_what_cannot_be_written(lone, method, args, payload, status, code):
    """What GitHub refuses is answered with its reason and a code that says whose fault it is."""
    answer = await lone.call(method, *args, payload=payload)
    assert (answer.status, answer.code) == (status, code)


async def test_what_github_forbids(lone):
    """Without the permission the answer is 403 ForbiddenByGithub; while GitHub limits, 429; while it fails, 500."""
    sha = lone.repo.commit(None)
    lone.hub.permissions[support.INSTALLATION] = {"contents": "read"}
    answer = await lone.call("createStatus", "octo", "hello.world", sha, payload={"state": "success"})
    assert (answer.status, answer.code) == (403, "ForbiddenByGithub") and "not accessible by integration" in answer.message
    lone.hub.broken = {"/repos"}
    assert (await lone.call("createStatus", "octo", "hello.world", sha, payload={"state": "success"})).status == 500
    lone.hub.broken = set()
    lone.hub.blocked[support.INSTALLATION] = (429, {"retry-after": "30"}, "slow down")
    assert (await lone.call("createStatus", "octo", "hello.world", sha, payload={"state": "success"})).code == "TooManyRequests"


async def test_scopes(lone):
    """Each method needs its published scope."""
    sha = "a" * 40
    calls = {
        "github:list-builds": ("builds",), "github:get-badge:octo:hello.world:main": ("badge", "octo", "hello.world", "main"),
        "github:get-repository:octo:hello.world": ("repository", "octo", "hello.world"),
        "github:latest-status:octo:hello.world:main": ("latest", "octo", "hello.world", "main"),
        "github:create-status:octo/hello.world": ("createStatus", "octo", "hello.world", sha),
        "github:create-comment:octo/hello.world": ("createComment", "octo", "hello.world", "1"),
        "github:cancel-builds:octo:hello.world": ("cancelBuilds", "octo", "hello.world"),
    }  # fmt: skip
    for scope, (name, *args) in calls.items():
        payload = {"createStatus": {"state": "success"}, "createComment": {"body": "x"}}.get(name)
        for other in calls:
            lone.scopes = (other,)
            assert ((await lone.call(name, *args, payload=payload)).status == 403) is (other != scope), (name, other)


async def test_without_configuration(database, clock):  # noqa: F811
    """Without an app what can be read is read, and what needs GitHub says that the app is not there."""
    async with support.running(database, clock, app=None, webhook_secrets=()) as world:
        await world.service.store.install("octo", support.INSTALLATION)
        assert (await world.call("builds")).body == {"builds": []}
        assert (await world.call("repository", "octo", "x")).body == {"installed": False}
        assert (await world.call("badge", "octo", "x", "main")).headers["x-taskcluster-status"] == "nogithub"
        assert (await world.call("createComment", "octo", "x", "1", payload={"body": "x"})).status == 404
        assert (await world.call("latest", "octo", "x", "main")).status == 404
        answer = await world.call("renderTaskclusterYml", payload={"body": config("one"), "fakeEvent": {"type": "github-push"}})
        assert answer.status == 200
        assert [loop.name for loop in world.service.loops] == ["expire-deliveries"] and world.service.fault() is None


# -- trying a file out


async def render(world, body, kind="github-push", action=None, **more):
    fake = {"type": kind, **({"action": action} if action else {}), **({"overrides": more.pop("overrides")} if "overrides" in more else {})}
    return await world.call("renderTaskclusterYml", payload={"body": body, "fakeEvent": fake, **more})


@pytest.mark.parametrize(
    ("kind", "action", "role"),
    [
        ("github-push", None, "branch:main"),
        ("github-pull-request", "opened", "pull-request"),
        ("github-pull-request-untrusted", "labeled", "pull-request-untrusted"),
        ("github-release", "published", "release:published"),
        ("github-release", "deleted", "release:deleted"),
        ("github-issue-comment", "created", "pull-request"),
    ],
)
async def test_render(lone, kind, action, role):
    """A file is rendered for each kind of event, with the role that its tasks would have, and nothing is created."""
    text = config("${tasks_for}").replace("name: ${tasks_for}", "name: '${tasks_for} ${event.sender.login}'")
    answer = await render(lone, text, kind, action, organization="acme", repository="rocket.js")
    assert answer.status == 200, answer.raw
    assert answer.body["scopes"][0] == f"assume:repo:github.com/acme/rocket.js:{role}"
    (entry,) = answer.body["tasks"]
    assert entry["task"]["metadata"]["name"].startswith(f"{kind} ") and entry["taskId"] == entry["task"]["taskGroupId"]
    assert await lone.builds() == []


async def test_render_with_overrides(lone):
    """Parts of the event can be replaced; its branch decides the role, and a comment's body the command."""
    answer = await render(lone, config("one"), overrides={"branch": "topic"})
    assert answer.body["scopes"][0].endswith(":branch:topic")
    text = config("one").replace("name: one", "name: 'x ${event.taskcluster_comment}'")
    comment = {"id": 1, "user": {"login": "x"}, "body": "/taskcluster run all"}
    answer = await render(lone, text, "github-issue-comment", "edited", overrides={"comment": comment})
    assert answer.body["tasks"][0]["task"]["metadata"]["name"] == "x run all"
    answer = await render(lone, config("one"), overrides={"ref": "refs/tags/v1"})
    assert answer.body["scopes"][0].endswith(":tag:v1")


@pytest.mark.parametrize(
    ("body", "more", "says"),
    [
        ("a: [", {}, "no valid YAML in line"),
        ("version: 1\ntasks: {$eval: 'x'}", {}, "unknown context value x"),
        ("version: 1\nx: 1", {}, "`/x`"),
        ("version: 1", {"overrides": {"repository": None}}, "/repository"),
        ("version: 1", {"overrides": {"branch": "é"}}, "printable ASCII"),
        (
            "version: 1",
            {"kind": "github-issue-comment", "action": "created", "overrides": {"comment": {"id": 1, "user": {"login": "x"}, "body": "hi"}}},
            "no command",
        ),
    ],
)
async def test_render_what_cannot_be(lone, body, more, says):
    """What is wrong with a file or an event is answered with 400 and where it is."""
    answer = await render(lone, body, **more)
    assert (answer.status, answer.code) == (400, "InputError") and says in answer.message, answer.message


async def test_render_tasks_in_the_same_way_as_for_events(lone):
    """Hooks alone, or nothing, make no tasks; ids differ from one rendering to the next, and hold within one."""
    assert (await render(lone, "version: 1\nhooks: [{name: a/b}]")).body["tasks"] == []
    text = "version: 1\ntasks: [{taskId: {$eval: 'as_slugid(\"a\")'}, extra: {same: {$eval: 'as_slugid(\"a\")'}, other: {$eval: 'as_slugid(\"b\")'}}}]"
    first, second = [(await render(lone, text)).body["tasks"][0] for _ in range(2)]
    assert first["taskId"] == first["task"]["extra"]["same"] != first["task"]["extra"]["other"]
    assert first["taskId"] != second["taskId"]


async def test_the_documented_file_makes_what_it_says(lone):
    """The file in the documentation makes a task for pushes and for new commits of pull requests, and for nothing else."""
    from tests.contract.test_docs import DOCS

    text = next(block for block in (DOCS / "github.md").read_text().split("```yaml\n") if block.startswith("version: 1")).partition("```")[0]
    for kind, action, count in (
        ("github-push", None, 1), ("github-pull-request", "opened", 1), ("github-pull-request-untrusted", "synchronize", 1),
        ("github-pull-request", "closed", 0), ("github-release", "published", 0), ("github-issue-comment", "created", 0),
    ):  # fmt: skip
        answer = await render(lone, text, kind, action)
        assert answer.status == 200 and len(answer.body["tasks"]) == count, (kind, answer.body)
    assert answer.body["scopes"][1] == "queue:route:checks"


async def test_only_so_many_files_at_once(lone):
    """Beyond a number of files at once, further ones are refused for now, so that nobody can fill the memory."""
    import asyncio

    answers = await asyncio.gather(*(render(lone, "version: 1") for _ in range(40)))
    assert {answer.status for answer in answers} == {200, 503} and (await render(lone, "version: 1")).status == 200


async def test_a_repository_that_was_renamed(lone):
    """Where GitHub sends the old name on to the new one, it is followed there, and to no other server."""
    from aiohttp import web

    from tcbox.services.github.hub import Refused

    async def moved(request):
        target = request.query.get("to") or f"{lone.bytes.url}/repos/octo/hello.world"
        raise web.HTTPMovedPermanently(target)

    lone.hub.app._router._frozen = False
    lone.hub.app.router.add_route("*", "/moved", moved)
    installation = lone.service.hub.installation(support.INSTALLATION)
    assert (await installation.ask("GET", "/moved"))["name"] == "hello.world"
    with pytest.raises(Refused):
        await installation.ask("GET", "/moved", to="http://127.0.0.1:1/x")
