"""Whose program is at the other end of a connection within this machine, which the system knows."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterable

_TABLES = {4: "/proc/net/tcp", 6: "/proc/net/tcp6"}
Address = tuple[str, int]


def strange(peer: Address, own: Address) -> bool:
    """Whether a connection comes from a program of another user of this machine, root's aside; False where nobody can tell."""
    if not hasattr(os, "getuid"):
        return False
    with contextlib.suppress(OSError, ValueError):
        with open(_TABLES[ipaddress.ip_address(peer[0]).version], encoding="ascii") as table:
            owner = find(table, peer, own)
        return owner not in (None, 0, os.getuid())
    return False


def find(table: Iterable[str], peer: Address, own: Address) -> int | None:
    """The user to whom the other end belongs, by the system's table of connections."""
    ends = f"{_written(peer)} {_written(own)} "
    for line in table:
        if ends in line:
            return int(line.split()[7])
    return None


def _written(address: Address) -> str:
    """An address as the table has it: words of four bytes, each as this machine has them in memory."""
    packed = ipaddress.ip_address(address[0]).packed
    words = (int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{address[1]:04X}"
