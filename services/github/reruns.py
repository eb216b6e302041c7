"""Runs a task again when somebody asks for it at its check run."""

from __future__ import annotations

from tcbox import errors, log
from tcbox.client import LimitableCaller
from tcbox.services.github import names, refusals, store
from tcbox.services.github.comments import Comments
from tcbox.services.github.hub import Hub, Repository
from tcbox.services.github.jobs import Job
from tcbox.services.github.store import Store

_log = log.get("github")


class Reruns:
    """Handles requests to run a check again."""

    def __init__(self, kept: Store, hub: Hub, caller: LimitableCaller, comments: Comments) -> None:
        self._store = kept
        self._hub = hub
        self._caller = caller
        self._comments = comments

    async def handle(self, job: Job) -> None:
        """Run the task of a check run again, with the scopes of its repository's role for that."""
        message = job.payload
        owner, name = names.decoded(message["organization"]), names.decoded(message["repository"])
        check = await self._store.check_by_run(int(message["checkSuiteId"]), int(message["checkRunId"]))
        build = None if check is None else await self._store.build(check.task_group_id)
        if check is None or build is None or (build.organization.lower(), build.repository.lower()) != (owner.lower(), name.lower()):
            _log.warning("no task is known for a check run", extra={"checkRunId": message["checkRunId"], "repository": f"{owner}/{name}"})
            return
        if await self._store.begun(message["eventId"]):
            return  # it was delivered before
        scopes = [f"assume:repo:github.com/{owner}/{name}:rerun"]
        try:
            await self._caller.limited(scopes).call("queue", "rerunTask", check.task_id)
        except errors.ApiError as error:
            if error.status >= 500:
                raise
            run = message["body"]["check_run"]
            pulls = (run["check_suite"].get("pull_requests") or run.get("pull_requests") or [None])[0]
            told = refusals.scopes_of_role(error, scopes, f"running the task `{check.task_id}` again") if error.status == 403 else str(error)
            await self._comments.write(
                Repository(self._hub.installation(job.installation_id), owner, name), "Taskcluster could not run a task again", told,
                sha=run["head_sha"], pull_number=pulls["number"] if pulls else None,
            )  # fmt: skip
            return
        await self._store.begin(message["eventId"])
        await self._store.set_state(check.task_group_id, store.PENDING, force=True)
