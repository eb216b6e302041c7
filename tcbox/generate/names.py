"""Names: taken apart into words, put together as a language writes them, and no two alike."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[A-Z]+")
_INITIALS = {"id", "url", "uri", "json", "http", "https", "api", "aws", "arn", "sha", "html", "ip", "vm", "os"}
_PLURALS = {"ids": "IDs", "urls": "URLs"}


def words(text: str) -> list[str]:
    """The words of a name: `taskQueueId`, `task-queue-id` and `TaskQueueID` alike."""
    return [word.lower() for word in _WORD.findall(text)]


def camel(text: str) -> str:
    """A name of a type: `CreateTaskRequest`."""
    made = "".join(word[:1].upper() + word[1:] for word in words(text))
    return f"N{made}" if made[:1].isdigit() else made or "Unnamed"


def exported(text: str) -> str:
    """The same as Go's readers write it: `TaskQueueID`."""
    made = "".join(map(_capital, words(text)))
    return f"N{made}" if made[:1].isdigit() else made or "Unnamed"


def unexported(text: str) -> str:
    """A parameter in Go: `taskQueueID`."""
    first, *rest = words(text) or ["x"]
    made = first + "".join(map(_capital, rest))
    return f"n{made}" if made[:1].isdigit() else made


def _capital(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    return word.upper() if word in _INITIALS else word[:1].upper() + word[1:]


class Names:
    """Gives each thing a name that nothing else has.

    Args:
        taken: names that stand for something else already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, wish: str) -> str:
        """The wish, or the wish with a number."""
        name, number = wish, 1
        while name in self._taken:
            number += 1
            name = f"{wish}{number}"
        self._taken.add(name)
        return name
