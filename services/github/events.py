"""What the service announces: events of GitHub as they come, and tasks that were created for them.

Source: the published exchanges reference of the github service.
"""

from __future__ import annotations

from tcbox.events import Exchange, Exchanges, Key

exchanges = Exchanges(
    "github",
    title="GitHub Exchanges",
    description="""
    Messages about events on GitHub, with the event as GitHub sent it, and about task groups that were created for one.

    In routing keys a dot of an owner's or a repository's name is written as `%`.
    """,
)

_COMMON = (
    Key("routingKeyKind", "Always `primary`, as opposed to `route` for custom routes.", required=True, constant="primary"),
    Key("organization", "The repository's owner: dots are written as `%`, and what is no letter, digit, `-` or `_` is left out.", required=True),
    Key("repository", "The repository: dots are written as `%`, and what is no letter, digit, `-` or `_` is left out.", required=True),
)


def _declare(exchange: str, name: str, title: str, description: str, schema: str, *keys: Key) -> Exchange:
    return exchanges.declare(exchange, name=name, title=title, description=description, schema=schema, keys=(*_COMMON, *keys))


pull_request = _declare(
    "pull-request", "pullRequest", "GitHub Pull Request Event",
    "Something happened to a pull request, or somebody gave a command in a comment on one.",
    "github-pull-request-message", Key("action", "What happened, in GitHub's words.", required=True),
)  # fmt: skip
push = _declare("push", "push", "GitHub Push Event", "A branch or a tag was pushed.", "github-push-message")
release = _declare("release", "release", "GitHub Release Event", "Something happened to a release.", "github-release-message")
rerun = _declare("rerun", "rerun", "GitHub Rerun Event", "Somebody asked on GitHub for a check to be run again.", "github-rerun-message")
task_group_creation_requested = _declare(
    "task-group-creation-requested", "taskGroupCreationRequested", "Task Group Created",
    "All tasks that an event calls for were created. Also sent under the routes of the first of them, as `route.<route>`.",
    "task-group-creation-requested",
)  # fmt: skip
