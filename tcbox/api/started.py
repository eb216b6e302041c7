"""Runs a coroutine up to where it first waits, and goes on with it in a task only if it does.

Most API calls never wait, and a task costs them more than finding their method.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Started(Coroutine[Any, Any, T], Generic[T]):
    """A coroutine that waits for something already, in the form that a task takes."""

    __slots__ = ("_awaited", "_coroutine", "_fresh")

    def __init__(self, coroutine: Coroutine[Any, Any, T], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited
        self._fresh = True

    def send(self, value: Any) -> Any:
        """What it waits for: at first what it has waited for since before the task."""
        if self._fresh:
            self._fresh = False
            return self._awaited
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error, such as the task's cancellation, where the coroutine waits."""
        self._fresh = False
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End the coroutine where it waits."""
        self._coroutine.close()

    def __await__(self) -> Any:
        raise TypeError("a coroutine that has been started goes on in a task: give it to create_task")


class Done(Generic[T]):
    """The value of a coroutine that never waited."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value


def first_step(coroutine: Coroutine[Any, Any, T]) -> Done[T] | Started[T]:
    """Run a coroutine until it ends or waits; what it raises is raised.

    There is no current task meanwhile. Who needs one, for a time-out say, awaits `asyncio.sleep(0)` before: that is
    waiting, and the coroutine goes on in its task.
    """
    try:
        return Started(coroutine, coroutine.send(None))
    except StopIteration as stop:
        return Done(stop.value)
