"""In which order parts start: each after those that it requires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tcbox import errors


class OrderError(errors.TcboxError):
    """The parts cannot be put in an order."""


def sort(requires: Mapping[str, Sequence[str]]) -> list[str]:
    """The names, each after those that it requires, and otherwise as they were given.

    Raises OrderError when one requires what is not there, or when they require each other in a circle.
    """
    done: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            raise OrderError(f"these require each other in a circle: {circle}; take one of the requirements away")
        path.append(name)
        for needed in requires[name]:
            if needed not in requires:
                raise OrderError(f"{name} requires {needed}, which is not there: switch {needed} on, or {name} off")
            visit(needed)
        path.pop()
        done.append(name)

    for name in requires:
        visit(name)
    return done
