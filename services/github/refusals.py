"""What is told to people on GitHub when something cannot be done: what, why, and who can mend it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from tcbox import errors

_MISSING = re.compile(r"is missing the following scopes:\s+```(.*?)```", re.DOTALL)
_COMMENT_LIMIT = 60_000
"""Characters; GitHub takes 65536."""


def missing_scopes(error: errors.ApiError) -> str:
    """What is missing, as the service that refuses says it: a scope, or an expression of scopes; empty when it does not."""
    told = error.details.get("unsatisfied")
    if isinstance(told, str):
        return told
    found = _MISSING.search(str(error))
    return found[1].strip() if found else ""


def scopes_of_role(error: errors.ApiError, scopes: Sequence[str], doing: str) -> str:
    """Which scopes are missing, and which role should have them.

    Args:
        scopes: with what it was tried; the roles are those that are assumed.
        doing: what was tried, such as "creating the task `build`".
    """
    roles = [scope.removeprefix("assume:") for scope in scopes if scope.startswith("assume:")]
    missing = missing_scopes(error)
    who = " and ".join(f"`{role}`" for role in roles) or "none"
    if not missing:
        return f"Failed at {doing}, which was tried with the role {who}:\n\n{error}"
    named = _scopes_in(missing)
    listed = "\n".join(f"* `{scope}`" for scope in named) if named else fenced(missing)
    needs = "a scope" if len(named) == 1 else "scopes"
    some = " (one of these would do, where the expression below says AnyOf)" if "AnyOf" in missing and len(named) > 1 else ""
    lines = [f"The role {who} lacks {needs} for {doing}{some}:", listed]
    if named and "AnyOf" in missing:
        lines.append(fenced(missing))
    wider = next((wide for role in roles if (wide := _wider(role)) is not None), None)
    other = f", or to one that covers it, such as `{wider}`" if wider is not None else ""
    lines += [f"Grant what is missing to that role{other}.", "Tried with the scopes:", fenced("\n".join(scopes))]
    return "\n\n".join(lines)


def _scopes_in(missing: str) -> list[str]:
    """The scopes that an expression names."""
    if not missing.startswith(("{", "[")):
        return missing.split("\n")
    try:
        return list(dict.fromkeys(_leaves(json.loads(missing))))
    except json.JSONDecodeError:
        return []


def _leaves(node: object) -> Iterable[str]:
    if isinstance(node, str):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _leaves(each)


def _wider(role: str) -> str | None:
    """The role that all events of a repository have."""
    found = re.match(r"repo:github\.com/[^/:]+/[^:]+:", role)
    return f"{found[0]}*" if found and role != f"{found[0]}*" else None


def fenced(text: str) -> str:
    """A text as it stands, whatever Markdown would make of it."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{ticks}\n{text}\n{ticks}"


def comment(summary: str, details: str) -> str:
    """A comment that shows one line, and the rest when it is opened."""
    if len(details) > _COMMENT_LIMIT:
        details = f"{details[:_COMMENT_LIMIT]}\n\n(cut off here)"
    return f"<details>\n\n<summary>{summary}</summary>\n\n{details}\n\n</details>"
