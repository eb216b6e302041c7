"""What a section of the settings is: a frozen dataclass whose constructor is shared rather than generated.

There are two dozen of them, and generating code for each would take longer than reading the configuration.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,))
def section(kind: type[T]) -> type[T]:
    """Make a class a section: its attributes are given by key word, and never change."""
    methods = {"__init__": _init, "__repr__": _repr, "__eq__": _eq, "__hash__": None, "__setattr__": _refuse, "__delattr__": _refuse}
    for name, method in methods.items():
        setattr(kind, name, method)
    return dataclasses.dataclass(init=False, repr=False, eq=False)(kind)


def _init(self: Any, **given: Any) -> None:
    values: dict[str, Any] = {}
    for item in dataclasses.fields(self):
        if item.name in given:
            values[item.name] = given.pop(item.name)
        elif item.default is not dataclasses.MISSING:
            values[item.name] = item.default
        elif item.default_factory is not dataclasses.MISSING:
            values[item.name] = item.default_factory()
        else:
            raise TypeError(f"{type(self).__name__} needs {item.name}")
    if given:
        raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")
    self.__dict__.update(values)


def _repr(self: Any) -> str:
    shown = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in dataclasses.fields(self) if item.repr)
    return f"{type(self).__name__}({shown})"


def _eq(self: Any, other: object) -> bool:
    same = type(other) is type(self)
    return same and all(getattr(self, item.name) == getattr(other, item.name) for item in dataclasses.fields(self) if item.compare)


def _refuse(self: Any, name: str, *value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change {name}: make changed settings with dataclasses.replace")
