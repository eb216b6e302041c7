"""Schedules: cron expressions with or without seconds, in UTC, and when they come next.

An expression is first read into one whose every field is a plain list, so that it means what it means to the
published service, whatever a library makes of `3-3`, `1/5` or `*/2`; which date then comes next is `cronsim`'s to
find. Source: the forms that the published service takes, those of cron-parser 5.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

LONGEST = 1000
"""Letters of an expression; who needs more has made a mistake."""

_NAMES = {
    "@yearly": "0 0 0 1 1 *", "@annually": "0 0 0 1 1 *", "@monthly": "0 0 0 1 * *", "@weekly": "0 0 0 * * 0", "@daily": "0 0 0 * * *",
    "@hourly": "0 0 * * * *", "@minutely": "0 * * * * *", "@secondly": "* * * * * *", "@weekdays": "0 0 0 * * 1-5", "@weekends": "0 0 0 * * 0,6",
}  # fmt: skip
_MONTHS = {name: number for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_HASHED = re.compile(r"H(?:\((\d+)-(\d+)\))?(?:/(\d+))?")
_LAST = re.compile(r"([0-7])L")
_NTH = re.compile(r"([0-7])#([1-5])")


class CronError(ValueError):
    """An expression that is none, or that never comes; the message says which field is wrong, and what it may be."""


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: dict[str, int]

    @property
    def days(self) -> bool:
        """Whether this is the day of the week, in which 0 and 7 are both Sunday."""
        return self.high == 7


_FIELDS = (
    _Field("second", 0, 59, {}), _Field("minute", 0, 59, {}), _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}), _Field("month", 1, 12, _MONTHS), _Field("day of week", 0, 7, _DAYS),
)  # fmt: skip


def check(expressions: Iterable[str], now: int, salt: str = "") -> None:
    """Check that each expression is one, and comes at some time after `now`.

    Raises CronError.
    """
    for expression in expressions:
        if next_after([expression], now, salt) is None:
            raise CronError(f"the schedule {expression!r} never comes: there is no such date")


def next_after(expressions: Sequence[str], time: int, salt: str = "") -> int | None:
    """The first time, in ms since the epoch, after a time at which one of the expressions comes; None when none does.

    Args:
        salt: what places `H`, the letter for some value or other, such as the hook's name.

    Raises CronError for what is no expression.
    """
    found = [each for each in (_next(read(expression, salt), time) for expression in expressions) if each is not None]
    return min(found, default=None)


def _next(plain: str, time: int) -> int | None:
    from cronsim import CronSim, CronSimError

    try:
        coming = next(CronSim(plain, datetime.fromtimestamp(time // 1000, UTC)), None)
    except (CronSimError, OverflowError):  # a day that its months do not have; a year past 9999
        return None
    return None if coming is None else int(coming.timestamp()) * 1000


@lru_cache(maxsize=1024)
def read(expression: str, salt: str = "") -> str:
    """An expression in six fields, each `*` or a list of numbers.

    Raises CronError.
    """
    if len(expression) > LONGEST:
        raise CronError(f"the schedule {expression[:40]!r}… has {len(expression)} characters: write it with at most {LONGEST}")
    words = _NAMES.get(expression, expression).split()
    if len(words) not in (5, 6):
        raise CronError(
            f"the schedule {expression!r} has {len(words)} fields: write five (minute, hour, day of month, month, day of week), or six with seconds first"
        )
    words = ["0"] * (6 - len(words)) + words
    fields = [_read(field, word, expression, salt) for field, word in zip(_FIELDS, words, strict=True)]
    if "#" in fields[5] and fields[3] != "*":
        fields[3] = _in_week(fields[3], int(fields[5].partition("#")[2]))
    return " ".join(fields)


def _in_week(days: str, week: int) -> str:
    """Days of the month, less those that are not in a week of it: as published, `#` holds for the whole date."""
    kept = [day for day in days.split(",") if (day == "L" and week == 5) or (day != "L" and (int(day) + 6) // 7 == week)]
    return ",".join(kept) or "*"


def _read(field: _Field, word: str, expression: str, salt: str) -> str:
    if word in ("*", "?"):
        return "*"
    try:
        if "H" in word:
            word = _HASHED.sub(lambda found: _hashed(field, found, salt), word)
        items = [item for part in word.split(",") for item in _item(field, part, alone="," not in word)]
    except ValueError as error:
        raise CronError(f"the schedule {expression!r} has no valid {field.name}: {error}") from None
    return ",".join(dict.fromkeys(items))


def _item(field: _Field, text: str, *, alone: bool) -> list[str]:
    """The values of one part of a list."""
    if field.name == "day of month" and text == "L":
        return ["L"]
    if field.days and (found := _LAST.fullmatch(text)):
        return [f"{int(found[1]) % 7}L"]
    if field.days and "#" in text:
        found = _NTH.fullmatch(_numbered(field, text))
        if found is None or not alone:
            raise ValueError(f"{text!r} is not one weekday and which of the month, as 2#1 for the first Tuesday")
        return [f"{int(found[1]) % 7}#{found[2]}"]
    span, slash, step = text.partition("/")
    if slash and (not (step.isascii() and step.isdecimal()) or int(step) == 0):
        raise ValueError(f"{text!r} repeats at {step!r}: give a number of at least 1")
    low, high = _span(field, span, open_ended=bool(slash))
    values = list(range(low, high + 1, int(step) if slash else 1))
    if field.days:
        # as published: a range that ends on Sunday has Sunday in it, even where the step passes it by
        values = [0, *values] if low != high and high == 7 else values
        values = sorted({value % 7 for value in values})
    return [str(value) for value in values]


def _span(field: _Field, text: str, *, open_ended: bool) -> tuple[int, int]:
    if text in ("*", "?"):
        return field.low, field.high
    first, dash, last = text.partition("-")
    low = _value(field, first)
    high = _value(field, last) if dash else field.high if open_ended else low
    if low > high:
        raise ValueError(f"the range {text!r} ends before it begins")
    return low, high


def _numbered(field: _Field, text: str) -> str:
    return re.sub(r"[a-z]{3}", lambda found: str(field.names.get(found[0].lower(), found[0])), text, flags=re.IGNORECASE)


def _value(field: _Field, text: str) -> int:
    number = field.names.get(text.lower(), -1)
    if text.isascii() and text.isdecimal():
        number = int(text)
    if not field.low <= number <= field.high:
        raise ValueError(f"{text!r} is not from {field.low} to {field.high}" + (f", nor one of {', '.join(field.names)}" if field.names else ""))
    return number


def _hashed(field: _Field, found: re.Match[str], salt: str) -> str:
    """What `H`, `H(2-5)`, `H/10` or `H(2-5)/10` stands for: always the same for one salt, evenly spread over all salts."""
    low, high = (field.low, field.high) if found[1] is None else (int(found[1]), int(found[2]))
    if not field.low <= low <= high <= field.high:
        raise ValueError(f"the range of {found[0]!r} must lie from {field.low} to {field.high}, and not end before it begins")
    chance = int.from_bytes(hashlib.sha256(f"{field.name}/{salt}".encode()).digest()[:8])
    if found[3] is None:
        return str(low + chance % (high - low + 1))
    step = int(found[3])
    if step == 0:
        raise ValueError(f"{found[0]!r} repeats at 0: give a number of at least 1")
    values = [value for value in range(low // step * step + chance % step, high + 1, step) if value >= low]
    return ",".join(map(str, values or [low]))
