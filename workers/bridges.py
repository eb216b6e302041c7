"""Networks of a Docker engine for one task each, whichever way the engine is asked: which addresses they have."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from tcbox import errors

T = TypeVar("T")
NO_GATEWAY = "the engine made a network without an IPv4 address for this machine: mend its default address pools"
_TRIES = 12
_OWN = ipaddress.IPv4Network("198.18.0.0/15")
_TAKEN = re.compile(r"address pool|overlaps", re.IGNORECASE)


async def made(make: Callable[[dict[str, str]], Awaitable[T]]) -> T:
    """What makes a network: with addresses from the engine's own pools, which are good for some thirty; from others beyond that.

    Args:
        make: is given `Subnet` and `Gateway`, or nothing for the engine's own.

    Raises what it raises.
    """
    for attempt in range(_TRIES):
        try:
            return await make({} if attempt == 0 else _addresses())
        except errors.TcboxError as error:
            if not _TAKEN.search(str(error)) or attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def ends(configs: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """This machine's address on a network, and the addresses of what is on it, from what the engine says of it; None without IPv4."""
    for config in configs:
        gateway = config.get("Gateway", "").partition("/")[0]
        if gateway and ":" not in gateway:
            return gateway, config["Subnet"]
    return None


def _addresses() -> dict[str, str]:
    """One of the 8192 networks of 16 addresses below 198.18.0.0/15, which is set aside for tests and leads nowhere outside."""
    chosen = _OWN.network_address + secrets.randbelow(_OWN.num_addresses // 16) * 16
    return {"Subnet": f"{chosen}/28", "Gateway": str(chosen + 1)}
