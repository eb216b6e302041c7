"""A running instance and GitHub, from the webhook to the green check."""

from __future__ import annotations

import contextlib
import secrets
import time
import uuid

import pytest
import requests
import taskcluster

from tcbox.services.github import samples
from tests.simulators import tokens
from tests.simulators.github_api import GithubApi, deliver
from tests.simulators.serving import apart
from tests.support import shared
from tests.support.vendors import HOOK_SECRET

CREATE = ["queue:create-task:low:local/host", "queue:create-task:project:none"]


def config(policy: str = "", reporting: str = "reporting: checks-v1", command: str = "echo hello from GitHub") -> str:
    return f"""
version: 1
{reporting}
{policy}
tasks:
  $let:
    head: {{$if: 'tasks_for == "github-push"', then: '${{event.after}}', else: '${{event.pull_request.head.sha}}'}}
  in:
    - taskQueueId: local/host
      priority: low
      deadline: {{$fromNow: '1 hour'}}
      payload: {{command: [["sh", "-c", "{command}"]], maxRunTime: 60}}
      metadata: {{name: hello, description: 'of ${{head}}', owner: o@example.com, source: 'https://example.com'}}
"""


class Site:
    """An instance, a simulated GitHub, and a repository on it."""

    def __init__(self, box, hub) -> None:
        self.box = box
        self.hub = hub
        self.installation = 1000 + secrets.randbelow(10**9)
        self.owner = f"octo-{self.installation}"
        self.name = f"{self.owner}/hello"
        self.auth = taskcluster.Auth(box.options)
        self.queue = taskcluster.Queue(box.options)
        self.github = taskcluster.Github(box.options)
        self.repo = hub.install(self.owner, self.installation, "hello")[0]

    def send(self, event: str, body: dict, delivery: str | None = None) -> requests.Response:
        raw, headers = deliver(HOOK_SECRET, event, {**body, "installation": {"id": self.installation}}, delivery or str(uuid.uuid4()))
        return requests.post(f"{self.box.root_url}/api/github/v1/github", data=raw, headers=headers, timeout=30)

    def push(self, text: str, branch: str = "main") -> dict:
        body = samples.event("github-push", None, self.owner, "hello", {"branch": branch})
        return {**body, "after": self.repo.commit(text, branch)}

    def pull(self, text: str, opener: str, number: int) -> dict:
        body = samples.event("github-pull-request", "opened", self.owner, "hello", {"number": number})
        pull = body["pull_request"]
        pull |= {"number": number, "user": {"login": opener}}
        pull["head"] |= {"sha": self.repo.commit(text, None), "user": {"login": opener}}
        self.repo.pulls[number] = pull
        return body

    def builds(self) -> list[dict]:
        return self.github.builds(query={"organization": self.owner})["builds"]

    def until(self, done, seconds: float = 30):
        """The first true answer; the log when there is none in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := done():
                return found
            time.sleep(0.05)
        raise AssertionError(self.box.log_tail(80))


@contextlib.contextmanager
def settings(folder):
    """GitHub, and the settings of an instance that knows it."""
    if shared.WANTED:
        yield shared.shared().vendors.hub, ""
        return
    pem, public = tokens.key_pair()
    (folder / "key.pem").write_text(pem)
    hub = GithubApi("4711", public)
    with apart(hub.app) as url:
        yield (
            hub,
            f"""
services:
  github:
    app_id: "4711"
    private_key: ${{file:{folder / "key.pem"}}}
    webhook_secrets: [{HOOK_SECRET}]
    endpoint: {url}
    status_context: Our CI
""",
        )


@pytest.fixture
def site(make_box, tmp_path):
    with settings(tmp_path) as (hub, config):
        box = make_box(f"workers: {{docker: {{enabled: false}}, builtin: {{enabled: false}}}}\n{config}")
        yield Site(box, hub)
        box.stop()


@pytest.mark.contract
def test_a_push_turns_green(site):
    """A push makes a task, the task runs on this machine, and its check run turns green with the log; a redelivery makes nothing."""
    site.auth.createRole(f"repo:github.com/{site.name}:branch:main", {"description": "", "scopes": CREATE})
    body, delivery = site.push(config()), str(uuid.uuid4())
    assert site.send("push", body, delivery).status_code == 204
    run = site.until(lambda: next((run for run in site.repo.checks() if run["status"] == "completed"), None))
    assert (run["conclusion"], run["head_sha"], run["name"], run["output"]["title"]) == ("success", body["after"], "hello", "Our CI (push)")
    assert run["seen"][0] in ("queued", "in_progress", "success") and run["seen"][-1] == "success"
    assert "hello from GitHub" in run["output"]["text"] and run["output"]["summary"] == f"of {body['after']}"
    assert requests.get(run["details_url"], timeout=10).status_code == 200
    site.until(lambda: [build["state"] for build in site.builds()] == ["success"])
    assert site.send("push", body, delivery).status_code == 204
    time.sleep(1)
    (build,) = site.builds()
    assert len(site.queue.listTaskGroup(build["taskGroupId"])["tasks"]) == 1 and site.repo.comments == []


@pytest.mark.contract
def test_a_failure_turns_red_and_is_run_again(site):
    """A task that fails turns its check red; GitHub's button runs it again, with the role for that."""
    site.auth.createRole(f"repo:github.com/{site.name}:*", {"description": "", "scopes": [*CREATE, "queue:rerun-task:taskcluster-github/*"]})
    flag = site.box.folder / "flag"
    site.send("push", site.push(config(command=f"test -e {flag} || exit 7")))
    run = site.until(lambda: next((run for run in site.repo.checks() if run["status"] == "completed"), None))
    assert run["conclusion"] == "failure"
    flag.touch()
    body = {
        "action": "rerequested", "repository": {"name": "hello", "full_name": site.name, "owner": {"login": site.owner}}, "sender": {"login": "x", "type": "User"},
        "check_run": {"id": run["id"], "head_sha": run["head_sha"], "status": "completed", "conclusion": "failure", "name": "hello", "pull_requests": [],
                      "check_suite": {"id": 77, "head_sha": run["head_sha"]}},
    }  # fmt: skip
    assert site.send("check_run", body).status_code == 204
    site.until(lambda: any(run["conclusion"] == "success" for run in site.repo.checks()))
    assert [run["conclusion"] for run in site.repo.checks()] == ["failure", "success"]


@pytest.mark.contract
def test_an_outsiders_pull_request(site):
    """A stranger's pull request makes tasks, tasks of a lesser role, a comment or nothing, as the default branch's policy says."""
    site.auth.createRole(f"repo:github.com/{site.name}:pull-request", {"description": "", "scopes": CREATE})
    outcomes = {}
    for number, policy in enumerate(("public", "public_restricted", "collaborators", "collaborators_quiet"), 1):
        site.repo.commit(config(f"policy: {{pullRequests: {policy}}}"))
        site.send("pull_request", site.pull(config(), "stranger", number))
        site.send("pull_request", site.pull(config(command="true"), "member", 10 + number))
        site.repo.collaborators = {"member"}
        site.until(lambda: [build for build in site.github.builds()["builds"] if build.get("pullRequestNumber") == 10 + number])  # noqa: B023
        time.sleep(0.5)
        states = [build["state"] for build in site.github.builds()["builds"] if build.get("pullRequestNumber") == number]
        outcomes[policy] = ("error" if "error" in states else "made" if states else "none", len([c for c in site.repo.comments if c.get("number") == number]))
    assert outcomes == {"public": ("made", 0), "public_restricted": ("error", 1), "collaborators": ("none", 1), "collaborators_quiet": ("none", 0)}
    told = next(comment["body"] for comment in site.repo.comments if comment.get("number") == 2)
    assert f"The role `repo:github.com/{site.name}:pull-request-untrusted` lacks scopes" in told


@pytest.mark.contract
def test_a_missing_scope_is_told(site):
    """The comment says which scopes the role lacks for which task; with them a redelivery makes the task."""
    site.auth.createRole(f"repo:github.com/{site.name}:branch:main", {"description": "", "scopes": CREATE[:1]})
    body, delivery = site.push(config(reporting="")), str(uuid.uuid4())
    site.send("push", body, delivery)
    (comment,) = site.until(lambda: site.repo.comments)
    assert f"The role `repo:github.com/{site.name}:branch:main` lacks a scope for creating the task `hello`" in comment["body"]
    assert "* `queue:create-task:project:none`" in comment["body"] and comment["sha"] == body["after"]
    site.auth.updateRole(f"repo:github.com/{site.name}:branch:main", {"description": "", "scopes": CREATE})
    site.send("push", body, delivery)
    site.until(lambda: site.repo.statuses and site.repo.statuses[0]["state"] == "success")
    assert {status["context"] for status in site.repo.statuses} == {"Our CI (push)"} and site.repo.checks() == []


@pytest.mark.contract
def test_a_hook(site):
    """A push fires a hook, whose task sees the event, belongs to the build and has its check run turn green; a redelivery fires none."""
    hooks = taskcluster.Hooks(site.box.options)
    site.auth.createRole("hook-id:project/decision", {"description": "", "scopes": [*CREATE, "queue:route:checks", "queue:scheduler-id:hooks"]})
    site.auth.createRole(f"repo:github.com/{site.name}:*", {"description": "", "scopes": ["github:trigger-hook:project/decision"]})
    task = {
        "taskQueueId": "local/host", "priority": "low", "routes": ["checks"], "schedulerId": "hooks", "created": {"$fromNow": "0 seconds"},
        "deadline": {"$fromNow": "1 hour"}, "payload": {"command": [["sh", "-c", "echo ${payload.context.word} ${payload.event.after}"]], "maxRunTime": 60},
        "metadata": {"name": "decision", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
    }  # fmt: skip
    schema = {"type": "object", "additionalProperties": True}
    hook = {"metadata": {"name": "n", "description": "d", "owner": "o@example.com"}, "task": task, "triggerSchema": schema}
    hooks.createHook("project", "decision", hook)
    body, delivery = site.push("version: 1\nhooks: [{name: project/decision, context: {word: so}}]\n"), str(uuid.uuid4())
    site.send("push", body, delivery)
    run = site.until(lambda: next((run for run in site.repo.checks() if run["status"] == "completed"), None))
    assert (run["conclusion"], run["name"]) == ("success", "decision") and f"so {body['after']}" in run["output"]["text"]
    site.until(lambda: [build["state"] for build in site.builds()] == ["success"])
    site.send("push", body, delivery)
    time.sleep(1)
    assert len(hooks.listLastFires("project", "decision")["lastFires"]) == 1 and site.repo.comments == [] and site.repo.statuses == []


def test_kill_in_the_middle(site):
    """After a kill -9 right upon the webhook, the next start makes the tasks, once."""
    site.auth.createRole(f"repo:github.com/{site.name}:*", {"description": "", "scopes": CREATE})
    for number in range(3):
        assert site.send("push", site.push(config(command=f"echo {number}"), branch=f"b{number}")).status_code == 204
    site.box.kill()
    site.box.start()
    site.until(lambda: [run["conclusion"] for run in site.repo.checks()] == ["success"] * 3, 60)
    assert len(site.github.builds()["builds"]) == 3 and site.repo.comments == []


@pytest.mark.contract
def test_every_method_of_the_published_client(site):
    """The published client library calls every method of the service."""
    site.auth.createRole(f"repo:github.com/{site.name}:*", {"description": "", "scopes": CREATE})
    site.send("push", site.push(config(reporting="", command="sleep 30")))
    (build,) = site.until(site.builds)
    site.until(lambda: site.repo.statuses)
    assert site.github.ping()["alive"] and site.github.lbheartbeat() == {} and "version" in site.github.version() and site.github.heartbeat() == {}
    account = {"login": site.owner, "id": 1, "type": "Organization"}
    installed = {"id": site.installation, "account": account, "repository_selection": "all", "target_id": 1, "target_type": "Organization"}
    raw, headers = deliver(HOOK_SECRET, "installation", {"action": "created", "installation": installed, "sender": {"login": "x"}}, str(uuid.uuid4()))
    assert requests.post(f"{site.box.root_url}/api/github/v1/github", data=raw, headers=headers, timeout=30).text == "Created table row!"
    assert site.github.repository(site.owner, "hello") == {"installed": True}
    query = {"organization": site.owner, "repository": "hello", "sha": build["sha"]}
    assert site.github.builds(query=query)["builds"] == [build]
    url = taskcluster.Github({"rootUrl": site.box.root_url}).buildUrl("badge", site.owner, "hello", "main")
    badge = requests.get(url, timeout=10)
    assert (badge.status_code, badge.headers["content-type"], badge.headers["x-taskcluster-status"]) == (200, "image/svg+xml", "pending")
    latest = requests.get(site.github.buildUrl("latest", site.owner, "hello", "main"), timeout=10, allow_redirects=False)
    assert (latest.status_code, latest.headers["location"]) == (302, f"{site.box.root_url}/tasks/groups/{build['taskGroupId']}")
    site.repo.pulls[1] = {}
    site.github.createComment(site.owner, "hello", "1", {"body": "hi"})
    site.github.createStatus(site.owner, "hello", build["sha"], {"state": "success", "context": "x"})
    assert site.repo.comments[0]["body"] == "hi" and site.repo.statuses[0]["context"] == "x"
    rendered = site.github.renderTaskclusterYml({"body": config(), "fakeEvent": {"type": "github-push"}})
    assert len(rendered["tasks"]) == 1
    assert [each["state"] for each in site.github.cancelBuilds(site.owner, "hello", query={"sha": build["sha"]})["builds"]] == ["cancelled"]


def test_without_configuration(quiet_box):
    """Without settings the service runs, refuses webhooks with what to set, and renders files."""
    raw, headers = deliver("x", "push", {}, str(uuid.uuid4()))
    answer = requests.post(f"{quiet_box.root_url}/api/github/v1/github", data=raw, headers=headers, timeout=10)
    assert answer.status_code == 400 and "services.github.webhook_secrets" in answer.text
    github = taskcluster.Github({"rootUrl": quiet_box.root_url})
    assert len(github.renderTaskclusterYml({"body": config(), "fakeEvent": {"type": "github-push"}})["tasks"]) == 1
    assert taskcluster.Github(quiet_box.options).heartbeat() == {}
