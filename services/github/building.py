"""Makes tasks when something happened: reads `.taskcluster.yml`, asks whether it may, creates tasks, fires hooks.

Source: the published reference of the github service. Everything may be done twice: ids derive from the delivery, so
tasks that exist already are found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tcbox import clock as clocks
from tcbox import log
from tcbox.services.github import files, names, policies, webhooks
from tcbox.services.github.comments import CONFUSED, EYES, Comments
from tcbox.services.github.compiling import Trigger
from tcbox.services.github.configs import ConfigInvalid, Configs
from tcbox.services.github.creating import Creating, Origin
from tcbox.services.github.hub import Hub, Repository, UnknownCommit, part
from tcbox.services.github.jobs import Job
from tcbox.services.github.policies import Verdict
from tcbox.services.github.renderer import Renderer

NOT_STARTED = "No Taskcluster jobs started"
_NO_COMMIT = "0" * 40
_PATIENCE = 4
"""Tries in vain to find a commit, over more than a minute, until it counts as gone."""
_log = log.get("github")


class Building:
    """Handles events."""

    def __init__(self, hub: Hub, clock: clocks.Clock, *, renderer: Renderer, configs: Configs, creating: Creating, comments: Comments) -> None:
        self._hub = hub
        self._clock = clock
        self._renderer = renderer
        self._configs = configs
        self._creating = creating
        self._comments = comments

    async def handle(self, job: Job) -> None:
        """Make tasks for one event."""
        message = job.payload
        repository = Repository(self._hub.installation(job.installation_id), names.decoded(message["organization"]), names.decoded(message["repository"]))
        trigger = Trigger(
            organization=repository.owner, repository=repository.name, tasks_for=message["tasks_for"], branch=message["branch"],
            details=message["details"], body=message["body"], seed=message["eventId"], now=clocks.to_wire(self._clock.now()),
        )  # fmt: skip
        if message["body"].get("deleted") or trigger.details.get("event.head.sha") == _NO_COMMIT:
            return
        trigger, sha, pull_number = await self._commit(repository, trigger)
        pushed = trigger.branch if trigger.kind == "push" else None
        origin = Origin(repository, sha, pull_number, pushed, job.installation_id, trigger.kind, message["eventId"], comment=_comment_id(trigger))
        try:
            await self._build(trigger, origin)
        except ConfigInvalid as error:
            await self._comments.write(
                repository, "Taskcluster cannot use `.taskcluster.yml`", f"In `.taskcluster.yml` of {sha}:\n\n{error}", sha=sha, pull_number=pull_number
            )
            if origin.comment is not None:
                await self._comments.react(repository, origin.comment, CONFUSED)
        except UnknownCommit:
            if job.attempts < _PATIENCE:
                raise
            _log.warning("GitHub does not know the commit of an event", extra={"eventId": origin.event_id, "sha": sha})

    async def _commit(self, repository: Repository, trigger: Trigger) -> tuple[Trigger, str, int | None]:
        """The commit that an event is about and the number of its pull request; looked up where the event does not say."""
        sha = trigger.details.get("event.head.sha")
        number = trigger.details.get("event.pullNumber")
        if sha:
            return trigger, str(sha), None if number is None else int(number)
        if trigger.kind == "release":  # of the branch, as the tag may not be there yet
            commit = await repository.ask("GET", f"/commits/{part(trigger.branch)}")
            return trigger, str(commit["sha"]), None
        pull = await repository.ask("GET", f"/pulls/{int(trigger.body['issue']['number'])}")
        body = {**trigger.body, "pull_request": pull, "taskcluster_comment": trigger.details["taskcluster_comment"]}
        return replace(trigger, body=body), str(pull["head"]["sha"]), int(pull["number"])

    async def _build(self, trigger: Trigger, origin: Origin) -> None:
        text = await files.fetch(origin.repository, origin.sha)
        if text is None:
            return
        default_branch = await origin.repository.default_branch()
        if trigger.tasks_for == webhooks.PULL_REQUEST:
            judged = await self._judge(trigger, origin, default_branch)
            if judged is None:
                return
            trigger = judged
        elif trigger.tasks_for == webhooks.COMMENT and not await self._comment_counts(trigger, origin, default_branch):
            return
        graph = await self._configs.compile(self._renderer, await self._configs.load(self._renderer, text), trigger)
        if graph.tasks or graph.hooks:
            await self._creating.create(graph, trigger, origin, default_branch=default_branch)
        else:
            await self._nothing(origin)

    async def _nothing(self, origin: Origin) -> None:
        if origin.comment is not None:
            await self._tell(origin, f"{NOT_STARTED} for this command", "The `.taskcluster.yml` makes no task and fires no hook for this comment.")

    async def _policies(self, origin: Origin, branch: str) -> dict[str, Any] | None:
        """The file on the default branch, None when there is none; one that cannot be used is the author's to mend."""
        try:
            text = await files.fetch(origin.repository, branch)
        except UnknownCommit:
            return None  # an empty repository has no such commit
        if text is None:
            return None
        try:
            return await self._configs.load(self._renderer, text)
        except ConfigInvalid as error:
            raise ConfigInvalid(f"Policies are read from the default branch, `{branch}`, and its file cannot be used. {error}") from None

    async def _judge(self, trigger: Trigger, origin: Origin, branch: str) -> Trigger | None:
        """The trigger that tasks may be made for, None when there may be none."""
        policy = policies.pull_requests(await self._policies(origin, branch))
        if policy == policies.PUBLIC:
            return trigger
        pull = trigger.body["pull_request"]
        opener, head, base = pull["user"]["login"], _owner(pull["head"]), _owner(pull["base"])
        known = await origin.repository.is_collaborator(opener)
        same = head.lower() == base.lower()
        head_known = known and not same and (head == opener or await origin.repository.is_collaborator(head))
        verdict = policies.judge(policy, opener=known, head=head_known, same_owner=same)
        if verdict is Verdict.TRUSTED:
            return trigger
        if verdict is Verdict.UNTRUSTED:
            return replace(trigger, tasks_for=webhooks.UNTRUSTED)
        if verdict is Verdict.REFUSED and trigger.kind == "pull_request.opened":
            await self._tell(
                origin, f"{NOT_STARTED} for this pull request",
                f"The policy for pull requests in `.taskcluster.yml` of `{branch}` is `{policy}`: {opener} must be a collaborator, "
                f"and the commits must come from this repository or a collaborator's.",
            )  # fmt: skip
        return None

    async def _comment_counts(self, trigger: Trigger, origin: Origin, branch: str) -> bool:
        """Whether a comment may have tasks made; if not, its author is told."""
        config = await self._policies(origin, branch)
        if config is None:
            return False
        author = trigger.body["comment"]["user"]["login"]
        if policies.comments(config) != policies.COLLABORATORS:
            summary, reaction = f"{NOT_STARTED} for this comment", CONFUSED
            details = f"`policy.allowComments` in `.taskcluster.yml` of `{branch}` does not allow comments to start tasks: set it to `collaborators`."
        elif not await origin.repository.is_collaborator(author):
            summary, reaction = f"{NOT_STARTED} for this comment", EYES
            details = f"Comments of collaborators alone can start tasks, and {author} is none."
        else:
            return True
        await self._tell(origin, summary, details)
        if origin.comment is not None:
            await self._comments.react(origin.repository, origin.comment, reaction)
        return False

    async def _tell(self, origin: Origin, summary: str, details: str) -> None:
        await self._comments.write(origin.repository, summary, details, sha=origin.sha, pull_number=origin.pull_number)


def lane(message: dict[str, Any]) -> str:
    """Events of a pull request, or of a branch, are handled in their order."""
    number = message["details"].get("event.pullNumber") or (message["body"].get("issue") or {}).get("number")
    return f"event {message['organization']}/{message['repository']} {f'#{number}' if number else message['branch']}"


def _owner(end: dict[str, Any]) -> str:
    owner = end["repo"]["owner"]
    return str((end.get("user") or {}).get("login") or owner.get("login") or owner.get("name"))


def _comment_id(trigger: Trigger) -> int | None:
    return int(trigger.body["comment"]["id"]) if trigger.tasks_for == webhooks.COMMENT else None
