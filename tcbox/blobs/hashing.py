"""Several hashes of the same bytes, and what to say when one differs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from tcbox.blobs.interface import HashMismatch

KNOWN = frozenset({"sha256", "sha512", "md5"})


class Hashes:
    """Takes bytes and gives their hashes; the algorithms not known here are left out."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashers = {name: hashlib.new(name, usedforsecurity=name != "md5") for name in algorithms if name in KNOWN}

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        for hasher in self._hashers.values():
            hasher.update(data)

    def hexdigests(self) -> dict[str, str]:
        """The hashes so far, by algorithm."""
        return {name: hasher.hexdigest() for name, hasher in self._hashers.items()}

    def __bool__(self) -> bool:
        return bool(self._hashers)


def compare(key: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise HashMismatch when a hash that was found is not the expected one."""
    for algorithm, value in found.items():
        if expected.get(algorithm, value).lower() != value:
            raise HashMismatch(f"the bytes of {key} have the {algorithm} {value}, and should have {expected[algorithm]}: upload them again, or mend the hash")
