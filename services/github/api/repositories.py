"""Methods about what GitHub shows of a repository: its badge, its latest build, whether the app is installed."""

from __future__ import annotations

from typing import Any

from tcbox import errors
from tcbox.api.call import Call, Redirect, Reply
from tcbox.services.github import badges
from tcbox.services.github.declarations import api
from tcbox.services.github.hub import Hub, Limited, Refused, Repository, Unreachable, part
from tcbox.services.github.store import Store
from tcbox.vendors.github import TooManyRequests

_CATEGORY = "Github Service"


class Repositories:
    """Looks at repositories.

    Args:
        bot_name: the app's user on GitHub; looked up when it is empty.
    """

    def __init__(self, kept: Store, hub: Hub, *, bot_name: str = "") -> None:
        self._store = kept
        self._hub = hub
        self._bot_name = bot_name
        self._bot_id: int | None = None

    @api.get(
        "/repository/<owner>/<repo>/<branch>/badge.svg", name="badge", scopes="github:get-badge:<owner>:<repo>:<branch>",
        category=_CATEGORY, stability="experimental",
    )  # fmt: skip
    async def badge(self, call: Call, owner: str, repo: str, branch: str) -> Reply:
        """Latest Build Status Badge

        A picture (SVG) that shows how the latest commit of a branch fares. The header `X-Taskcluster-Status` says it too.
        """
        repository = await self._repository(owner, repo)
        if repository is None:
            return _badge("newrepo", "nogithub")
        try:
            status = await self._status(repository, branch)
            runs = await self._check_runs(repository, branch)
        except (Refused, Limited):
            return _badge("error", "error")
        except Unreachable as error:
            raise errors.InternalServerError("{reason}", reason=str(error)) from None
        state = badges.state(None if status is None else str(status["state"]), [run.get("conclusion") for run in runs]) or "newrepo"
        return _badge(state, state)

    @api.get(
        "/repository/<owner>/<repo>", name="repository", output="repository", scopes="github:get-repository:<owner>:<repo>",
        category=_CATEGORY, stability="experimental",
    )  # fmt: skip
    async def repository(self, call: Call, owner: str, repo: str) -> dict[str, Any]:
        """Get Repository Info

        Whether the GitHub App of this instance is installed for a repository.
        """
        number = await self._store.installation(owner)
        if number is None or not self._hub.configured:
            return {"installed": False}
        try:
            async for found in self._hub.installation(number).pages("/installation/repositories", "repositories"):
                if str(found["name"]).lower() == repo.lower():
                    return {"installed": True}
        except Refused:
            return {"installed": False}
        except (Limited, Unreachable) as error:
            raise as_api(error) from None
        return {"installed": False}

    @api.get(
        "/repository/<owner>/<repo>/<branch>/latest", name="latest", scopes="github:latest-status:<owner>:<repo>:<branch>", category=_CATEGORY,
    )  # fmt: skip
    async def latest(self, call: Call, owner: str, repo: str, branch: str) -> Reply:
        """Latest Status for Branch

        Redirects to where the latest build of a branch can be seen.
        """
        repository = await self._repository(owner, repo)
        url = None
        if repository is not None:
            try:
                url = await self._latest(repository, branch)
            except Refused:
                url = None
            except (Limited, Unreachable) as error:
                raise as_api(error) from None
        if not url:
            raise errors.ResourceNotFound(
                "Status not found: the branch {branch} of {owner}/{repo} has none of this instance's.", branch=branch, owner=owner, repo=repo
            )
        return Redirect(url, status=302)

    async def _latest(self, repository: Repository, branch: str) -> str | None:
        status = await self._status(repository, branch)
        if status is not None and status.get("target_url"):
            return str(status["target_url"])
        runs = await self._check_runs(repository, branch)
        first = min(runs, key=lambda run: int(run["id"]), default=None)  # which is the decision task's
        return None if first is None else str(first.get("html_url") or "")

    async def _repository(self, owner: str, repo: str) -> Repository | None:
        """A repository, None where the app is not installed."""
        number = await self._store.installation(owner)
        if number is None or not self._hub.configured:
            return None
        return Repository(self._hub.installation(number), owner, repo)

    async def _status(self, repository: Repository, branch: str) -> dict[str, Any] | None:
        """The latest commit status of ours on a branch."""
        bot = await self._bot(repository)
        try:
            statuses = await repository.ask("GET", f"/commits/{part(branch)}/statuses", per_page=100)
        except Refused as error:
            if error.status in (404, 422):  # there is no such branch
                return None
            raise
        return next((status for status in statuses if (status.get("creator") or {}).get("id") == bot), None)

    async def _check_runs(self, repository: Repository, branch: str) -> list[dict[str, Any]]:
        """Our check runs of the latest commit of a branch."""
        path = f"/repos/{part(repository.owner)}/{part(repository.name)}/commits/{part(branch)}/check-runs"
        try:
            runs = [run async for run in repository.installation.pages(path, "check_runs", app_id=self._hub.app_id)]
        except Refused as error:
            if error.status in (404, 422):
                return []
            raise
        return [run for run in runs if str((run.get("app") or {}).get("id")) == self._hub.app_id]

    async def _bot(self, repository: Repository) -> int:
        """GitHub's id of the app's user."""
        if self._bot_id is None:
            name = self._bot_name or str((await self._hub.ask("GET", "/app"))["slug"])
            login = name if name.endswith("[bot]") else f"{name}[bot]"
            self._bot_id = int((await repository.installation.ask("GET", f"/users/{part(login)}"))["id"])
        return self._bot_id


def as_api(error: Limited | Unreachable) -> errors.ApiError:
    """The API's error for GitHub being unable to answer."""
    if isinstance(error, Limited):
        return TooManyRequests("{reason}", reason=str(error))
    return errors.InternalServerError("GitHub cannot be reached: {reason}", reason=str(error))


def _badge(picture: str, state: str) -> Reply:
    headers = {
        "content-type": "image/svg+xml",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
        "x-taskcluster-status": state,
    }
    return Reply(badges.svg(picture), 200, headers)
