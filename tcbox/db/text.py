"""SQL as text: what is code in it, and what is a comment, a string or a quoted name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

# One alternative for each kind of text in which nothing is to be replaced; `::` is here so that a cast is no parameter.
_OPAQUE = re.compile(
    r"""
      --[^\n]*                                  # a comment to the end of the line
    | /\*.*?\*/                                 # a comment in the middle
    | '(?:[^']|'')*'                            # a string
    | "(?:[^"]|"")*"                            # a quoted name
    | \$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$    # a string in dollars
    | ::                                        # a cast
    """,
    re.VERBOSE | re.DOTALL,
)
_PARAMETER = re.compile(r"(?<![\w:]):([A-Za-z_]\w*)")


def pieces(sql: str) -> Iterator[tuple[bool, str]]:
    """The text in order, in pieces: whether it is code, and the piece itself."""
    at = 0
    for opaque in _OPAQUE.finditer(sql):
        if opaque.start() > at:
            yield True, sql[at : opaque.start()]
        yield False, opaque.group()
        at = opaque.end()
    if at < len(sql):
        yield True, sql[at:]


def in_code(sql: str, change: Callable[[str], str]) -> str:
    """The text with its code changed, and comments, strings and quoted names as they were."""
    return "".join(change(piece) if code else piece for code, piece in pieces(sql))


def without_comments(sql: str) -> str:
    """The text without comments and without blank lines."""
    kept = "".join(" " if piece.startswith(("--", "/*")) else piece for _, piece in pieces(sql))
    return "\n".join(line.rstrip() for line in kept.splitlines() if line.strip())


def parameters(sql: str) -> tuple[str, ...]:
    """The names of the `:name` parameters in order of their first use."""
    names: dict[str, None] = {}
    for code, piece in pieces(sql):
        if code:
            names.update(dict.fromkeys(_PARAMETER.findall(piece)))
    return tuple(names)


def numbered(sql: str, names: tuple[str, ...], sign: str = "$") -> str:
    """The text with `$1`, `$2`, … for the `:name` parameters, by their place in `names`."""
    if not names:
        return sql
    places = {name: f"{sign}{number}" for number, name in enumerate(names, 1)}
    return in_code(sql, lambda code: _PARAMETER.sub(lambda match: places[match[1]], code))
