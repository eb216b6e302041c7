"""Comments on commits and pull requests, each written once."""

from __future__ import annotations

from tcbox import clock as clocks
from tcbox import log
from tcbox.services.github import refusals, store
from tcbox.services.github.hub import Refused, Repository
from tcbox.services.github.store import Store

CONFUSED, EYES, APPROVAL = "confused", "eyes", "+1"
_log = log.get("github")


class Comments:
    """Writes comments.

    Args:
        prefix: what the first line of each begins with, such as the name of the instance.
    """

    def __init__(self, kept: Store, clock: clocks.Clock, *, prefix: str = "") -> None:
        self._store = kept
        self._clock = clock
        self._prefix = prefix

    async def write(self, repository: Repository, summary: str, details: str, *, sha: str, pull_number: int | None = None) -> None:
        """Write a comment on a pull request, or else on a commit, unless it stands there since less than a day.

        Raises HubError, but for what GitHub will never take.
        """
        summary = f"{self._prefix}: {summary}" if self._prefix else summary
        digest = store.digest((repository.owner, repository.name, pull_number or sha, summary, details))
        if await self._store.commented(digest, self._clock.now()):
            return
        path = f"/issues/{pull_number}/comments" if pull_number else f"/commits/{sha}/comments"
        try:
            await repository.ask("POST", path, {"body": refusals.comment(summary, details)})
        except Refused as error:
            if error.status not in (403, 404, 410, 422):
                raise
            _log.warning(
                "a comment cannot be written: %s", error, extra={"repository": f"{repository.owner}/{repository.name}", "sha": sha, "comment": details[:500]}
            )
            return
        await self._store.note_comment(digest)

    async def react(self, repository: Repository, comment_id: int, reaction: str) -> None:
        """Show somebody that their comment was read."""
        try:
            await repository.ask("POST", f"/issues/comments/{comment_id}/reactions", {"content": reaction})
        except Refused as error:
            if error.status not in (403, 404, 410, 422):
                raise
            _log.warning("a reaction cannot be given: %s", error, extra={"repository": f"{repository.owner}/{repository.name}"})
