"""The address at which containers reach this machine, and this machine itself."""

from __future__ import annotations

import ipaddress
import os
import socket

from tcbox.box.workers import docker_missing
from tcbox.workers.docker.engine import Engine, EngineError

LOOPBACK = "127.0.0.1"


def docker_url() -> str:
    """Where the Docker engine is, by the variable that Docker's own programs read."""
    given = os.environ.get("DOCKER_HOST", "")
    return given if given.startswith(("unix://", "tcp://")) else "unix:///var/run/docker.sock"


async def address(url: str) -> tuple[str, str]:
    """An address for servers that tasks call, and why there can be no containers; the latter empty when there can.

    The engine's side of its usual network is this machine's own and nobody's else. Where the engine runs in a machine of
    its own, such as on a Mac, it is this machine's address in the network.
    """
    why = docker_missing(url)
    if why:
        return LOOPBACK, why
    engine = Engine(url)
    try:
        await engine.open()
        gateway = await _gateway(engine)
    except EngineError as error:
        return LOOPBACK, str(error)
    finally:
        await engine.close()
    return next(filter(_ours, (gateway, _outward())), LOOPBACK), ""


async def _gateway(engine: Engine) -> str:
    try:
        details = await engine.call("GET", "/networks/bridge")
    except EngineError:
        return ""
    for each in (details.get("IPAM") or {}).get("Config") or []:
        network = ipaddress.ip_network(each.get("Subnet", "::/128"), strict=False)
        if network.version == 4:
            return str(each.get("Gateway") or network[1]).partition("/")[0]  # some engines leave out the usual one
    return ""


def _ours(address: str) -> bool:
    if not address:
        return False
    with socket.socket() as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
    return True


def _outward() -> str:
    """This machine's address on the way to others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("10.254.254.254", 9))
            return str(sock.getsockname()[0])
        except OSError:
            return ""
