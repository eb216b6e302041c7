"""From a webhook to tasks: what is created, with which scopes, and what is told when it cannot be."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tests.support import github as support
from tests.support.databases import database  # noqa: F401

migrations = support.MIGRATIONS

ROLE = "repo:github.com/octo/hello.world:branch:main"
CREATE = ("queue:create-task:low:proj/ci", "queue:create-task:project:none")
PULL = "repo:github.com/octo/hello.world:pull-request"


def config(*tasks: str, policy: str = "", more: str = "") -> str:
    """A file of version 1 with tasks of these names."""
    made = "".join(
        f"""
  - taskQueueId: proj/ci
    priority: low
    deadline: {{$fromNow: '1 day'}}
    payload: {{command: [["true"]]}}
    metadata: {{name: {name}, description: a test, owner: o@example.com, source: 'https://example.com'}}"""
        for name in tasks
    )
    return f"version: 1\n{policy}{more}tasks:{made or ' []'}\n"


@pytest_asyncio.fixture
async def world(database, clock):  # noqa: F811
    async with support.running(database, clock) as made:
        yield made


@pytest_asyncio.fixture
async def lone(tmp_path, clock):
    """The same on SQLite alone, for rules that do not touch what is stored."""
    async with support.alone(tmp_path, clock) as made:
        yield made


async def test_a_push_makes_tasks(world):
    """A push makes a group of tasks with the branch's role, by the scheduler and routes that results come back by."""
    await world.grant(ROLE, *CREATE)
    delivery = await world.deliver("push", world.push(config("one")))
    (build,) = await world.builds()
    assert build["eventId"] == delivery and build["state"] == "pending" and build["repository"] == "hello%world"
    (entry,) = await world.group(build["taskGroupId"])
    assert entry["status"]["taskId"] == build["taskGroupId"], "a single task is the first of its group"
    assert (entry["task"]["schedulerId"], entry["task"]["routes"]) == ("taskcluster-github", ["statuses"])
    messages = await world.messages()
    assert [event.exchange.rpartition("/")[2] for event in messages] == ["push", "task-group-creation-requested"]
    assert [event.routing_key for event in messages] == ["primary.octo.hello%world"] * 2
    assert messages[1].cc == ("statuses",)
    assert world.repo.comments == []
    assert [(status["state"], status["context"]) for status in world.repo.statuses] == [("pending", "Taskcluster (push)")]


async def test_several_tasks_are_created_after_those_they_need(world):
    """Tasks are created in an order in which each finds those that it depends on, in one group that is none's own."""
    await world.grant(ROLE, *CREATE)
    text = config("late", "early").replace(
        "metadata: {name: late", 'taskId: {$eval: as_slugid("late")}\n    dependencies: [{$eval: as_slugid("early")}]\n    metadata: {name: late'
    )
    text = text.replace("metadata: {name: early", 'taskId: {$eval: as_slugid("early")}\n    metadata: {name: early')
    await world.deliver("push", world.push(text))
    (build,) = await world.builds()
    tasks = await world.group(build["taskGroupId"])
    assert [entry["task"]["metadata"]["name"] for entry in tasks] == ["early", "late"]
    assert build["taskGroupId"] not in [entry["status"]["taskId"] for entry in tasks]
    assert tasks[1]["task"]["dependencies"] == [tasks[0]["status"]["taskId"]]


async def test_a_redelivery_makes_nothing_twice(world):
    """The same delivery again, later, finds its tasks there; another delivery of the same commit makes others."""
    await world.grant(ROLE, *CREATE)
    body = world.push(config("one", "two"))
    delivery = await world.deliver("push", body)
    world.clock.advance(3 * clocks.HOUR)
    await world.deliver("push", body, delivery=delivery)
    (build,) = await world.builds()
    assert len(await world.group(build["taskGroupId"])) == 2
    assert world.repo.comments == []
    await world.deliver("push", body)
    assert len(await world.builds()) == 2


async def test_a_missing_scope_is_told_and_mended_by_a_redelivery(world):
    """The comment names the scope, the role and the task; once the role has it, a redelivery days later makes the tasks."""
    body = world.push(config("one"))
    delivery = await world.deliver("push", body)
    (comment,) = world.repo.comments
    assert comment["sha"] == body["after"]
    assert f"The role `{ROLE}` lacks scopes for creating the task `one`" in comment["body"]
    assert "`queue:create-task:low:proj/ci`" in comment["body"] and "`repo:github.com/octo/hello.world:*`" in comment["body"]
    assert [build["state"] for build in await world.builds()] == ["error"]
    await world.deliver("push", body, delivery=delivery)
    assert len(world.repo.comments) == 1, "the same is not told twice"
    world.clock.advance(2 * clocks.DAY)
    await world.grant(ROLE, *CREATE)
    await world.deliver("push", body, delivery=delivery)
    (build,) = await world.builds()
    assert build["state"] == "pending" and len(await world.group(build["taskGroupId"])) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version: 1\ntasks: [", "no valid YAML in line"),
        ("version: 1\nversion: 1\n", "the key 'version' is there twice"),
        ("version: 2\n", "`version` must be 1"),
        ("- a\n", "must hold a mapping"),
        ("version: 1\npolicy: {pullRequests: everybody}\n", "`/policy/pullRequests`"),
        ("version: 1\ntasks: [{$eval: nothing.here}]\n", "unknown context value nothing"),
        ("version: 1\ntasks: {a: 1}\n", "must be a list of tasks"),
        ("version: 1\na: &a [b, *a]\n", "holds itself"),
        ("version: 1\ntasks: {$map: {$eval: 'range(0, 1000000000)'}, each(x): {a: 1}}\n", "takes"),
        (config("one").replace("taskQueueId: proj/ci", "taskQueueId: 'no such!'"), "The queue does not take the task `one`"),
    ],
)  # fmt: skip
async def test_a_bad_file_is_told_where_and_why(lone, text, says):
    """What is wrong with a file is told by a comment on its commit, and no tasks are made."""
    await lone.grant(ROLE, *CREATE)
    body = lone.push(text)
    await lone.deliver("push", body)
    (comment,) = lone.repo.comments
    assert comment["sha"] == body["after"] and says in comment["body"], comment["body"]


@pytest.mark.parametrize(
    "text", [None, "version: 1\ntasks: []\n", "version: 1\n", "version: 1\ntasks:\n  - $if: 'tasks_for == \"github-release\"'\n    then: {a: 1}\n"]
)
async def test_nothing_to_do(lone, text):
    """Without a file, or with one that makes nothing, nothing happens and nothing is told."""
    await lone.deliver("push", lone.push(text))
    assert (await lone.builds(), lone.repo.comments, lone.repo.statuses) == ([], [], [])


async def test_a_deleted_branch_makes_nothing(world):
    """The push that deletes a branch is let be."""
    await world.deliver("push", world.push(config("one"), deleted=True, after="0" * 40))
    assert (await world.builds(), world.repo.comments) == ([], [])


# -- roles


async def test_roles_of_tags_releases_and_branches(world):
    """A tag, a release and a branch each come with a role of their own."""
    tagged = {**world.push(config("tagged")), "ref": "refs/tags/v1.0"}
    await world.grant("repo:github.com/octo/hello.world:tag:v1.0", *CREATE)
    await world.deliver("push", tagged)
    from tcbox.services.github import samples

    world.repo.commit(config("released"), "main")
    await world.grant("repo:github.com/octo/hello.world:release:published", *CREATE)
    release = samples.event("github-release", "published", "octo", "hello.world", {}) | {"installation": {"id": support.INSTALLATION}}
    await world.deliver("release", release)
    await world.deliver("release", release | {"action": "edited"})
    builds = await world.builds()
    assert [(build["eventType"], build["state"]) for build in builds] == [("tag", "pending"), ("release", "pending"), ("release", "error")]
    assert "release:edited` lacks" in world.repo.comments[0]["body"]


async def test_a_branch_that_no_scope_can_name(lone):
    """A branch whose name scopes cannot have is told, and has no tasks."""
    await lone.deliver("push", lone.push(config("one"), branch="käse"))
    assert "printable ASCII" in lone.repo.comments[0]["body"]


async def test_a_task_gets_no_more_than_its_role_has(world):
    """A file cannot give its tasks scopes that the repository's role lacks, though the service itself has many."""
    await world.grant(ROLE, *CREATE)
    text = config("one").replace(
        "priority: low", "priority: low\n    scopes: ['queue:get-artifact:public/logs/live_backing.log', 'assume:repo:github.com/other/x:*']"
    )
    await world.deliver("push", world.push(text))
    (comment,) = world.repo.comments
    assert "`assume:repo:github.com/other/x:*`" in comment["body"]
    assert [build["state"] for build in await world.builds()] == ["error"]


# -- policies


@pytest.mark.parametrize(
    ("policy", "who", "role", "told"),
    [
        ("public", "stranger", "pull-request", False),
        ("public_restricted", "stranger", "pull-request-untrusted", False),
        ("public_restricted", "member", "pull-request", False),
        ("collaborators", "stranger", None, True),
        ("collaborators", "member", "pull-request", False),
        ("collaborators_quiet", "stranger", None, False),
        ("collaborators_quiet", "member", "pull-request", False),
        ("", "stranger", None, True),
    ],
)
async def test_policies(lone, policy, who, role, told):
    """Who opens a pull request decides, by the default branch's policy, which role its tasks have, if there are any."""
    await lone.grant("repo:github.com/octo/hello.world:pull-request", *(CREATE if role == "pull-request" else ()))
    await lone.grant("repo:github.com/octo/hello.world:pull-request-untrusted", *(CREATE if role == "pull-request-untrusted" else ()))
    lone.repo.collaborators = {"member"}
    lone.repo.commit(config("x", policy=f"policy: {{pullRequests: {policy}}}\n" if policy else ""), "main")
    # what the pull request itself says of policies does not count
    await lone.deliver("pull_request", lone.pull(config("one", policy="policy: {pullRequests: public}\n"), opener=who))
    builds = await lone.builds()
    assert [build["state"] for build in builds] == (["pending"] if role else [])
    assert [comment["number"] for comment in lone.repo.comments] == ([1] if told else [])
    assert not told or "No Taskcluster jobs started" in lone.repo.comments[0]["body"]


async def test_a_members_pull_request_with_a_strangers_commits(world):
    """A collaborator who opens a pull request with a stranger's commits is not trusted with them; one from the repository is."""
    await world.grant(PULL, *CREATE)
    world.repo.collaborators = {"member"}
    world.repo.commit(config("x"), "main")
    await world.deliver("pull_request", world.pull(config("one"), opener="member", head="stranger"))
    assert await world.builds() == []
    await world.deliver("pull_request", world.pull(config("two"), opener="member", head="octo", number=2))
    assert len(await world.builds()) == 1


async def test_a_new_repository_lets_its_members_try(world):
    """Without a file on the default branch, pull requests of collaborators make tasks, others none, and nobody is told off."""
    await world.grant(PULL, *CREATE)
    world.repo.commit(None, "main")
    await world.deliver("pull_request", world.pull(config("one"), opener="stranger"))
    assert (await world.builds(), world.repo.comments) == ([], [])
    world.repo.collaborators = {"member"}
    await world.deliver("pull_request", world.pull(config("two"), opener="member", number=2))
    assert len(await world.builds()) == 1


# -- comments as commands


async def test_a_members_comment_makes_tasks(world):
    """A collaborator's `/taskcluster x` makes tasks that see the command and the pull request, with the trusted role."""
    await world.grant(PULL, *CREATE)
    world.repo.collaborators = {"member"}
    world.repo.commit(config("x", policy="policy: {allowComments: collaborators}\n"), "main")
    text = config("one").replace("name: one", "name: '${event.taskcluster_comment} for ${event.pull_request.number} by ${tasks_for}'")
    world.pull(text, number=3)
    await world.deliver("issue_comment", world.comment("please\r\n/taskcluster  do it \r\nthanks", author="member", number=3))
    (build,) = await world.builds()
    (entry,) = await world.group(build["taskGroupId"])
    assert entry["task"]["metadata"]["name"] == "do it for 3 by github-issue-comment"
    assert (build["pullRequestNumber"], build["eventType"]) == (3, "issue_comment.created")
    assert world.repo.reactions == [(800, "+1")]


@pytest.mark.parametrize(("policy", "author", "reaction"), [("", "member", "confused"), ("policy: {allowComments: collaborators}\n", "stranger", "eyes")])
async def test_comments_that_do_not_count(lone, policy, author, reaction):
    """Where comments do not count, or not this author's, the author is told."""
    lone.repo.collaborators = {"member"}
    lone.repo.commit(config("x", policy=policy), "main")
    lone.pull(config("one"))
    await lone.deliver("issue_comment", lone.comment("/taskcluster x", author=author))
    assert await lone.builds() == []
    assert lone.repo.reactions == [(800, reaction)] and lone.repo.comments[0]["number"] == 1


# -- superseded builds


async def test_a_new_commit_cancels_the_tasks_of_the_one_before(world):
    """A new commit of a pull request cancels the tasks of the earlier one, and no others."""
    await world.grant("repo:github.com/octo/hello.world:*", *CREATE)
    world.repo.commit(config("x", policy="policy: {pullRequests: public}\n"), "main")
    await world.deliver("pull_request", world.pull(config("first")))
    await world.deliver("pull_request", world.pull(config("other"), number=2))
    await world.deliver("pull_request", world.pull(config("labeled"), action="labeled"))
    await world.deliver("push", world.push(config("pushed"), branch="topic"))
    await world.deliver("pull_request", world.pull(config("second"), action="synchronize"))
    states = {}
    for build in await world.builds():
        (entry,) = await world.group(build["taskGroupId"])
        states[entry["task"]["metadata"]["name"]] = (build["state"], entry["status"]["state"])
    assert states.pop("first") == ("cancelled", "exception")
    assert set(states) == {"other", "labeled", "pushed", "second"} and set(states.values()) == {("pending", "pending")}


async def test_a_file_may_keep_earlier_tasks(world):
    """With `autoCancelPreviousChecks: false` nothing is canceled."""
    await world.grant("repo:github.com/octo/hello.world:*", *CREATE)
    world.repo.commit(config("x", policy="policy: {pullRequests: public}\n"), "main")
    await world.deliver("pull_request", world.pull(config("first")))
    await world.deliver("pull_request", world.pull(config("second", more="autoCancelPreviousChecks: false\n"), action="synchronize"))
    assert [build["state"] for build in await world.builds()] == ["pending", "pending"]


@pytest.mark.parametrize(("option", "states"), [(False, ["pending", "pending", "pending"]), (True, ["pending", "cancelled", "pending"])])
async def test_pushes_cancel_earlier_ones_where_that_is_set(database, clock, option, states):  # noqa: F811
    """With `cancel_pushes` a push to a branch other than the default one cancels its earlier tasks; without, none."""
    async with support.running(database, clock, cancel_pushes=option) as world:
        await world.grant("repo:github.com/octo/hello.world:*", *CREATE)
        for branch in ("main", "topic", "main", "topic"):
            await world.deliver("push", world.push(config("one"), branch=branch))
        builds = sorted(await world.builds(), key=lambda build: build["created"])
        assert [build["state"] for build in builds][1:] == [states[1], "pending", "pending"]
        assert builds[0]["state"] == "pending"


async def test_the_role_may_lack_the_right_to_cancel(world):
    """Where the tasks of earlier commits are of another scheduler that the role may not cancel, that is told."""
    await world.grant("repo:github.com/octo/hello.world:*", *CREATE, "queue:scheduler-id:own")
    world.repo.commit(config("x", policy="policy: {pullRequests: public}\n"), "main")
    await world.deliver("pull_request", world.pull(config("first").replace("priority", "schedulerId: own\n    priority")))
    await world.deliver("pull_request", world.pull(config("second"), action="synchronize"))
    (comment,) = world.repo.comments
    assert "`repo:github.com/octo/hello.world:*` lacks a scope for canceling" in comment["body"] and "queue:seal-task-group:own/" in comment["body"]


# -- version 0

V0 = """
version: 0
allowPullRequests: public
metadata: {name: n, description: d, owner: o@example.com, source: 'https://example.com'}
tasks:
  - provisionerId: '{{ taskcluster.docker.provisionerId }}'
    workerType: '{{ taskcluster.docker.workerType }}'
    payload: {maxRunTime: 60, env: {OWN: '1'}}
    extra: {github: {env: true, events: [push, pull_request.*], branches: [main]}}
    metadata: {name: 'build {{ event.head.repo.branch }}', description: d, owner: '{{ event.head.user.email }}', source: '{{event.head.repo.url}}'}
  - provisionerId: proj
    workerType: ci
    payload: {}
    extra: {github: {events: [release]}}
    metadata: {name: other, description: d, owner: o@example.com, source: 'https://example.com'}
  - provisionerId: proj
    workerType: ci
    payload: {}
    metadata: {name: no github at all, description: d, owner: o@example.com, source: 'https://example.com'}
"""


async def test_version_0(world):
    """A file of version 0 has its parameters filled in, and only the tasks for this event and branch."""
    await world.grant("repo:github.com/octo/hello.world:*", "queue:create-task:lowest:local/docker", "queue:create-task:project:none")
    world.hub.users["octo-dev"] = "octo@example.org"
    body = world.push(V0)
    await world.deliver("push", body)
    (build,) = await world.builds()
    (entry,) = await world.group(build["taskGroupId"])
    task = entry["task"]
    assert (task["taskQueueId"], task["metadata"]["name"], task["metadata"]["owner"]) == ("local/docker", "build main", "octo@example.org")
    assert task["payload"]["env"] | {"OWN": "1", "GITHUB_EVENT": "push", "GITHUB_BRANCH": "main", "GITHUB_HEAD_SHA": body["after"]} == task["payload"]["env"]
    assert clocks.from_wire(task["deadline"]) - clocks.from_wire(task["created"]) == clocks.DAY
    await world.deliver("push", world.push(V0, branch="topic"))
    assert len(await world.builds()) == 1
    await world.deliver("pull_request", world.pull(V0))
    assert len(await world.builds()) == 2


# -- hooks


async def test_hooks_need_a_scope_of_their_own(world):
    """A hook is fired only with `github:trigger-hook:` in the role; what is missing is told, and no build is left."""
    text = "version: 1\nhooks: [{name: group/hook, context: {a: 1}}]\n"
    await world.deliver("push", world.push(text))
    assert f"The role `{ROLE}` lacks a scope for firing the hook `group/hook`" in world.repo.comments[0]["body"]
    assert "`github:trigger-hook:group/hook`" in world.repo.comments[0]["body"]
    await world.grant(ROLE, "github:trigger-hook:group/hook")
    await world.deliver("push", world.push(text + "# again\n"))
    assert "no hooks service" in world.repo.comments[1]["body"] and await world.builds() == []


async def test_hooks_are_fired_with_the_event(world):
    """A hook gets the event, its context and the id of the group; its tasks then belong to the build."""
    fired = []

    class Hooks:
        async def call(self, service, method, *args, payload=None, query=None):
            if service != "hooks":
                return await world_caller.call(service, method, *args, payload=payload, query=query)
            fired.append((self.scopes, args, payload))
            return {"taskId": payload["taskId"]}

        def limited(self, scopes):
            made = Hooks()
            made.scopes = scopes
            return made

    creating = world.service._creating
    world_caller, creating._caller = creating._caller, Hooks()
    await world.grant(ROLE, "github:trigger-hook:group/*")
    body = world.push("version: 1\nhooks: [{name: group/hook/x, context: {a: 1}}]\n")
    await world.deliver("push", body)
    (build,) = await world.builds()
    ((scopes, args, payload),) = fired
    assert (scopes, args) == (["hooks:trigger-hook:group/hook/x"], ("group", "hook/x"))
    assert payload["taskId"] == build["taskGroupId"] and payload["context"] == {"a": 1} and payload["event"] == body
    assert (payload["tasks_for"], payload["taskcluster_root_url"]) == ("github-push", support.ROOT_URL)
