"""A delivered message, and what takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """A delivered message.

    Attributes:
        id: its place among this instance's messages; 0 for one that another system has announced.
        cc: custom routes, without the `route.` before them.
        time: when it was announced, in ms since the epoch; for another system's, when it arrived.
    """

    id: int
    exchange: str
    routing_key: str
    cc: tuple[str, ...]
    payload: Any
    time: int


Handler = Callable[[Event], Awaitable[None]]
