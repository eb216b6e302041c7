"""Priorities, and the order in which pending tasks are claimed: the highest priority first, then the longest waiting.

Source: the queue's schema `task`, and the scopes of `createTask`.
"""

from __future__ import annotations

LADDER = ("highest", "very-high", "high", "medium", "low", "very-low", "lowest")
"""All priorities, the highest first."""

LEVEL = {name: len(LADDER) - place for place, name in enumerate(LADDER)}
"""Each priority as a number, 7 for the highest and 1 for the lowest."""

_TIME_BITS = 43
_TIME_MASK = (1 << _TIME_BITS) - 1


_SUFFICIENT = {name: LADDER[: place + 1] for place, name in enumerate(LADDER)}


def sufficient(priority: str) -> tuple[str, ...]:
    """The priorities for which a scope allows a task of this one: itself and all that are higher."""
    return _SUFFICIENT[priority]


def rank(priority: str, since: int) -> int:
    """The place of a run that is pending since a time (in ms): the lowest rank is claimed first."""
    return (len(LADDER) - LEVEL[priority]) << _TIME_BITS | (since & _TIME_MASK)
