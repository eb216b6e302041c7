"""JSON-e in the parts of a task that say how its notifications read; for a process apart, as others wrote it."""

from __future__ import annotations

from typing import Any

_MOST = 100_000
"""Items that `range` gives."""


class TemplateError(Exception):
    """A template that cannot be rendered; the message says why."""


def render(template: Any, context: dict[str, Any]) -> Any:
    """What a template comes to. Raises TemplateError."""
    import jsone

    try:
        return jsone.render(template, {**context, "range": _range})
    except Exception as error:  # besides JSON-e's own errors, Python's: recursion, overflow, wrong types
        raise TemplateError(str(error) or type(error).__name__) from None


def _range(start: int, stop: int, step: int = 1) -> list[int]:
    """JSON-e's own builtin, for lists of a sensible length."""
    if not all(type(number) is int for number in (start, stop, step)) or step == 0:
        raise TemplateError("invalid arguments to builtin: range")
    numbers = range(start, stop, step)
    if len(numbers) > _MOST:
        raise TemplateError(f"range would give more than {_MOST} numbers")
    return list(numbers)
