"""GitHub's REST API as the github service uses it: repositories, check runs, statuses, comments; it refuses what GitHub refuses."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.simulators.github_app import GithubApp

PERMISSIONS = {
    "administration": "read", "checks": "write", "statuses": "write", "contents": "read", "issues": "write", "metadata": "read",
    "pull_requests": "write", "members": "read",
}  # fmt: skip
CONCLUSIONS = {"action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out"}
LONGEST = 65535


@dataclass
class Repository:
    """One repository: what stands in `.taskcluster.yml` at each commit, which commit each branch is at, who may push."""

    owner: str
    name: str
    default_branch: str = "main"
    files: dict[str, str | None] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    collaborators: set[str] = field(default_factory=set)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    check_runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    reactions: list[tuple[int, str]] = field(default_factory=list)

    def commit(self, text: str | None, branch: str | None = "main") -> str:
        """A new commit with this file, None for one without; its id."""
        sha = hashlib.sha1(f"{self.owner}/{self.name} {len(self.files)} {text}".encode()).hexdigest()
        self.files[sha] = text
        if branch is not None:
            self.branches[branch] = sha
        return sha

    def resolve(self, ref: str) -> str | None:
        sha = self.branches.get(ref.removeprefix("refs/heads/"), ref)
        return sha if sha in self.files else None

    def checks(self, name: str | None = None) -> list[dict[str, Any]]:
        return [run for run in self.check_runs.values() if name in (None, run["name"])]


class GithubApi(GithubApp):
    """An app with installations, and the repositories that they have access to.

    Attributes:
        repos: by full name in small letters.
        owners: the installation of each owner.
        permissions: of each installation; those of the documentation unless set.
        users: public e-mail addresses.
        blocked: how an installation's requests are turned away: status, headers, message.
        asked: how often each verb and path was asked for.
    """

    BOT = 9001

    def __init__(self, app_id: str, key: rsa.RSAPublicKey, *, slug: str = "tcbox-test") -> None:
        super().__init__(app_id, key)
        self.slug = slug
        self.repos: dict[str, Repository] = {}
        self.owners: dict[str, int] = {}
        self.permissions: dict[int, dict[str, str]] = {}
        self.access_tokens: dict[str, tuple[int, float]] = {}
        self.users: dict[str, str | None] = {}
        self.blocked: dict[int, tuple[int, dict[str, str], str]] = {}
        self.broken: set[str] = set()
        self.asked: Counter[str] = Counter()
        self._numbers = itertools.count(1001)
        add = self.app.router.add_route
        here = "/repos/{owner}/{repo}"
        add("GET", "/app", self.about)
        add("GET", "/app/installations", self.installations)
        add("GET", "/installation/repositories", self.accessible)
        add("GET", "/users/{login}", self.user)
        add("GET", here, self.repository)
        add("GET", here + "/contents/{path}", self.contents)
        add("GET", here + "/collaborators/{login}", self.collaborator)
        add("GET", here + "/commits/{ref}", self.get_commit)
        add("GET", here + "/pulls/{number}", self.get_pull)
        add("POST", here + "/statuses/{sha}", self.add_status)
        add("GET", here + "/commits/{ref}/statuses", self.list_statuses)
        add("POST", here + "/check-runs", self.add_check)
        add("PATCH", here + "/check-runs/{id}", self.change_check)
        add("GET", here + "/commits/{ref}/check-runs", self.list_checks)
        add("POST", here + "/issues/{number}/comments", self.issue_comment)
        add("POST", here + "/commits/{sha}/comments", self.commit_comment)
        add("POST", here + "/issues/comments/{id}/reactions", self.react)

    def install(self, owner: str, number: int, *names: str) -> list[Repository]:
        """Install the app on an owner, for new repositories of these names."""
        made = [Repository(owner, name) for name in names]
        self.owners[owner] = number
        self.repos |= {f"{owner}/{name}".lower(): repo for name, repo in zip(names, made, strict=True)}
        return made

    # -- who asks

    def as_app(self, request: web.Request) -> web.Response | None:
        self.asked[f"{request.method} {request.path}"] += 1
        if request.path.startswith("/blobs/"):
            return None
        if request.path.startswith(("/app", "/orgs")):
            return super().as_app(request)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        number, ends = self.access_tokens.get(token, (0, 0.0))
        if kind != "Bearer" or ends < self.now():
            return _refuse(401, "Bad credentials")
        if number in self.blocked:
            status, headers, message = self.blocked[number]
            return web.json_response({"message": message}, status=status, headers=headers)
        if any(request.path.startswith(path) for path in self.broken):
            return _refuse(503, "Service Unavailable")
        return None

    async def make_token(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        if number not in self.owners.values():
            return _refuse(404, "Not Found")
        token = f"ghs_{number}_{next(self._numbers)}"
        self.access_tokens[token] = (number, self.now() + 3600)
        expires = _time(self.now() + 3600)
        return web.json_response({"token": token, "expires_at": expires, "permissions": self.permissions.get(number, PERMISSIONS)}, status=201)

    def _who(self, request: web.Request) -> int:
        """The installation whose token a request bears."""
        return self.access_tokens[request.headers["Authorization"].partition(" ")[2]][0]

    def _found(self, request: web.Request, permission: str, level: str = "read", *others: str) -> Repository:
        """The repository, if this installation has access to it and one of the permissions."""
        repo = self.repos.get(f"{request.match_info['owner']}/{request.match_info['repo']}".lower())
        if repo is None or self.owners.get(repo.owner) != self._who(request):
            raise web.HTTPNotFound(text='{"message": "Not Found"}', content_type="application/json")
        held = self.permissions.get(self._who(request), PERMISSIONS)
        if not any(held.get(name) in (level, "write") for name in (permission, *others)):
            raise web.HTTPForbidden(text='{"message": "Resource not accessible by integration"}', content_type="application/json")
        return repo

    # -- the app

    async def about(self, request: web.Request) -> web.Response:
        return web.json_response({"id": int(self.app_id), "slug": self.slug})

    async def installations(self, request: web.Request) -> web.Response:
        every = [{"id": number, "account": {"login": owner}} for owner, number in self.owners.items()]
        return web.json_response(_page(request, every))

    async def accessible(self, request: web.Request) -> web.Response:
        mine = [
            {"name": repo.name, "full_name": f"{repo.owner}/{repo.name}"} for repo in self.repos.values() if self.owners.get(repo.owner) == self._who(request)
        ]
        return web.json_response({"total_count": len(mine), "repositories": _page(request, mine)})

    async def user(self, request: web.Request) -> web.Response:
        login = request.match_info["login"]
        if login == f"{self.slug}[bot]":
            return web.json_response({"id": self.BOT, "login": login, "email": None})
        if login not in self.users:
            return _refuse(404, "Not Found")
        return web.json_response({"id": 7, "login": login, "email": self.users[login]})

    # -- reading repositories

    async def repository(self, request: web.Request) -> web.Response:
        repo = self._found(request, "metadata")
        return web.json_response({"name": repo.name, "default_branch": repo.default_branch})

    async def contents(self, request: web.Request) -> web.Response:
        repo = self._found(request, "contents")
        sha = repo.resolve(request.query["ref"])
        if sha is None:
            return _refuse(404, f"No commit found for the ref {request.query['ref']}")
        text = repo.files[sha]
        if text is None or request.match_info["path"] != ".taskcluster.yml":
            return _refuse(404, "Not Found")
        if len(text) > 1024 * 1024:
            return web.json_response({"type": "file", "encoding": "none", "content": ""})
        content = base64.encodebytes(text.encode()).decode()
        return web.json_response({"type": "file", "encoding": "base64", "content": content, "path": ".taskcluster.yml"})

    async def collaborator(self, request: web.Request) -> web.Response:
        repo = self._found(request, "metadata")
        return web.Response(status=204) if request.match_info["login"] in repo.collaborators else _refuse(404, "Not Found")

    async def get_commit(self, request: web.Request) -> web.Response:
        repo = self._found(request, "contents")
        sha = repo.resolve(request.match_info["ref"])
        return web.json_response({"sha": sha}) if sha else _refuse(422, f"No commit found for SHA: {request.match_info['ref']}")

    async def get_pull(self, request: web.Request) -> web.Response:
        repo = self._found(request, "pull_requests")
        pull = repo.pulls.get(int(request.match_info["number"]))
        return web.json_response(pull) if pull else _refuse(404, "Not Found")

    # -- statuses

    async def add_status(self, request: web.Request) -> web.Response:
        repo = self._found(request, "statuses", "write")
        body, sha = await request.json(), request.match_info["sha"]
        if sha not in repo.files:
            return _refuse(422, "Validation Failed", f"No commit found for SHA: {sha}")
        if body.get("state") not in ("error", "failure", "pending", "success"):
            return _refuse(422, "Validation Failed", "state is not included in the list")
        if len(body.get("description") or "") > 140:
            return _refuse(422, "Validation Failed", "description is too long (maximum is 140 characters)")
        made = {**body, "id": next(self._numbers), "sha": sha, "creator": {"id": self.BOT}}
        repo.statuses.insert(0, made)
        return web.json_response(made, status=201)

    async def list_statuses(self, request: web.Request) -> web.Response:
        repo = self._found(request, "statuses")
        sha = repo.resolve(request.match_info["ref"])
        if sha is None:
            return _refuse(422, "No commit found for SHA")
        return web.json_response([status for status in repo.statuses if status["sha"] == sha])

    # -- check runs

    async def add_check(self, request: web.Request) -> web.Response:
        repo = self._found(request, "checks", "write")
        body = await request.json()
        if not body.get("name") or body.get("head_sha") not in repo.files:
            return _refuse(422, "Invalid request.", "No commit found for SHA" if body.get("name") else '"name" wasn\'t supplied.')
        wrong = _wrong_check(body, fresh=True)
        if wrong:
            return _refuse(422, "Invalid request.", wrong)
        number = next(self._numbers)
        made = {"id": number, "check_suite": {"id": 77}, "app": {"id": int(self.app_id)}, "conclusion": None, "html_url": f"https://github.example/runs/{number}",
                "seen": [], "annotations": [], **body}  # fmt: skip
        repo.check_runs[number] = made
        return _checked(made, body, 201)

    async def change_check(self, request: web.Request) -> web.Response:
        repo = self._found(request, "checks", "write")
        made = repo.check_runs.get(int(request.match_info["id"]))
        body = await request.json()
        if made is None:
            return _refuse(404, "Not Found")
        wrong = _wrong_check(body)
        if not wrong and made["status"] == "completed" and body.get("status", "completed") != "completed":
            wrong = "a completed check run cannot be reopened"
        if wrong:
            return _refuse(422, "Invalid request.", wrong)
        output = {**made.get("output", {}), **body.get("output", {})}
        made.update(body)
        made["output"] = output
        return _checked(made, body, 200)

    async def list_checks(self, request: web.Request) -> web.Response:
        repo = self._found(request, "checks")
        sha = repo.resolve(request.match_info["ref"])
        if sha is None:
            return _refuse(422, "No commit found for SHA")
        latest = {run["name"]: run for run in repo.check_runs.values() if run["head_sha"] == sha}
        return web.json_response({"total_count": len(latest), "check_runs": _page(request, list(latest.values()))})

    # -- comments

    async def issue_comment(self, request: web.Request) -> web.Response:
        repo = self._found(request, "issues", "write", "pull_requests")
        number = int(request.match_info["number"]) if request.match_info["number"].isdecimal() else 0
        if number not in repo.pulls:
            return _refuse(404, "Not Found")
        return self._comment(repo, await request.json(), {"number": number})

    async def commit_comment(self, request: web.Request) -> web.Response:
        repo = self._found(request, "contents")
        sha = request.match_info["sha"]
        if sha not in repo.files:
            return _refuse(422, f"No commit found for SHA: {sha}")
        return self._comment(repo, await request.json(), {"sha": sha})

    def _comment(self, repo: Repository, body: dict[str, Any], place: dict[str, Any]) -> web.Response:
        if not body.get("body") or len(body["body"]) > LONGEST + 1:
            return _refuse(422, "Validation Failed", "body is too long (maximum is 65536 characters)")
        repo.comments.append({"id": next(self._numbers), "body": body["body"], **place})
        return web.json_response(repo.comments[-1], status=201)

    async def react(self, request: web.Request) -> web.Response:
        repo = self._found(request, "issues", "write", "pull_requests")
        content = (await request.json())["content"]
        if content not in ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"):
            return _refuse(422, "Validation Failed")
        repo.reactions.append((int(request.match_info["id"]), content))
        return web.json_response({"content": content}, status=201)


def _wrong_check(body: dict[str, Any], *, fresh: bool = False) -> str | None:
    """Why GitHub does not take a check run."""
    if body.get("status", "queued") not in ("queued", "in_progress", "completed"):
        return f"{body['status']} is not a member of queued, in_progress, completed"
    if body.get("status") == "completed" and "conclusion" not in body:
        return "conclusion wasn't supplied"
    if "conclusion" in body and body["conclusion"] not in CONCLUSIONS:
        return "conclusion is not included in the list"
    output = body.get("output")
    if output is None:
        return None
    if not {"title", "summary"} <= output.keys():
        return "title and summary weren't supplied"
    if any(len(output.get(name) or "") > LONGEST for name in ("summary", "text")):
        return "Only 65535 characters are allowed"
    annotations = output.get("annotations", [])
    if len(annotations) > 50:
        return "No more than 50 items are allowed"
    for annotation in annotations:
        if not isinstance(annotation, dict) or not {"path", "start_line", "end_line", "annotation_level", "message"} <= annotation.keys():
            return "annotations lack path, start_line, end_line, annotation_level or message"
        if annotation["annotation_level"] not in ("notice", "warning", "failure"):
            return "annotation_level is not included in the list"
    return None


def _checked(made: dict[str, Any], body: dict[str, Any], status: int) -> web.Response:
    made["seen"].append(body.get("conclusion") or body.get("status"))
    made["annotations"] += body.get("output", {}).get("annotations", [])
    return web.json_response({key: value for key, value in made.items() if key not in ("seen", "annotations")}, status=status)


def _page(request: web.Request, items: list[Any]) -> list[Any]:
    size, page = int(request.query.get("per_page", "30")), int(request.query.get("page", "1"))
    assert size <= 100
    return items[size * (page - 1) : size * page]


def _refuse(status: int, message: str, *errors: str) -> web.Response:
    return web.json_response({"message": message, **({"errors": [{"message": error} for error in errors]} if errors else {})}, status=status)


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deliver(secret: str, event: str, body: dict[str, Any], delivery: str, *, algorithm: str = "sha256") -> tuple[bytes, dict[str, str]]:
    """A webhook as GitHub sends it: body, and headers."""
    import hmac

    raw = json.dumps(body).encode()
    name = "x-hub-signature-256" if algorithm == "sha256" else "x-hub-signature"
    return raw, {
        "content-type": "application/json", "user-agent": "GitHub-Hookshot/1", "x-github-event": event, "x-github-delivery": delivery,
        name: f"{algorithm}={hmac.new(secret.encode(), raw, algorithm).hexdigest()}",
    }  # fmt: skip
