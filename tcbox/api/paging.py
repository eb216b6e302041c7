"""Paging: how many rows a caller wants, and an opaque token for where the next page starts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tcbox import errors

MAXIMUM = 1000
_LONG = 16
"""Digits of a limit that is more than any list is long."""
_MOST = 2**63
"""What the numbers in a key are below, as those of a database are."""
Item = TypeVar("Item")


def limit(query: Mapping[str, str], maximum: int = MAXIMUM) -> int:
    """How many rows to return: what the query asks for, at least 1, at most the maximum."""
    text = query.get("limit") or str(maximum)
    return max(1, min(int(text), maximum)) if len(text) < _LONG else maximum


def after(query: Mapping[str, str], *kinds: type) -> list[Any] | None:
    """The key that the page starts after, or None for the first page.

    Args:
        kinds: the type of each part of the key; a token that does not hold just these is refused.

    Raises InputError for a token that this method did not give.
    """
    token = query.get("continuationToken")
    if not token:
        return None
    try:
        key = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        key = None
    if not isinstance(key, list) or len(key) != len(kinds) or not all(map(_fits, key, kinds)):
        raise errors.InputError(
            "The continuationToken {token} is none of this method's: use one from its last reply, or leave it out to start at the beginning.",
            token=token,
        )
    return key


def _fits(part: Any, kind: type) -> bool:
    """Whether a part of a key is of its type, and such as a database can hold."""
    if type(part) is not kind:
        return False
    return -_MOST <= part < _MOST if isinstance(part, int) else "\0" not in part if isinstance(part, str) else True


def token(*key: Any) -> str:
    """The token of a page that starts after this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def page(name: str, rows: Sequence[Item], size: int, key: Callable[[Item], Sequence[Any]], shape: Callable[[Item], Any]) -> dict[str, Any]:
    """A reply with one page, from rows of which one more than `size` was asked for.

    Args:
        name: the reply's property that holds the list.
        key: a row's key, for the token of the next page.
        shape: a row as the reply shows it.
    """
    reply: dict[str, Any] = {name: [shape(row) for row in rows[:size]]}
    if len(rows) > size:
        reply["continuationToken"] = token(*key(rows[size - 1]))
    return reply
