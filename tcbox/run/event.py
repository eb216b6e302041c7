"""Events in the form of GitHub's webhooks, made up of what git knows. Pure.

Source: GitHub's documentation of webhook events, for the form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tcbox.run.faults import WrongUsage
from tcbox.run.project import ZEROS, Project

SITE, API = "https://github.com", "https://api.github.com"
PUSH, TAG, PULL_REQUEST, RELEASE, COMMENT, CRON = "push", "tag", "pull-request", "release", "comment", "cron"
KINDS = (PUSH, TAG, PULL_REQUEST, RELEASE, CRON)
"""Those that can be made up; a comment comes from a file alone."""
TASKS_FOR = {
    PUSH: "github-push", TAG: "github-push", PULL_REQUEST: "github-pull-request", RELEASE: "github-release", COMMENT: "github-issue-comment",
}  # fmt: skip
_NUMBER = 1
_HEADS, _TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class Event:
    """What tasks are made for.

    Attributes:
        kind: one of `KINDS`, or `COMMENT`.
        body: as GitHub would send it.
        owner, name: of the repository that it is about.
        branch: that the work tree stands for.
        refs: names under which the commit that is run can be fetched.
    """

    kind: str
    body: dict[str, Any]
    owner: str
    name: str
    branch: str
    refs: tuple[str, ...]

    @property
    def tasks_for(self) -> str:
        """The kind as `.taskcluster.yml` knows it."""
        return TASKS_FOR[self.kind]

    @property
    def action(self) -> str | None:
        """What happened, for those kinds that say so."""
        action = self.body.get("action")
        return action if isinstance(action, str) and self.kind not in (PUSH, TAG) else None


def make(kind: str, project: Project, commit: str, *, dirty: bool, when: str) -> Event:
    """An event of a kind, about a commit.

    Args:
        dirty: whether the commit is one on top of what is checked out.
        when: the time, as GitHub writes it.
    """
    facts = _Facts(project, commit, project.head if dirty and project.head else project.before, when)
    return Event(kind, _MAKERS[kind](facts), project.owner, project.name, project.branch, _refs(kind, project))


def of(given: Any, project: Project, commit: str, *, dirty: bool, when: str) -> Event:
    """An event from a file, about a commit instead of its own; what the file does not say is made up.

    Raises WrongUsage when it is no event that makes tasks.
    """
    if not isinstance(given, dict):
        raise WrongUsage("the event file holds no event: expected an object in the form of GitHub's webhooks")
    kind = _kind(given)
    adopted = _adopt(kind, given, project)
    made = make(PUSH if kind == COMMENT else kind, adopted, commit, dirty=dirty, when=when)
    base = _comment(_Facts(adopted, commit, project.before, when)) if kind == COMMENT else made.body
    body = _merged(base, given)
    _set_commit(kind, body, commit)
    return Event(kind, body, adopted.owner, adopted.name, adopted.branch, _refs(kind, adopted))


# -- from a file


def _kind(given: Mapping[str, Any]) -> str:
    if "pull_request" in given and "comment" not in given:
        return PULL_REQUEST
    if "comment" in given and "issue" in given:
        return COMMENT
    if "release" in given:
        return RELEASE
    ref = given.get("ref")
    if isinstance(ref, str) and "ref_type" not in given:
        return TAG if ref.startswith(_TAGS) else PUSH
    raise WrongUsage("the event file is none of push, pull_request, release or issue_comment: it has no `ref`, `pull_request`, `release` or `comment`")


def _adopt(kind: str, given: Mapping[str, Any], project: Project) -> Project:
    """The project as the file's event has it: its repository's name, its branch or tag."""
    repository = given.get("repository")
    full = repository.get("full_name") if isinstance(repository, dict) else None
    if isinstance(full, str) and full.count("/") == 1:
        owner, _, name = full.partition("/")
        project = replace(project, owner=owner, name=name)
    try:
        if kind == PUSH:
            return replace(project, branch=str(given["ref"]).removeprefix(_HEADS))
        if kind == TAG:
            return replace(project, tag=str(given["ref"]).removeprefix(_TAGS))
        if kind == PULL_REQUEST:
            return replace(project, branch=str(given["pull_request"]["head"]["ref"]))
        if kind == RELEASE:
            return replace(project, tag=str(given["release"]["tag_name"]))
    except (KeyError, TypeError):
        return project
    return project


def _merged(made: Any, given: Any) -> Any:
    """The given value over the made one; objects are merged, anything else is replaced."""
    if isinstance(made, dict) and isinstance(given, dict):
        return {**made, **{key: _merged(made.get(key), value) for key, value in given.items()}}
    return given


def _set_commit(kind: str, body: dict[str, Any], commit: str) -> None:
    if kind in (PUSH, TAG):
        body["after"] = commit
        if isinstance(body.get("head_commit"), dict):
            body["head_commit"]["id"] = commit
        if isinstance(body.get("commits"), list) and body["commits"] and isinstance(body["commits"][-1], dict):
            body["commits"][-1]["id"] = commit
    elif kind in (PULL_REQUEST, COMMENT) and isinstance(body.get("pull_request"), dict):
        body["pull_request"].setdefault("head", {})["sha"] = commit


# -- made up


@dataclass(frozen=True, slots=True)
class _Facts:
    project: Project
    commit: str
    before: str
    when: str

    @property
    def full(self) -> str:
        return f"{self.project.owner}/{self.project.name}"

    @property
    def site(self) -> str:
        return f"{SITE}/{self.full}"

    @property
    def api(self) -> str:
        return f"{API}/repos/{self.full}"

    @property
    def tag(self) -> str:
        return self.project.tag or "v0.0.0"


def _refs(kind: str, project: Project) -> tuple[str, ...]:
    """Names of the commit that is run: of the branch always, and of what the event is about."""
    refs = [_HEADS + project.branch]
    if kind in (TAG, RELEASE):
        refs.append(_TAGS + (project.tag or "v0.0.0"))
    if kind in (PULL_REQUEST, COMMENT):
        refs.append(f"refs/pull/{_NUMBER}/head")
    return tuple(refs)


def _user(login: str, number: int, kind: str = "User") -> dict[str, Any]:
    return {
        "login": login, "id": number, "type": kind, "site_admin": False, "avatar_url": f"https://avatars.githubusercontent.com/u/{number}",
        "url": f"{API}/users/{login}", "html_url": f"{SITE}/{login}",
    }  # fmt: skip


def _repository(facts: _Facts) -> dict[str, Any]:
    project = facts.project
    return {
        "id": 1, "name": project.name, "full_name": facts.full, "private": False, "fork": False, "description": "",
        "owner": {**_user(project.owner, 2, "Organization"), "name": project.owner},
        "html_url": facts.site, "url": facts.api, "clone_url": f"{facts.site}.git", "ssh_url": f"git@github.com:{facts.full}.git",
        "git_url": f"git://github.com/{facts.full}.git", "archive_url": f"{facts.api}/{{archive_format}}{{/ref}}",
        "contents_url": f"{facts.api}/contents/{{+path}}", "statuses_url": f"{facts.api}/statuses/{{sha}}", "commits_url": f"{facts.api}/commits{{/sha}}",
        "created_at": facts.when, "updated_at": facts.when, "pushed_at": facts.when, "default_branch": project.default_branch, "visibility": "public",
        "archived": False, "language": None, "topics": [], "open_issues_count": 0, "forks_count": 0, "stargazers_count": 0,
    }  # fmt: skip


def _common(facts: _Facts) -> dict[str, Any]:
    return {
        "repository": _repository(facts), "organization": _user(facts.project.owner, 2, "Organization"), "sender": _user(facts.project.login, 3),
        "installation": {"id": 1},
    }  # fmt: skip


def _commit(facts: _Facts) -> dict[str, Any]:
    person = {"name": facts.project.author, "email": facts.project.email, "username": facts.project.login}
    return {
        "id": facts.commit, "tree_id": ZEROS, "distinct": True, "message": facts.project.message, "timestamp": facts.when,
        "url": f"{facts.site}/commit/{facts.commit}", "author": person, "committer": person, "added": [], "removed": [], "modified": [],
    }  # fmt: skip


def _pushed(facts: _Facts, ref: str, before: str) -> dict[str, Any]:
    commit, common = _commit(facts), _common(facts)
    common["repository"]["url"] = facts.site  # pushes have this page, all other events the API
    return {
        "ref": ref, "before": before, "after": facts.commit, "base_ref": None, "created": before == ZEROS, "deleted": False, "forced": False,
        "compare": f"{facts.site}/compare/{before[:12]}...{facts.commit[:12]}", "commits": [commit], "head_commit": commit,
        "pusher": {"name": facts.project.login, "email": facts.project.email}, **common,
    }  # fmt: skip


def _push(facts: _Facts) -> dict[str, Any]:
    return _pushed(facts, _HEADS + facts.project.branch, facts.before)


def _tag(facts: _Facts) -> dict[str, Any]:
    return {**_pushed(facts, _TAGS + facts.tag, ZEROS), "base_ref": _HEADS + facts.project.branch}


def _pull(facts: _Facts) -> dict[str, Any]:
    project, page, here = facts.project, f"{facts.site}/pull/{_NUMBER}", f"{facts.api}/pulls/{_NUMBER}"
    author, owner = _user(project.login, 3), _user(project.owner, 2, "Organization")
    title, _, text = project.message.partition("\n")
    ends = {
        side: {"label": f"{project.owner}:{ref}", "ref": ref, "sha": sha, "user": owner, "repo": _repository(facts)}
        for side, ref, sha in (("head", project.branch, facts.commit), ("base", project.default_branch, project.base))
    }
    return {
        "id": 4, "number": _NUMBER, "state": "open", "locked": False, "title": title, "body": text.strip(), "draft": False, "user": author,
        "url": here, "html_url": page, "diff_url": f"{page}.diff", "patch_url": f"{page}.patch", "issue_url": f"{facts.api}/issues/{_NUMBER}",
        "commits_url": f"{here}/commits", "created_at": facts.when, "updated_at": facts.when, "closed_at": None, "merged_at": None,
        "merge_commit_sha": None, "merged": False, "mergeable": None, "assignee": None, "assignees": [], "requested_reviewers": [], "labels": [],
        "milestone": None, "author_association": "OWNER", "commits": 1, "additions": 1, "deletions": 0, "changed_files": 1, "comments": 0, **ends,
    }  # fmt: skip


def _pull_request(facts: _Facts) -> dict[str, Any]:
    return {"action": "opened", "number": _NUMBER, "pull_request": _pull(facts), **_common(facts)}


def _release(facts: _Facts) -> dict[str, Any]:
    release = {
        "id": 5, "tag_name": facts.tag, "target_commitish": facts.project.branch, "name": facts.tag, "draft": False, "prerelease": False, "body": "",
        "author": _user(facts.project.login, 3), "assets": [], "created_at": facts.when, "published_at": facts.when, "url": f"{facts.api}/releases/5",
        "html_url": f"{facts.site}/releases/tag/{facts.tag}", "tarball_url": f"{facts.site}/tarball/{facts.tag}",
        "zipball_url": f"{facts.site}/zipball/{facts.tag}",
    }  # fmt: skip
    return {"action": "published", "release": release, **_common(facts)}


def _comment(facts: _Facts) -> dict[str, Any]:
    author, pull = _user(facts.project.login, 3), _pull(facts)
    issue = {
        "id": 6, "number": _NUMBER, "title": pull["title"], "state": "open", "user": author, "labels": [], "comments": 1, "body": pull["body"],
        "url": pull["issue_url"], "html_url": pull["html_url"], "created_at": facts.when, "updated_at": facts.when,
        "pull_request": {"url": pull["url"], "html_url": pull["html_url"]},
    }  # fmt: skip
    comment = {
        "id": 7, "body": "/taskcluster test", "user": author, "author_association": "OWNER", "created_at": facts.when, "updated_at": facts.when,
        "url": f"{facts.api}/issues/comments/7", "html_url": f"{pull['html_url']}#issuecomment-7",
    }  # fmt: skip
    return {"action": "created", "issue": issue, "comment": comment, "pull_request": pull, **_common(facts)}


_MAKERS: dict[str, Callable[[_Facts], dict[str, Any]]] = {PUSH: _push, TAG: _tag, PULL_REQUEST: _pull_request, RELEASE: _release}
