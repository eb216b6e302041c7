"""Notifications as values, and the rules on them: what equals what, and when a failed delivery is tried again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from tcbox import clock as clocks

EMAIL, PULSE, MATRIX, SLACK = "email", "pulse", "matrix-room", "slack-channel"
"""The kinds of address, as the denylist and the routes of tasks name them."""

LOOKS = ("simple", "fullscreen")
"""The templates of e-mails."""

LONGEST_SUBJECT = 255
FIRST_PAUSE = 10 * clocks.SECOND
LONGEST_PAUSE = 15 * clocks.MINUTE

_SAME = {
    EMAIL: ("subject", "content", "link", "replyTo"),
    PULSE: ("message",),
    MATRIX: ("format", "formattedBody", "body", "msgtype"),
    SLACK: ("text", "blocks", "attachments"),
}
"""What two notifications to one address must have in common to be the same."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What is to be sent.

    Attributes:
        content: as in the published request of its kind, without the address.
    """

    kind: str
    address: str
    content: dict[str, Any]

    def digest(self) -> str:
        """The same for notifications that are the same to those who get them."""
        parts = [self.kind, self.address, *(self.content.get(name) for name in _SAME[self.kind])]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class Delivery(NamedTuple):
    """A notification on its way.

    Attributes:
        id: stays the same over all attempts, so that who gets it can tell a second copy.
        remaining: how many more mails the address's rate limit allowed when it was accepted, this one included.
        accepted: when it was accepted, in ms since the epoch.
        attempts: how often it was tried in vain.
    """

    id: str
    notification: Notification
    remaining: int
    accepted: int
    attempts: int = 0


class Outcome(Enum):
    """What became of a notification when it was handed over."""

    ACCEPTED = "accepted"
    DENIED = "denied"
    DUPLICATE = "duplicate"
    LIMITED = "limited"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is sent; all times in ms.

    Attributes:
        count, window: so many mails to one address within this time.
        same: for how long one that equals a notification sent before is passed over; 0 for never.
        give_up: for how long a delivery is tried.
        denied: mail addresses that are never written to.
    """

    count: int = 50
    window: int = 600 * clocks.SECOND
    same: int = clocks.DAY
    give_up: int = clocks.DAY
    denied: frozenset[str] = frozenset()


def pause(attempts: int) -> int:
    """How long to wait, in ms, after so many attempts in vain."""
    return min(LONGEST_PAUSE, FIRST_PAUSE << min(max(attempts - 1, 0), 16))


def one_line(text: str, longest: int = LONGEST_SUBJECT) -> str:
    """A text without line breaks and control characters, for headers and log lines."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.split())[:longest]


def header(text: str) -> str:
    """A text as the value of a mail's header: in one line, and not to be taken for the encoded form of another text.

    `=?utf-8?q?...?=` stands for what it encodes, line breaks too, so whoever writes it could add headers of their own.
    """
    return one_line(text).replace("=?", "= ?")


def plain_address(address: str) -> bool:
    """Whether an address, which has the form of one, says nothing else than itself in a mail's header."""
    return "=?" not in address


def harmless(url: str) -> bool:
    """Whether a link leads to a page or a mailbox, and does nothing else."""
    return url.lower().startswith(("https://", "http://", "mailto:")) and url.isprintable() and " " not in url
