"""Removes containers, networks and volumes that a worker of this instance has left."""

from __future__ import annotations

import asyncio
import contextlib

from tcbox import log
from tcbox.workers.docker.engine import Engine, EngineError, labelled

_LOG = log.get("workers")
LABEL = "tcbox.instance"


async def clear(engine: Engine, instance: str) -> None:
    """Remove all that has the instance's label; nothing of the worker's own may be there yet."""
    query = labelled(f"{LABEL}={instance}")
    containers = await engine.call("GET", "/containers/json", query={**query, "all": "1"}) or []
    await asyncio.gather(*(_remove(engine, f"/containers/{each['Id']}", {"force": "1", "v": "1"}) for each in containers))
    networks = await engine.call("GET", "/networks", query=query) or []
    volumes = (await engine.call("GET", "/volumes", query=query) or {}).get("Volumes") or []
    for each in networks:
        await _remove(engine, f"/networks/{each['Id']}", {})
    for each in volumes:
        await _remove(engine, f"/volumes/{each['Name']}", {"force": "1"})
    if containers or networks or volumes:
        _LOG.info(
            "removed what an earlier worker left in Docker",
            extra={"containers": len(containers), "networks": len(networks), "volumes": len(volumes)},
        )


async def _remove(engine: Engine, path: str, query: dict[str, str]) -> None:
    with contextlib.suppress(EngineError):
        await engine.call("DELETE", path, query=query)
