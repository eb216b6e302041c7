"""The rules of the index: which names there may be, who replaces whom, and what a completed task wants indexed.

Source: the index's schemas, and its manual's page on routes and ranks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from tcbox import clock as clocks

FORM = r"([a-zA-Z0-9_!~*'()%-]+\.)*[a-zA-Z0-9_!~*'()%-]+"
LONGEST = 255
"""Characters of a path, as the replies' schema says."""
PREFIX = "index."
LIFE = 365 * clocks.DAY
"""For how long an entry is kept after its task's creation when neither the task nor its `extra.index` says."""
END = 253_402_300_799_999
"""The last millisecond that can be written, at the end of the year 9999."""

_PATH = re.compile(FORM)


class Path(NamedTuple):
    """A name and the namespace that it is in, which is empty at the root."""

    namespace: str
    name: str


class Entry(NamedTuple):
    """A name that stands for a task.

    Attributes:
        rank: a whole number of any size, or a fraction.
        data: a JSON object, as text.
        expires: in ms.
    """

    path: Path
    task_id: str
    rank: float
    data: str
    expires: int


class Wanted(NamedTuple):
    """What a task says about its entries, all of them."""

    rank: float
    data: str
    expires: int


class Unindexable(ValueError):
    """What a task says about its entries makes no sense; the message says why."""


def split(path: str) -> Path:
    """A path in two, at its last dot."""
    namespace, _, name = path.rpartition(".")
    return Path(namespace, name)


def join(namespace: str, name: str) -> str:
    """The path of a name in a namespace."""
    return f"{namespace}.{name}" if namespace else name


def sound(path: str) -> bool:
    """Whether there may be an entry at a path."""
    return len(path) <= LONGEST and _PATH.fullmatch(path) is not None


def folders(namespace: str) -> Iterator[Path]:
    """A namespace as a name in the one above it, then that one, and so on up to the root."""
    while namespace:
        folder = split(namespace)
        yield folder
        namespace = folder.namespace


def folder_expiry(expires: int) -> int:
    """Until when the namespaces of an entry are listed: the end of its last day, so that they need not change all the time."""
    return min((expires // clocks.DAY + 1) * clocks.DAY, END)


def replaces(rank: float, other: float) -> bool:
    """Whether an entry of a rank takes the place of another that has not expired."""
    return rank >= other


def routed(routes: Iterable[str]) -> tuple[list[str], list[str]]:
    """The paths that routes ask for, each once and in order; and the routes to the index that cannot be followed."""
    paths: dict[str, None] = {}
    wrong: list[str] = []
    for route in routes:
        if not route.startswith(PREFIX):
            continue
        path = route.removeprefix(PREFIX)
        if sound(path):
            paths[path] = None
        else:
            wrong.append(route)
    return list(paths), wrong


def wanted(task: Mapping[str, Any]) -> Wanted:
    """What a task definition says about its entries, or else the defaults.

    Raises Unindexable.
    """
    extra = task.get("extra")
    given = extra.get("index") if isinstance(extra, dict) else None
    given = given if isinstance(given, dict) else {}
    rank, data = given.get("rank", 0), given.get("data", {})
    if isinstance(rank, bool) or not isinstance(rank, int | float):
        raise Unindexable(f"task.extra.index.rank is {_brief(rank)}, and must be a number")
    if not isinstance(data, dict):
        raise Unindexable(f"task.extra.index.data is {_brief(data)}, and must be an object")
    expires = moment(given["expires"]) if "expires" in given else _expires(task)
    if expires is None:
        raise Unindexable(f"task.extra.index.expires is {_brief(given['expires'])}, and must be a time such as 2026-01-31T12:00:00.000Z")
    return Wanted(rank, msgspec.json.encode(data).decode(), expires)


def _expires(task: Mapping[str, Any]) -> int:
    if task.get("expires"):
        return clocks.from_wire(task["expires"])
    return clocks.from_wire(task["created"]) + LIFE


def moment(value: Any) -> int | None:
    """A time in ms from what a person wrote for one: ISO 8601, in UTC where it names no zone, or ms since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if 0 <= value <= END else None
    if not isinstance(value, str):
        return None
    try:
        return clocks.from_wire(value)
    except ValueError:
        pass
    try:
        return int(datetime.fromisoformat(value.strip()).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def _brief(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 100 else f"{text[:100]}…"
