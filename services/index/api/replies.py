"""What the methods answer with."""

from __future__ import annotations

from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import errors
from tcbox.services.index import model
from tcbox.services.index.model import Entry


def entry(found: Entry) -> dict[str, Any]:
    """An entry as it is published, its data exactly as it came."""
    return {
        "namespace": model.join(*found.path),
        "taskId": found.task_id,
        "rank": found.rank,
        "data": msgspec.Raw(found.data.encode()),
        "expires": clocks.to_wire(found.expires),
    }


def present(found: Entry | None, path: str, now: int) -> Entry:
    """The entry; raises ResourceNotFound when there is none, or it has expired."""
    if found is None or found.expires <= now:
        raise errors.ResourceNotFound("Indexed task not found: nothing is indexed as {indexPath} just now.", indexPath=path)
    return found
