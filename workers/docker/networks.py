"""A network of its own for a task that has the proxy, so that no other task can reach it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from tcbox.workers import bridges
from tcbox.workers.docker.engine import Engine, EngineError


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge.

    Attributes:
        gateway: this machine's address on it.
        subnet: the addresses of what is on it, such as 172.18.0.0/16.
    """

    engine: Engine
    id: str
    gateway: str
    subnet: str

    @classmethod
    async def create(cls, engine: Engine, name: str, labels: dict[str, str]) -> Network:
        """Make a bridge.

        Raises EngineError.
        """

        async def make(addresses: dict[str, str]) -> Any:
            pool = {"IPAM": {"Config": [addresses]}} if addresses else {}
            return await engine.call("POST", "/networks/create", body={"Name": name, "Driver": "bridge", "Labels": labels, **pool})

        reply = await bridges.made(make)
        details = await engine.call("GET", f"/networks/{reply['Id']}")
        found = bridges.ends(details["IPAM"]["Config"])
        if found is None:
            await cls(engine, reply["Id"], "", "").remove()
            raise EngineError(bridges.NO_GATEWAY)
        return cls(engine, reply["Id"], *found)

    async def remove(self) -> None:
        """Remove it; nothing when it is gone."""
        with contextlib.suppress(EngineError):
            await self.engine.call("DELETE", f"/networks/{self.id}")
