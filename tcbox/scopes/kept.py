"""What was worked out is kept by what was asked, up to a weight: strangers choose what they ask, and how large it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")
_EACH = 96  # bytes that a scope takes in a set beside its characters
_SHARE = 8  # one result may take this part of the whole, so that none drives out all others


def weigh(scopes: Collection[str]) -> int:
    """About how many bytes of memory scopes take."""
    return _EACH * len(scopes) + sum(map(len, scopes))


class Kept(OrderedDict[_K, _V]):
    """Results by what was asked, found as in any dict; those not asked for the longest go first.

    Args:
        most: how many are kept.
        weight: how many bytes of memory they may take together, about.
    """

    def __init__(self, most: int, weight: int) -> None:
        super().__init__()
        self.taken = 0
        self._most = most
        self._weight = weight
        self._weights: dict[_K, int] = {}

    def keep(self, key: _K, value: _V, weight: int) -> None:
        """Keep a result that is not there yet, unless it is so heavy, in bytes, that hardly another would have room beside it."""
        if weight > self._weight // _SHARE:
            return
        self[key] = value
        self._weights[key] = weight
        self.taken += weight
        while self.taken > self._weight or len(self) > self._most:
            oldest, _ = self.popitem(last=False)
            self.taken -= self._weights.pop(oldest)
