"""JSON as YAML that people read and compare: block style, long texts as they are, the same text for the same value each time.

What is written comes back exactly, from readers of YAML 1.1 and of 1.2: a text that either would take for something else stands
in quotes. The library's own writer does the first alone, and takes ten times as long for a large instance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_STEP = 2
_LONGEST_KEY = 1000  # YAML takes keys of up to 1024 letters without a mark
_PRINTABLE = " -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
_PLAIN = re.compile(rf"[A-Za-z_/$(<^\xa1-\u2027\u202f-\ud7ff][{_PRINTABLE}]*")
_MARKS = re.compile(r":(\s|$)|\s#|\s$")
_WORDS = re.compile(r"(y|n|yes|no|on|off|true|false|null|<<)", re.IGNORECASE)
_SINGLE = re.compile(rf"[{_PRINTABLE}]+")
_LINES = re.compile(rf"[{_PRINTABLE}\n\t]+")
_RAW = re.compile(rf"[^{_PRINTABLE}]")


def document(value: dict[str, Any]) -> str:
    """A mapping as a document."""
    return "".join(f"{line}\n" for line in _mapping(value, 0))


def _mapping(value: dict[str, Any], indent: int) -> Iterator[str]:
    blank = " " * indent
    for name, below in value.items():
        key = scalar(name)
        if len(key) > _LONGEST_KEY:
            yield f"{blank}? {key}"
            yield from _placed(f"{blank}: ", below, indent, indent + _STEP)
        elif isinstance(below, (dict, list)) and below:
            yield f"{blank}{key}:"
            yield from _block(below, indent + _STEP)
        else:
            yield from _leaf(f"{blank}{key}: ", below, indent)


def _block(value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _mapping(value, indent)
        return
    for each in value:
        yield from _placed(f"{' ' * indent}- ", each, indent, indent + _STEP)


def _placed(head: str, value: Any, parent: int, indent: int) -> Iterator[str]:
    """A value after a dash or a colon, its first line on the same one."""
    if not (isinstance(value, (dict, list)) and value):
        yield from _leaf(head, value, parent)
        return
    lines = _block(value, indent)
    yield head + next(lines)[indent:]
    yield from lines


def _leaf(head: str, value: Any, parent: int) -> Iterator[str]:
    if isinstance(value, str) and "\n" in value and _LINES.fullmatch(value) and value.strip():
        yield from _lines(head, value, " " * (parent + _STEP))
    else:
        yield head + scalar(value)


def _lines(head: str, text: str, blank: str) -> Iterator[str]:
    """A text of several lines as they are."""
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    first = str(_STEP) if text[0] in " \n\t" else ""
    yield f"{head}|{first}{('-', '')[ends] if ends < 2 else '+'}"
    for line in body.split("\n"):
        yield blank + line if line else ""
    yield from [""] * (ends - 1)


def scalar(value: Any) -> str:
    """What stands on one line."""
    if not isinstance(value, str):
        return _number(value) if isinstance(value, float) else json.dumps(value)
    if _PLAIN.fullmatch(value) and not _MARKS.search(value) and not _WORDS.fullmatch(value):
        return value
    if ('"' in value or "\\" in value) and _SINGLE.fullmatch(value):
        return "'" + value.replace("'", "''") + "'"
    return _RAW.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _number(value: float) -> str:
    """A number with a point in it, which readers of YAML 1.1 ask for."""
    text = repr(value)
    return text.replace("e", ".0e", 1) if "e" in text and "." not in text else text


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
