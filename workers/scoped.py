"""Whether a task has a scope that a worker guards."""

from __future__ import annotations

from collections.abc import Sequence

from tcbox import errors
from tcbox.workers import outcomes
from tcbox.workers.runs import Run


async def require(run: Run, needed: Sequence[str | tuple[str, ...]], *, what: str) -> None:
    """Check that a task's scopes cover all that are needed; of several in a tuple, one is enough.

    Raises RunEnded: malformed-payload with what is missing, resource-unavailable when roles cannot be looked up.
    """
    scopes: list[str] = run.task["scopes"]
    choices = [(each,) if isinstance(each, str) else each for each in needed]
    if any(scope.startswith("assume:") for scope in scopes) and not all(_covered(each, scopes) for each in choices):
        try:
            scopes = (await run.http.call("auth", "expandScopes", payload={"scopes": scopes}))["scopes"]
        except errors.ApiError as error:
            raise outcomes.unavailable(f"The scopes of the task's roles could not be looked up: {error}") from error
    missing = [" or ".join(each) for each in choices if not _covered(each, scopes)]
    if missing:
        raise outcomes.malformed(f"{what} needs scopes that task.scopes lacks: add {', '.join(missing)}.")


def _covered(choices: tuple[str, ...], given: list[str]) -> bool:
    return any(scope == each or (each.endswith("*") and scope.startswith(each[:-1])) for each in given for scope in choices)
