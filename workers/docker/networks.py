"""A network of its own for a task that has the proxy, so that no other task can reach it."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import Any

from tcbox.workers.docker.engine import Engine, EngineError

_TRIES = 12
_OWN = ipaddress.IPv4Network("198.18.0.0/15")
_TAKEN = re.compile(r"address pool|overlaps", re.IGNORECASE)


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
        reply = await _made(engine, {"Name": name, "Driver": "bridge", "Labels": labels})
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


async def _made(engine: Engine, body: dict[str, Any]) -> Any:
    """A network with addresses from the engine's own pools, which are good for some thirty; from others beyond that."""
    for attempt in range(_TRIES):
        pool = {} if attempt == 0 else {"IPAM": {"Config": [_addresses()]}}
        try:
            return await engine.call("POST", "/networks/create", body={**body, **pool})
        except EngineError as error:
            if not _TAKEN.search(str(error)) or attempt == _TRIES - 1:
                raise
    return None


def _addresses() -> dict[str, str]:
    """One of the 8192 networks of 16 addresses below 198.18.0.0/15, which is set aside for tests and leads nowhere outside."""
    chosen = _OWN.network_address + secrets.randbelow(_OWN.num_addresses // 16) * 16
    return {"Subnet": f"{chosen}/28", "Gateway": str(chosen + 1)}
