"""Checks payloads against their published schemas."""

from __future__ import annotations

import copy
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


def checked(service: str, ref: str, payload: Any) -> Any:
    """A copy of the payload with its schema's defaults filled in; the task's own stays as it came.

    Raises RunEnded(malformed-payload) with every fault.
    """
    validator = _validator(service, ref)
    faults = validator.check(payload)
    if not faults:
        return validator.fill(copy.deepcopy(payload))  # the task stays as it was: it is certified and told of
    lines = "\n".join(f"- payload{fault.path}: {fault.message}" for fault in faults)
    raise outcomes.malformed(f"The task's payload does not have the form that this worker needs:\n{lines}")
