"""Checks payloads against their published schemas."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tcbox.api.schemas import SchemaSet, Validator
from tcbox.workers import outcomes

_HERE = Path(__file__).parent


@cache
def _schemas() -> SchemaSet:
    return SchemaSet.load({"docker-worker": _HERE / "docker" / "schemas", "generic-worker": _HERE / "host" / "schemas"})


@cache
def _validator(service: str, ref: str) -> Validator:
    return _schemas().validator(service, ref)


def checked(service: str, ref: str, payload: Any, *, besides: Sequence[str] = ()) -> Any:
    """A copy of the payload with its schema's defaults filled in; the task's own stays as it came.

    Args:
        besides: faults of parts that were taken out of the payload before.

    Raises RunEnded(malformed-payload) with every fault.
    """
    validator = _validator(service, ref)
    faults = [f"payload{fault.path}: {fault.message}" for fault in validator.check(payload)]
    if faults:
        raise outcomes.malformed(_listed("The task's payload does not have the form that this worker needs:", [*faults, *besides]))
    if besides:
        raise refused(besides)
    return validator.fill(copy.deepcopy(payload))  # the task stays as it was: it is certified and told of


def refused(faults: Sequence[str]) -> outcomes.RunEnded:
    """How a run ends whose payload has the right form, and asks for what the worker does not do."""
    return outcomes.malformed(_listed("The task's payload asks for what this worker does not do:", faults))


def _listed(what: str, faults: Sequence[str]) -> str:
    return "\n- ".join((what, *faults))
