"""Where notifications go: a module for each kind of server, and what they have in common."""

from __future__ import annotations

from typing import Protocol

from tcbox.services.notify.model import Delivery

SECONDS = 30.0
"""How long a server has to answer one step."""


class Channel(Protocol):
    """Delivers notifications of one kind.

    Implementers must raise one of the kinds of Undelivered whatever goes wrong, and must show no secret in it.
    """

    @property
    def server(self) -> str:
        """Where it delivers to, for people."""
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Deliver; returns when the server has taken it."""
        ...

    async def close(self) -> None:
        """Close connections that are kept; may be called twice."""
        ...


class Undelivered(Exception):
    """A delivery that did not succeed; the message says what the server said.

    Attributes:
        final: trying again is of no use.
        everywhere: it would be the same for every other delivery by this server just now.
        after: ms to wait before the next attempt, as the server wishes.
    """

    final = False
    everywhere = False

    def __init__(self, reason: str, *, after: int = 0) -> None:
        super().__init__(reason)
        self.after = after


class Refused(Undelivered):
    """The server does not take this message, or not for this address."""

    final = True


class Later(Undelivered):
    """The server does not take this message just now."""


class Unreachable(Undelivered):
    """The server does not answer, or takes nothing just now."""

    everywhere = True


class Rejected(Undelivered):
    """The server does not take us: the credentials or the settings are to be mended."""

    everywhere = True


def said(text: object, longest: int = 300) -> str:
    """What a server said, in one line of a bounded length."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())[:longest]
