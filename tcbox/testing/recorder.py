"""The events of an instance, as a test asks about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from tcbox import errors
from tcbox.config.guesses import meant

Reader = Callable[[int], list[Any]]
"""Gives the events after an id."""
_PAUSE = 0.005  # seconds between two looks


class NoSuchEvent(AssertionError):
    """An event that was waited for did not come."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event.

    Attributes:
        name: the last part of the exchange, such as "task-completed".
        exchange: all of it, such as "exchange/taskcluster-queue/v1/task-completed".
        routes: the custom routes it was also sent to.
    """

    id: int
    name: str
    exchange: str
    routing_key: str
    routes: tuple[str, ...]
    payload: Any

    @property
    def task_id(self) -> str | None:
        """The task that it is about, if it is about one."""
        status = self.payload.get("status") if isinstance(self.payload, dict) else None
        return status.get("taskId") if isinstance(status, dict) else None


class Events:
    """What an instance has announced since it was ready, or since `clear`, in order.

    Args:
        read: gives the events after an id.
        after: the id of the last event that the test has nothing to do with.
        known: the names of all events that the instance may announce.
    """

    def __init__(self, read: Reader, after: int = 0, known: Collection[str] = ()) -> None:
        self._known = known
        self._read = read
        self._seen: list[Recorded] = []
        self._last = after

    def __iter__(self) -> Iterator[Recorded]:
        self._catch_up()
        return iter(list(self._seen))

    def __len__(self) -> int:
        self._catch_up()
        return len(self._seen)

    def names(self) -> list[str]:
        """The names alone, such as ["task-defined", "task-pending"]."""
        return [event.name for event in self]

    def of(self, name: str, **fields: Any) -> list[Recorded]:
        """Those of a name, such as "task-completed", and with these values: taskId, or anything at the top of the payload."""
        return [event for event in self if _fits(event, name, fields)]

    def clear(self) -> None:
        """Forget what has been announced so far."""
        self._catch_up()
        self._seen.clear()

    def wait(self, name: str, *, timeout: float = 10.0, **fields: Any) -> Recorded:
        """The first event of a name, and with these values, that is there or comes within so many seconds.

        Raises NoSuchEvent, with the names of what came instead; TcboxError at once for a name that no event has.
        """
        if self._known and name not in self._known:
            hint = meant(name, sorted(self._known))
            raise errors.TcboxError(f"no event is named {name!r}{f': {hint}' if hint else ''} (they are {', '.join(sorted(self._known))})")
        until = time.monotonic() + timeout
        while True:
            found = self.of(name, **fields)
            if found:
                return found[0]
            if time.monotonic() >= until:
                asked = name + (f" with {fields}" if fields else "")
                raise NoSuchEvent(f"no event {asked} came within {timeout:g} s; there were: {', '.join(self.names()) or 'none'}")
            time.sleep(_PAUSE)

    def _catch_up(self) -> None:
        for event in self._read(self._last):
            self._last = event.id
            name = event.exchange.rpartition("/")[2]
            self._seen.append(Recorded(event.id, name, event.exchange, event.routing_key, tuple(event.cc), event.payload))


def _fits(event: Recorded, name: str, fields: dict[str, Any]) -> bool:
    if event.name != name:
        return False
    known = {**(event.payload if isinstance(event.payload, dict) else {}), **({"taskId": event.task_id} if event.task_id else {})}
    return all(key in known and known[key] == value for key, value in fields.items())
