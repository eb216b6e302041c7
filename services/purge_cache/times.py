"""Times as callers write them in a query: the API's own form, and others that clients in use send.

Source: what JavaScript's `Date.parse` takes, as far as it is specified, and its dates as text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tcbox import clock as clocks

_COMMENT = re.compile(r"\s*\([^)]*\)\s*$")
_LONGEST = 200


def moment(text: str) -> int:
    """Milliseconds from a time in ISO 8601, in that of an e-mail, or in that of a JavaScript date; in UTC without a zone.

    Raises ValueError.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:_LONGEST]!r}… is not a time: no time is longer than {_LONGEST} characters")
    try:
        return clocks.from_wire(text)
    except ValueError:
        plain = _COMMENT.sub("", text.strip())
    for read in (datetime.fromisoformat, _javascript, _mail):
        try:
            found = read(plain)
            return int((found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, TypeError, OverflowError):
            continue
    raise ValueError(f"{text!r} is not a time: write it like 2026-01-31T12:00:00.000Z")


def _javascript(text: str) -> datetime:
    return datetime.strptime(text, "%a %b %d %Y %H:%M:%S GMT%z")


def _mail(text: str) -> datetime:
    from email.utils import parsedate_to_datetime  # an import that a start need not wait for

    return parsedate_to_datetime(text)
