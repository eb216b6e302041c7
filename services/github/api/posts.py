"""Methods that write to GitHub in the app's name: a commit status, a comment."""

from __future__ import annotations

from typing import Any

from tcbox import errors
from tcbox.api.call import Call
from tcbox.services.github.api.repositories import as_api
from tcbox.services.github.declarations import ForbiddenByGithub, api
from tcbox.services.github.hub import Hub, Limited, Refused, Repository, Unreachable, part
from tcbox.services.github.store import Store

_CATEGORY = "Github Service"


class Posts:
    """Writes to GitHub."""

    def __init__(self, kept: Store, hub: Hub) -> None:
        self._store = kept
        self._hub = hub

    @api.post(
        "/repository/<owner>/<repo>/statuses/<sha>", name="createStatus", input="create-status", scopes="github:create-status:<owner>/<repo>",
        category=_CATEGORY, stability="experimental",
    )  # fmt: skip
    async def create_status(self, call: Call, owner: str, repo: str, sha: str) -> dict[str, Any]:
        """Post a status against a given changeset

        Set a commit status: a state with a title and a link, which GitHub shows beside the commit.
        """
        status = {"context": "default", **call.payload}
        return await self._post(owner, repo, "/statuses/{}", sha, status)

    @api.post(
        "/repository/<owner>/<repo>/issues/<number>/comments", name="createComment", input="create-comment", scopes="github:create-comment:<owner>/<repo>",
        category=_CATEGORY,
    )  # fmt: skip
    async def create_comment(self, call: Call, owner: str, repo: str, number: str) -> dict[str, Any]:
        """Post a comment on a given GitHub Issue or Pull Request

        Write a comment, in Markdown, on an issue or a pull request.
        """
        return await self._post(owner, repo, "/issues/{}/comments", number, call.payload)

    async def _post(self, owner: str, repo: str, path: str, place: str, body: Any) -> dict[str, Any]:
        installation = await self._store.installation(owner)
        if installation is None or not self._hub.configured:
            raise errors.ResourceNotFound("Installation not found: the GitHub App of this instance is not installed on {owner}.", owner=owner)
        try:
            await Repository(self._hub.installation(installation), owner, repo).ask("POST", path.format(part(place)), body)
        except Refused as error:
            raise _refused(error, owner, repo) from None
        except (Limited, Unreachable) as error:
            raise as_api(error) from None
        return {}


def _refused(error: Refused, owner: str, repo: str) -> errors.ApiError:
    if error.status == 403:
        return ForbiddenByGithub(
            "Operation was forbidden by Github. The Github App may not be set up for this repo, or lacks the permission: {reason}", reason=str(error)
        )
    if error.status in (404, 410):
        return errors.ResourceNotFound("GitHub finds nothing of that name in {owner}/{repo}: {reason}", owner=owner, repo=repo, reason=str(error))
    if error.status == 422:
        return errors.InputError("GitHub does not take it: {reason}", reason=str(error))
    return errors.InternalServerError("GitHub answers with status {status}: {reason}", status=error.status, reason=str(error))
