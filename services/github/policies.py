"""Who may have tasks created, as the `.taskcluster.yml` of the default branch says.

Source: the published reference of `.taskcluster.yml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

PUBLIC, PUBLIC_RESTRICTED, COLLABORATORS, COLLABORATORS_QUIET = "public", "public_restricted", "collaborators", "collaborators_quiet"


class Verdict(Enum):
    """What a policy makes of an event."""

    TRUSTED = "trusted"
    """Tasks are created."""
    UNTRUSTED = "untrusted"
    """Tasks are created, with the role for pull requests of strangers."""
    REFUSED = "refused"
    """No tasks, and a comment says so when the pull request is opened."""
    QUIET = "quiet"
    """No tasks, and no word."""


def pull_requests(config: Mapping[str, Any] | None) -> str:
    """The policy for pull requests; without a file on the default branch, collaborators may try one out."""
    if config is None:
        return COLLABORATORS_QUIET
    if config.get("version") == 0:
        return str(config.get("allowPullRequests") or COLLABORATORS)
    policy = config.get("policy")
    return str((policy.get("pullRequests") if isinstance(policy, Mapping) else None) or COLLABORATORS)


def comments(config: Mapping[str, Any] | None) -> str | None:
    """Whose comments may have tasks created, None for nobody's."""
    policy = config.get("policy") if config is not None and config.get("version") == 1 else None
    return policy.get("allowComments") if isinstance(policy, Mapping) else None


def judge(policy: str, *, opener: bool, head: bool, same_owner: bool) -> Verdict:
    """What a policy makes of a pull request.

    Args:
        opener: whether who opened it is a collaborator.
        head: whether the owner of the commits is a collaborator.
        same_owner: whether the commits are of the same owner as the repository.
    """
    if opener and (head or same_owner):
        return Verdict.TRUSTED
    if policy == PUBLIC:
        return Verdict.TRUSTED
    if policy == PUBLIC_RESTRICTED:
        return Verdict.UNTRUSTED
    return Verdict.QUIET if policy == COLLABORATORS_QUIET else Verdict.REFUSED
