"""From an event of GitHub to the message that announces it. Pure.

Source: GitHub's documentation of webhook events; the published schemas of the github service's messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tcbox.events import Exchange
from tcbox.services.github import events, names

SCHEMAS = {
    "pull_request": "webhook-pull-request-payload",
    "push": "webhook-push-payload",
    "issue_comment": "webhook-issue-comment-payload",
    "release": "webhook-release-payload",
    "installation": "webhook-installation-payload",
    "check_run": "webhook-check-run-payload",
}
"""The schema of each kind of event that something is read from."""

PUSH, PULL_REQUEST, UNTRUSTED, RELEASE, COMMENT = (
    "github-push", "github-pull-request", "github-pull-request-untrusted", "github-release", "github-issue-comment",
)  # fmt: skip

_SKIP = re.compile(r"\[(skip ci|ci skip)\]", re.IGNORECASE)
_COMMAND = re.compile(r"^[^\S\n]*/taskcluster\s+(.+)$", re.MULTILINE)
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Skip:
    """An event for which there is nothing to do; GitHub shows the reason beside the delivery."""

    reason: str


@dataclass(frozen=True, slots=True)
class Announce:
    """A message, without what comes of its delivery (`version`, `eventId`, `installationId`, the user's address)."""

    exchange: Exchange
    message: dict[str, Any]

    @property
    def user(self) -> str:
        """Who did it."""
        return str(self.message["details"]["event.head.user.login"])


def read(kind: str, body: Body) -> Skip | Announce:
    """What an event calls for; its body fits its kind's schema."""
    make = _READERS.get(kind)
    return make(body) if make is not None else Skip(f"No publisher available for X-GitHub-Event: {kind}")


def command(comment: str) -> str | None:
    """What a comment has after `/taskcluster`, if it has that on a line."""
    found = _COMMAND.search(comment)
    return found[1].strip() if found else None


def skips_commit(body: Body) -> bool:
    """Whether the latest commit of a push says that no tasks are wanted."""
    commits, head = body.get("commits") or [], body.get("head_commit")
    last = head if head and head.get("message") else commits[-1] if commits else None
    return last is not None and _SKIP.search(str(last.get("message", ""))) is not None


def _pull_request(body: Body) -> Skip | Announce:
    pull = body["pull_request"]
    if _SKIP.search(str(pull.get("title") or "")):
        return Skip("Skipping pull_request event")
    more = {"action": body["action"], "branch": pull["head"]["ref"]}
    return _announce(events.pull_request, body, PULL_REQUEST, pull_request_details(body), more)


def _push(body: Body) -> Skip | Announce:
    if skips_commit(body):
        return Skip("Skipping push event")
    return _announce(events.push, body, PUSH, push_details(body), {"branch": ref_name(body["ref"])})


def _release(body: Body) -> Skip | Announce:
    return _announce(events.release, body, RELEASE, release_details(body), {"branch": body["release"]["target_commitish"]})


def _issue_comment(body: Body) -> Skip | Announce:
    issue = body["issue"]
    wanted = body["action"] in ("created", "edited") and issue.get("pull_request") and issue["state"] == "open"
    if not wanted or command(body["comment"]["body"]) is None:
        return Skip("Skipping issue_comment event")
    more = {"action": body["action"], "branch": "unknown"}
    return _announce(events.pull_request, body, COMMENT, comment_details(body), more)


def _check_run(body: Body) -> Skip | Announce:
    if body["action"] != "rerequested":
        return Skip("Only rerequested for check runs is supported")
    if str(body["sender"].get("type", "")).lower() == "bot":
        return Skip("Skipping rerequested event started by bot")
    run = body["check_run"]
    details = {"event.head.user.login": body["sender"]["login"], "event.head.repo.name": body["repository"]["name"], "event.check.name": run["name"]}
    return _announce(events.rerun, body, PUSH, details, {"checkRunId": run["id"], "checkSuiteId": run["check_suite"]["id"]})


_READERS: dict[str, Callable[[Body], Skip | Announce]] = {
    "pull_request": _pull_request,
    "push": _push,
    "release": _release,
    "issue_comment": _issue_comment,
    "check_run": _check_run,
    "ping": lambda _: Skip("Received ping event!"),
}


def _announce(exchange: Exchange, body: Body, tasks_for: str, details: dict[str, Any], more: dict[str, Any]) -> Announce:
    repository = body["repository"]
    owner = repository["owner"].get("login") or repository["owner"].get("name") or repository["full_name"].partition("/")[0]
    name = repository.get("name") or repository["full_name"].partition("/")[2]
    message = {
        "organization": names.encoded(owner), "repository": names.encoded(name), "tasks_for": tasks_for,
        "details": {key: value for key, value in details.items() if value is not None}, "body": body, **more,
    }  # fmt: skip
    return Announce(exchange, message)


def ref_name(ref: str) -> str:
    """The branch or tag of a ref such as `refs/heads/main`."""
    return "/".join(ref.split("/")[2:])


def pull_request_details(body: Body) -> dict[str, Any]:
    """What templates of version 0 know of a pull request."""
    pull = body["pull_request"]
    base, head, sender = pull["base"], pull["head"], body["sender"]
    return {
        "event.type": f"pull_request.{body['action']}",
        "event.base.ref": f"refs/heads/{base['ref']}",
        "event.base.repo.branch": base["ref"],
        "event.base.repo.name": base["repo"]["name"],
        "event.base.repo.url": base["repo"]["clone_url"],
        "event.base.sha": base["sha"],
        "event.base.user.login": _login(base),
        "event.head.ref": f"refs/heads/{head['ref']}",
        "event.head.repo.branch": head["ref"],
        "event.head.repo.name": head["repo"]["name"],
        "event.head.repo.url": head["repo"]["clone_url"],
        "event.head.sha": head["sha"],
        "event.head.user.login": sender["login"],
        "event.head.user.id": sender.get("id"),
        "event.pullNumber": body["number"],
        "event.title": pull.get("title"),
    }


def _login(end: Body) -> str:
    """The owner of an end of a pull request: of its `user`, else of its repository."""
    owner = end["repo"]["owner"]
    return str((end.get("user") or {}).get("login") or owner.get("login") or owner.get("name"))


def push_details(body: Body) -> dict[str, Any]:
    """What templates of version 0 know of a push."""
    ref, repository, sender = body["ref"], body["repository"], body["sender"]
    tag = ref.startswith("refs/tags/")
    details = {
        "event.type": "tag" if tag else "push",
        "event.base.ref": ref,
        "event.base.repo.name": repository["name"],
        "event.base.repo.url": repository["clone_url"],
        "event.base.sha": body["before"],
        "event.base.user.login": sender["login"],
        "event.head.ref": ref,
        "event.head.repo.name": repository["name"],
        "event.head.repo.url": repository["clone_url"],
        "event.head.sha": body["after"],
        "event.head.user.login": sender["login"],
        "event.head.user.id": sender.get("id"),
    }
    if tag:
        return {**details, "event.head.tag": ref_name(ref)}
    return {**details, "event.base.repo.branch": ref_name(ref), "event.head.repo.branch": ref_name(ref)}


def release_details(body: Body) -> dict[str, Any]:
    """What templates of version 0 know of a release."""
    release, repository, sender = body["release"], body["repository"], body["sender"]
    return {
        "event.type": "release",
        "event.base.repo.branch": release["target_commitish"],
        "event.head.user.login": sender["login"],
        "event.head.user.id": sender.get("id"),
        "event.version": release["tag_name"],
        "event.name": release.get("name"),
        "event.head.repo.name": repository["name"],
        "event.head.repo.url": repository.get("clone_url"),
        "event.release.url": release.get("url"),
        "event.prerelease": release["prerelease"],
        "event.draft": release["draft"],
        "event.tar": release.get("tarball_url"),
        "event.zip": release.get("zipball_url"),
    }


def comment_details(body: Body) -> dict[str, Any]:
    """What is known of a comment at first; the pull request is looked up when tasks are to be created."""
    return {
        "event.type": f"issue_comment.{body['action']}",
        "event.head.user.login": body["sender"]["login"],
        "taskcluster_comment": command(body["comment"]["body"]),
    }
