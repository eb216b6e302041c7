"""A network of its own for a task that has the proxy, so that no other task can reach it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

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
        reply = await engine.call("POST", "/networks/create", body={"Name": name, "Driver": "bridge", "Labels": labels})
        details = await engine.call("GET", f"/networks/{reply['Id']}")
        for config in details["IPAM"]["Config"]:
            gateway = config.get("Gateway", "").partition("/")[0]
            if gateway and ":" not in gateway:
                return cls(engine, reply["Id"], gateway, config["Subnet"])
        await cls(engine, reply["Id"], "", "").remove()
        raise EngineError("the engine made a network without an IPv4 address for this machine: mend its default address pools")

    async def remove(self) -> None:
        """Remove it; nothing when it is gone."""
        with contextlib.suppress(EngineError):
            await self.engine.call("DELETE", f"/networks/{self.id}")
