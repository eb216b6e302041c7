"""Server-sent events, read from bytes as they come.

Source: the HTML standard, 9.2.6, interpreting an event stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Sent(NamedTuple):
    """One event.

    Attributes:
        kind: its type; `message` unless it says another.
    """

    kind: str
    data: str


class Reader:
    """Takes bytes, and gives the events that are whole.

    Attributes:
        last_id: the id to go on from, once the connection is lost.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._held = b""
        self._id = last_id
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Sent]:
        """The events that these bytes complete."""
        *lines, self._held = (self._held + chunk).split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace").removesuffix("\r")
            if line:
                self._field(line)
                continue
            self.last_id = self._id
            if self._data:
                yield Sent(self._kind or "message", "\n".join(self._data))
            self._kind, self._data = "", []

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._id = value
