"""Methods about builds: task groups that were created for events."""

from __future__ import annotations

from typing import Any

from tcbox import clock as clocks
from tcbox import errors
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.github import canceling, names, refusals, store
from tcbox.services.github.canceling import Canceling
from tcbox.services.github.declarations import api
from tcbox.services.github.store import Build, Store

_CATEGORY = "Github Service"
_NAME, _NUMBER = "^([a-zA-Z0-9-_%]*)$", "^([0-9]*)$"
_MOST = 2**31


class Builds:
    """Lists and cancels builds."""

    def __init__(self, kept: Store, cancels: Canceling) -> None:
        self._store = kept
        self._canceling = cancels

    @api.get(
        "/builds", name="builds", output="build-list", scopes="github:list-builds", category=_CATEGORY,
        query={"continuationToken": ".", "limit": r"^[0-9]{1,15}$", "organization": _NAME, "repository": _NAME, "sha": ".", "pullRequest": _NUMBER},
    )  # fmt: skip
    async def builds(self, call: Call) -> dict[str, Any]:
        """List of Builds

        Builds in the order of their last change, all of them or those of an owner, a repository, a commit or a pull
        request. A page of at most 1000; there are more as long as a reply holds a `continuationToken`.

        A dot in the name of an owner or a repository is written as `%`.
        """
        query = call.query
        organization, repository = query.get("organization"), query.get("repository")
        sha, pull = query.get("sha"), query.get("pullRequest")
        for name, needs in (("repository", organization), ("sha", repository), ("pullRequest", repository)):
            if query.get(name) and not needs:
                missing = "organization" if name == "repository" else "repository"
                raise errors.InputError("Must provide `{missing}` if querying `{name}`: add it, or leave {name} out.", missing=missing, name=name)
        size = paging.limit(query)
        after = paging.after(query, int, str) or [-1, ""]
        number = _number(pull)
        rows: list[Build] = []
        if number is None or number < _MOST:
            rows = await self._store.builds(
                size + 1, (after[0], after[1]), organization=names.decoded(organization) if organization else None,
                repository=names.decoded(repository) if repository else None, sha=sha or None, pull_number=number,
            )  # fmt: skip
        return paging.page("builds", rows, size, key=lambda row: (row.updated, row.task_group_id), shape=_shown)

    @api.post(
        "/builds/<owner>/<repo>/cancel", name="cancelBuilds", output="build-list", scopes="github:cancel-builds:<owner>:<repo>", category=_CATEGORY,
        query={"sha": ".", "pullRequest": _NUMBER},
    )  # fmt: skip
    async def cancel(self, call: Call, owner: str, repo: str) -> dict[str, Any]:
        """Cancel repository builds

        Seal and cancel all task groups of a repository that are not resolved, or those of a commit or of a pull
        request. It is done with the scopes of the role `repo:github.com/<owner>/<repo>:*`.
        """
        owner, repo = names.decoded(owner), names.decoded(repo)
        number = _number(call.query.get("pullRequest"))
        found = await self._store.pending(owner, repo, sha=call.query.get("sha"), pull_number=number)
        if not found:
            raise errors.ResourceNotFound("No cancellable builds found: {owner}/{repo} has none that is pending and matches.", owner=owner, repo=repo)
        try:
            await self._canceling.cancel(owner, repo, found)
        except errors.InsufficientScopes as error:
            told = refusals.scopes_of_role(error, canceling.scopes(owner, repo), "canceling the tasks of its builds")
            raise errors.InsufficientScopes("{told}", told=told) from None
        except errors.ApiError as error:
            if error.status >= 500:
                raise
            raise errors.InputError("{reason}", reason=str(error)) from None
        return {"builds": [_shown(build._replace(state=store.CANCELLED)) for build in found]}


def _number(text: str | None) -> int | None:
    """A pull request's number; one that is too long for any is too large for any."""
    if not text:
        return None
    return int(text) if len(text) < 16 else _MOST


def _shown(build: Build) -> dict[str, Any]:
    made = {
        "organization": names.encoded(build.organization), "repository": names.encoded(build.repository), "sha": build.sha, "state": build.state,
        "taskGroupId": build.task_group_id, "eventType": build.event_type, "eventId": build.event_id,
        "created": clocks.to_wire(build.created), "updated": clocks.to_wire(build.updated),
    }  # fmt: skip
    return made if build.pull_number is None else {**made, "pullRequestNumber": build.pull_number}
