"""Settings of the github service."""

from __future__ import annotations

from tcbox.config.section import section
from tcbox.config.values import HttpUrl, Secret, TaskQueue, Version

_NO_SECRET = Secret()


@section
class Github:
    """Tasks for pushes, pull requests and releases on GitHub. Needs the queue. Without `app_id`, `private_key` and
    `webhook_secrets` it takes no webhooks; files can be tried out, and what is there can be read.
    """

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    app_id: str = ""
    """Number of the GitHub App, as its settings on GitHub show it. Default: none."""

    private_key: Secret = _NO_SECRET
    """Private key of the GitHub App in PEM; give it by reference, as `${file:/path/key.pem}`. Default: none."""

    webhook_secrets: tuple[Secret, ...] = ()
    """Secrets, any of which GitHub may sign its webhooks with; give them by reference. Two make it possible to change
    from one to the other. Default: none, and every webhook is refused."""

    endpoint: HttpUrl = ""
    """URL of GitHub's API; of a GitHub Enterprise server `https://host/api/v3`. Default: GitHub's."""

    bot_name: str = ""
    """Name of the GitHub App's user, with or without `[bot]`, by which its commit statuses are known. Default: asked of
    GitHub."""

    status_context: str = "Taskcluster"
    """With what the titles of check runs and the names of commit statuses begin. Default: Taskcluster. After a change
    GitHub shows statuses of both names on commits that have some already."""

    comment_prefix: str = ""
    """With what the first line of comments begins, before a colon: a name that tells instances apart. Default: nothing."""

    docker_task_queue: TaskQueue = "local/docker"
    """What `{{ taskcluster.docker.provisionerId }}` and `{{ taskcluster.docker.workerType }}` stand for in files of version
    0. Default: local/docker."""

    cancel_pushes: bool = False
    """Whether a push cancels the tasks of earlier pushes to the same branch, unless it is the default branch or the file
    says `autoCancelPreviousChecks: false`. Default: false; for pull requests it is always so."""
