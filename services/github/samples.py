"""Events as GitHub might send them, to try a `.taskcluster.yml` out with. Pure.

Source: GitHub's documentation of webhook events, for the form; the content is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tcbox.services.github import webhooks

BEFORE, AFTER = "1f0e5b2c3d4a5968778695a4b3c2d1e0f0e1d2c3", "9c8b7a695847362514039f8e7d6c5b4a39281706"
WHEN = "2026-01-31T12:00:00Z"
SITE, API = "https://github.com", "https://api.github.com"


def event(kind: str, action: str | None, organization: str, repository: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """An event of a kind such as `github-push`, with parts of it replaced."""
    branch = overrides.get("branch")
    made = _MAKERS[kind](organization, repository, branch if isinstance(branch, str) and branch else "main")
    return {**made, **({"action": action} if action is not None else {}), **overrides}


def schema(kind: str) -> str:
    """The schema that an event of a kind must fit."""
    return webhooks.SCHEMAS[_EVENTS[kind]]


def details(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What files of version 0 know of an event."""
    return {key: value for key, value in _DETAILS[kind](body).items() if value is not None}


def _user(login: str, number: int, kind: str = "User") -> dict[str, Any]:
    return {
        "login": login, "id": number, "type": kind, "site_admin": False, "avatar_url": f"https://avatars.githubusercontent.com/u/{number}",
        "url": f"{API}/users/{login}", "html_url": f"{SITE}/{login}",
    }  # fmt: skip


def _repository(owner: str, name: str, branch: str, number: int = 100) -> dict[str, Any]:
    full = f"{owner}/{name}"
    return {
        "id": number, "name": name, "full_name": full, "private": False, "fork": number != 100, "description": "A repository that is made up",
        "owner": {**_user(owner, number + 1, "Organization"), "name": owner},
        "html_url": f"{SITE}/{full}", "url": f"{API}/repos/{full}", "clone_url": f"{SITE}/{full}.git", "ssh_url": f"git@github.com:{full}.git",
        "git_url": f"git://github.com/{full}.git",
        "contents_url": f"{API}/repos/{full}/contents/{{+path}}", "statuses_url": f"{API}/repos/{full}/statuses/{{sha}}",
        "created_at": WHEN, "updated_at": WHEN, "pushed_at": WHEN, "default_branch": branch, "visibility": "public", "archived": False, "language": "Python",
        "topics": [], "open_issues_count": 1, "forks_count": 1, "stargazers_count": 1,
    }  # fmt: skip


def _installation() -> dict[str, Any]:
    return {"id": 12345}


def _sender() -> dict[str, Any]:
    return _user("octo-dev", 42)


def _commit(owner: str, name: str) -> dict[str, Any]:
    person = {"name": "Octo Dev", "email": "octo-dev@example.com", "username": "octo-dev"}
    return {
        "id": AFTER, "tree_id": BEFORE[::-1], "distinct": True, "message": "Change something", "timestamp": WHEN,
        "url": f"{SITE}/{owner}/{name}/commit/{AFTER}", "author": person, "committer": person, "added": [], "removed": [], "modified": ["README.md"],
    }  # fmt: skip


def _push(owner: str, name: str, branch: str) -> dict[str, Any]:
    commit = _commit(owner, name)
    return {
        "ref": f"refs/heads/{branch}", "before": BEFORE, "after": AFTER, "base_ref": None, "created": False, "deleted": False, "forced": False,
        "compare": f"{SITE}/{owner}/{name}/compare/{BEFORE[:12]}...{AFTER[:12]}", "commits": [commit], "head_commit": commit,
        "repository": _repository(owner, name, branch), "pusher": {"name": "octo-dev", "email": "octo-dev@example.com"},
        "organization": _user(owner, 101, "Organization"), "sender": _sender(), "installation": _installation(),
    }  # fmt: skip


def _pull(owner: str, name: str, branch: str) -> dict[str, Any]:
    url, here = f"{SITE}/{owner}/{name}/pull/1", f"{API}/repos/{owner}/{name}/pulls/1"
    author = _user("octo-dev", 42)
    return {
        "id": 500, "number": 1, "state": "open", "locked": False, "title": "Change something", "body": "For a reason.", "draft": False, "user": author,
        "url": here, "html_url": url, "diff_url": f"{url}.diff", "patch_url": f"{url}.patch", "issue_url": f"{API}/repos/{owner}/{name}/issues/1",
        "created_at": WHEN, "updated_at": WHEN, "closed_at": None, "merged_at": None, "merge_commit_sha": None, "merged": False, "mergeable": None,
        "assignee": None, "assignees": [], "requested_reviewers": [], "labels": [], "milestone": None, "author_association": "CONTRIBUTOR",
        "commits": 1, "additions": 1, "deletions": 1, "changed_files": 1, "comments": 0,
        "head": {"label": "octo-dev:change", "ref": "change", "sha": AFTER, "user": author, "repo": {
            **_repository("octo-dev", name, "main", 200), "owner": author,
        }},
        "base": {
            "label": f"{owner}:{branch}", "ref": branch, "sha": BEFORE, "user": _user(owner, 101, "Organization"),
            "repo": _repository(owner, name, branch),
        },
    }  # fmt: skip


def _pull_request(owner: str, name: str, branch: str) -> dict[str, Any]:
    return {
        "action": "opened", "number": 1, "pull_request": _pull(owner, name, branch), "repository": _repository(owner, name, branch),
        "organization": _user(owner, 101, "Organization"), "sender": _sender(), "installation": _installation(),
    }  # fmt: skip


def _release(owner: str, name: str, branch: str) -> dict[str, Any]:
    here = f"{API}/repos/{owner}/{name}"
    return {
        "action": "published", "release": {
            "id": 700, "tag_name": "v1.0.0", "target_commitish": branch, "name": "Version 1.0.0", "draft": False, "prerelease": False, "body": "What is new.",
            "author": _sender(), "assets": [], "created_at": WHEN, "published_at": WHEN, "url": f"{here}/releases/700",
            "html_url": f"{SITE}/{owner}/{name}/releases/tag/v1.0.0", "tarball_url": f"{here}/tarball/v1.0.0", "zipball_url": f"{here}/zipball/v1.0.0",
        },
        "repository": _repository(owner, name, branch), "organization": _user(owner, 101, "Organization"), "sender": _sender(),
        "installation": _installation(),
    }  # fmt: skip


def _issue_comment(owner: str, name: str, branch: str) -> dict[str, Any]:
    here, author = f"{API}/repos/{owner}/{name}", _sender()
    return {
        "action": "created",
        "issue": {
            "id": 600, "number": 1, "title": "Change something", "state": "open", "user": author, "labels": [], "comments": 1, "body": "For a reason.",
            "url": f"{here}/issues/1", "html_url": f"{SITE}/{owner}/{name}/pull/1", "created_at": WHEN, "updated_at": WHEN,
            "pull_request": {"url": f"{here}/pulls/1", "html_url": f"{SITE}/{owner}/{name}/pull/1"},
        },
        "comment": {
            "id": 800, "body": "/taskcluster test", "user": author, "author_association": "MEMBER", "created_at": WHEN, "updated_at": WHEN,
            "url": f"{here}/issues/comments/800", "html_url": f"{SITE}/{owner}/{name}/pull/1#issuecomment-800",
        },
        "pull_request": _pull(owner, name, branch), "repository": _repository(owner, name, branch),
        "organization": _user(owner, 101, "Organization"), "sender": author, "installation": _installation(),
    }  # fmt: skip


_MAKERS: dict[str, Callable[[str, str, str], dict[str, Any]]] = {
    webhooks.PUSH: _push, webhooks.PULL_REQUEST: _pull_request, webhooks.UNTRUSTED: _pull_request,
    webhooks.RELEASE: _release, webhooks.COMMENT: _issue_comment,
}  # fmt: skip
_DETAILS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    webhooks.PUSH: webhooks.push_details, webhooks.PULL_REQUEST: webhooks.pull_request_details, webhooks.UNTRUSTED: webhooks.pull_request_details,
    webhooks.RELEASE: webhooks.release_details, webhooks.COMMENT: webhooks.comment_details,
}  # fmt: skip
_EVENTS = {
    webhooks.PUSH: "push", webhooks.PULL_REQUEST: "pull_request", webhooks.UNTRUSTED: "pull_request",
    webhooks.RELEASE: "release", webhooks.COMMENT: "issue_comment",
}  # fmt: skip
