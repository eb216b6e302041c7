"""How long something lasts, in words such as `3 days` or `1d 12h`, as Taskcluster's clients write it.

Source: the relative times of the published client libraries. A month has 30 days there, and a year 365.
"""

from __future__ import annotations

import re

from tcbox import clock as clocks

_UNITS = (
    (r"y(?:ears?|r)?", 365 * clocks.DAY),
    (r"mo(?:nths?)?", 30 * clocks.DAY),
    (r"w(?:eeks?|k)?", 7 * clocks.DAY),
    (r"d(?:ays?)?", clocks.DAY),
    (r"h(?:ours?|r)?", clocks.HOUR),
    (r"m(?:in(?:utes?)?)?", clocks.MINUTE),
    (r"s(?:ec(?:onds?)?)?", clocks.SECOND),
)
FORM = r"\s*\+?" + "".join(rf"(?:\s*(\d{{1,6}})\s*{unit})?" for unit, _ in _UNITS) + r"\s*"
"""What a duration looks like, as a regular expression; it also fits a text without any number."""
_FORM = re.compile(FORM)
_LONGEST = 100


def parse(text: str) -> int:
    """The duration in ms.

    Raises ValueError for a text that is none, or that goes back in time.
    """
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or not any(found.groups()):
        raise ValueError(f"{text[:_LONGEST]!r} is no duration: write it like 3 days, 12h or 1 week 2 days")
    return sum(int(count) * size for count, (_, size) in zip(found.groups(), _UNITS, strict=True) if count)
