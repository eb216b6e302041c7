"""Whether a task has a scope that a worker guards."""

from __future__ import annotations

from tcbox import errors
from tcbox.workers import outcomes
from tcbox.workers.runs import Run


async def require(run: Run, needed: list[str], *, what: str) -> None:
    """Check that a task's scopes cover all that are needed.

    Raises RunEnded: malformed-payload with what is missing, resource-unavailable when roles cannot be looked up.
    """
    scopes: list[str] = run.task["scopes"]
    if needed and any(scope.startswith("assume:") for scope in scopes) and not all(_covered(scope, scopes) for scope in needed):
        try:
            scopes = (await run.http.call("auth", "expandScopes", payload={"scopes": scopes}))["scopes"]
        except errors.ApiError as error:
            raise outcomes.unavailable(f"The scopes of the task's roles could not be looked up: {error}") from error
    missing = [scope for scope in needed if not _covered(scope, scopes)]
    if missing:
        raise outcomes.malformed(f"{what} needs scopes that task.scopes lacks: add {', '.join(missing)}.")


def _covered(scope: str, given: list[str]) -> bool:
    return any(scope == each or (each.endswith("*") and scope.startswith(each[:-1])) for each in given)
