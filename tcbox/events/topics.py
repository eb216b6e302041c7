"""Topic patterns: which routing keys a binding takes. `*` is one word, `#` is any number of words.

Source: AMQP 0-9-1, topic exchanges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    words = pattern.split(".")
    text = ""
    for index, word in enumerate(words):
        first = index == 0
        if word == "#":
            text += r"(?:[^.]*(?:\.[^.]*)*)?" if first else r"(?:\.[^.]*)*"
        else:
            separator = "" if first else r"\." if words[:index] != ["#"] * index else r"(?:^|\.)"
            text += separator + (r"[^.]*" if word == "*" else re.escape(word))
    return re.compile(text)


def matches(pattern: str, routing_key: str) -> bool:
    """Whether the pattern takes the routing key.

    Patterns come from anybody. With more than one `#` a regular expression may try very many ways, so these go by words.
    """
    if pattern.count("#") > 1:
        return _by_words(pattern.split("."), routing_key.split("."))
    return _compiled(pattern).fullmatch(routing_key) is not None


def _by_words(pattern: Sequence[str], key: Sequence[str]) -> bool:
    """The same, never taking more steps than the product of both lengths: only the last `#` is ever tried anew."""
    at, word, hash_at, hash_word = 0, 0, -1, 0
    while word < len(key):
        if at < len(pattern) and pattern[at] == "#":
            hash_at, hash_word = at, word
            at += 1
        elif at < len(pattern) and pattern[at] in ("*", key[word]):
            at, word = at + 1, word + 1
        elif hash_at >= 0:
            hash_word += 1
            at, word = hash_at + 1, hash_word
        else:
            return False
    return all(each == "#" for each in pattern[at:])


@dataclass(frozen=True, slots=True)
class Binding:
    """An exchange's full address and a pattern of routing keys."""

    exchange: str
    pattern: str = "#"

    @property
    def routed(self) -> bool:
        """Whether it takes only custom routes, and routing keys whose first word happens to be `route`."""
        return self.pattern.startswith("route.")

    def takes(self, exchange: str, routing_keys: Iterable[str]) -> bool:
        """Whether a message to this exchange, with these primary and CC keys, is delivered."""
        return exchange == self.exchange and (self.pattern == "#" or any(matches(self.pattern, key) for key in routing_keys))
