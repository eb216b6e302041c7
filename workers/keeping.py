"""Keeps a claim alive while its task runs, and notices when the run is no longer ours."""

from __future__ import annotations

from tcbox import errors, log
from tcbox.workers import outcomes
from tcbox.workers.runs import Run

_LOG = log.get("workers")
_AGAIN_MS = 5_000
_WHY = {"canceled": "was cancelled", "deadline-exceeded": "passed its deadline", "claim-expired": "had its claim expire"}


async def keep(run: Run, watch_ms: int) -> None:
    """Reclaim the run after two thirds of each claim, and watch it between; never returns.

    Aborts the run as lost when it was resolved elsewhere, or when it could not be reclaimed in time.
    """
    due = _due(run)
    while True:
        now = run.clock.now()
        await run.clock.sleep(max(0, min(watch_ms, due - now)))
        if run.clock.now() >= due:
            due = await _reclaim(run)
        elif run.aborted is None:
            await watch(run)


def _due(run: Run) -> int:
    return run.claimed_at + max(0, run.taken_until - run.claimed_at) * 2 // 3


async def _reclaim(run: Run) -> int:
    try:
        run.adopt(await run.call("reclaimTask"))
    except errors.ApiError as error:
        if error.status == 409:
            await watch(run)
            run.abort(outcomes.lost(f"The queue refused to renew the claim: {error}"))
        elif run.clock.now() >= run.taken_until:
            run.abort(outcomes.lost(f"The claim ran out, since it could not be renewed: {error}"))
        else:
            _LOG.warning("cannot renew a claim, will try again", extra={"run": run.name, "error": str(error)})
        return run.clock.now() + _AGAIN_MS
    return _due(run)


async def watch(run: Run) -> None:
    """Ask the queue how the run stands, and abort it when it is no longer running."""
    try:
        reply = await run.http.call("queue", "status", run.task_id)
    except errors.ApiError as error:
        _LOG.debug("cannot ask for a task's status", extra={"run": run.name, "error": str(error)})
        return
    mine = reply["status"]["runs"][run.run_id]
    if mine["state"] != "running":
        reason = mine.get("reasonResolved", mine["state"])
        run.abort(outcomes.lost(f"Task aborted: it {_WHY.get(reason, f'was resolved as {reason}')}."))
