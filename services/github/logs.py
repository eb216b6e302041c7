"""The beginning and the end of a task's log, for people: read as it comes, without keeping more than is shown."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import AsyncIterable

HEAD, TAIL = 20, 200
"""Lines from the beginning and from the end."""
LONGEST = 4_000
"""Characters of a line; what is longer is cut."""
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain(text: str) -> str:
    """A text without colours and the like."""
    return _ANSI.sub("", text)


async def excerpt(chunks: AsyncIterable[bytes], most: int, *, head: int = HEAD, tail: int = TAIL) -> str:
    """The first and the last lines of a log, with what lies between counted; at most so many characters."""
    first: list[str] = []
    last: deque[str] = deque(maxlen=tail)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    total, rest = 0, ""
    async for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        rest = rest[: LONGEST * 2]
        for line in lines:
            total += 1
            (first if len(first) < head else last).append(_tidy(line))
    rest += decoder.decode(b"", final=True)
    if rest:
        total += 1
        (first if len(first) < head else last).append(_tidy(rest))
    return _fitted(first, list(last), total, most)


def _tidy(line: str) -> str:
    return plain(line.rstrip("\r").rpartition("\r")[2])[:LONGEST]


def _fitted(first: list[str], last: list[str], total: int, most: int) -> str:
    """Lines of the beginning as far as they fit, then as many of the end as fit."""
    whole = "\n".join([*first, *last])
    if total == len(first) + len(last) and len(whole) <= most:
        return whole
    left = most - 60
    kept: list[str] = []
    for line in first:
        if len(line) + 1 > left // 2:
            break
        kept.append(line)
        left -= len(line) + 1
    ending: deque[str] = deque()
    for line in reversed(last):
        if len(line) + 1 > left:
            break
        ending.appendleft(line)
        left -= len(line) + 1
    hidden = total - len(kept) - len(ending)
    return "\n".join([*kept, "", f"... {hidden} lines are not shown here ...", "", *ending])
