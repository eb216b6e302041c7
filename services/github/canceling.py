"""Cancels builds: those that somebody names, and those that a newer one makes superfluous."""

from __future__ import annotations

from collections.abc import Sequence

from tcbox import errors, log
from tcbox.client import LimitableCaller
from tcbox.services.github import store
from tcbox.services.github.compiling import SCHEDULER
from tcbox.services.github.store import Build, Store

_NEW_COMMITS = ("pull_request.opened", "pull_request.synchronize")
_log = log.get("github")


def scopes(organization: str, repository: str) -> list[str]:
    """The scopes with which a repository's task groups are sealed and canceled."""
    return [
        f"assume:repo:github.com/{organization}/{repository}:*",
        f"queue:seal-task-group:{SCHEDULER}/*",
        f"queue:cancel-task-group:{SCHEDULER}/*",
    ]


def superseded(newer: Build, pending: Sequence[Build], *, pushes: bool = False) -> list[Build]:
    """Which builds a newer one makes superfluous: earlier ones for the same kind of event of its pull request.

    Commits that are pushed to a pull request are of one kind with its opening.

    Args:
        pushes: likewise for pushes to its branch.
    """
    if newer.event_type == "push":
        kinds: tuple[str, ...] = ("push",) if pushes and newer.branch else ()
    elif newer.event_type.startswith("pull_request.") and newer.pull_number is not None:
        kinds = _NEW_COMMITS if newer.event_type in _NEW_COMMITS else (newer.event_type,)
    else:
        kinds = ()
    return [
        build for build in pending
        if build.task_group_id != newer.task_group_id and build.event_id != newer.event_id
        and build.event_type in kinds and build.pull_number == newer.pull_number and build.branch == newer.branch
    ]  # fmt: skip


class Canceling:
    """Seals and cancels task groups with the scopes of their repository."""

    def __init__(self, kept: Store, caller: LimitableCaller) -> None:
        self._store = kept
        self._caller = caller

    async def cancel(self, organization: str, repository: str, builds: Sequence[Build]) -> None:
        """Cancel builds of a repository; a task group that does not exist counts as canceled.

        Raises the queue's ApiErrors; what was canceled by then is noted.
        """
        limited = self._caller.limited(scopes(organization, repository))
        for build in builds:
            try:
                await limited.call("queue", "sealTaskGroup", build.task_group_id)
                await limited.call("queue", "cancelTaskGroup", build.task_group_id)
            except errors.ResourceNotFound:
                _log.info("a build's task group is not there, and counts as canceled", extra={"taskGroupId": build.task_group_id})
            await self._store.set_state(build.task_group_id, store.CANCELLED)
