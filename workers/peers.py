"""Whose program is at the other end of a connection within this machine, which the system knows."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator

_TABLES = {4: "/proc/net/tcp", 6: "/proc/net/tcp6"}
_LOOKS = 3
"""How often the table is read before a connection is not in it: what goes meanwhile can hide another line from who reads it."""
NOBODY = -1
Address = tuple[str, int]


def strange(peer: Address, own: Address) -> bool:
    """Whether a connection comes from a program of this machine that is another user's, root's aside, or nobody's any more.

    False for other machines, containers on networks of their own among them, and where nobody can tell, as on macOS.
    """
    return near(peer[0]) and _of_others(peer, own)


def own_process(peer: Address, own: Address) -> bool:
    """Whether a connection comes from a program of this machine that is this user's or root's, or whose user nobody can tell."""
    return near(peer[0]) and not _of_others(peer, own)


def _of_others(peer: Address, own: Address) -> bool:
    if not hasattr(os, "getuid"):
        return False
    told = False
    for _ in range(_LOOKS):
        for end in (peer, (own[0], peer[1])):
            for path, *ends in _places(end, own):
                with contextlib.suppress(OSError), open(path, encoding="ascii") as table:
                    told = True
                    owner = find(table, *ends)
                    if owner is not None:
                        return owner not in (0, os.getuid()) or (end is not peer and not _open(peer, own))
    return told


def near(host: str) -> bool:
    """Whether an address is one of this machine's own, so that its programs alone can connect from it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def find(table: Iterable[str], peer: Address, own: Address) -> int | None:
    """The user to whom the other end belongs, by the system's table of connections; None when it is not there.

    NOBODY when its program has closed it: the table says root then.
    """
    ends = f" {_written(peer)} {_written(own)} "
    for line in table:
        if ends in line:
            fields = line.split()
            return NOBODY if fields[9] == "0" else int(fields[7])
    return None


def _open(peer: Address, own: Address) -> bool:
    """Whether a connection is open at both of its ends.

    Docker has a program's connection to this machine's address on one of its networks come from another of this machine's
    addresses, with the port as it was. What is found by the port alone is the same connection only if this one is still there.
    """
    for path, *ends in _places(own, peer):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as table:
            if any(f" {_written(ends[0])} {_written(ends[1])} 01 " in line for line in table):
                return True
    return False


def _places(peer: Address, own: Address) -> Iterator[tuple[str, Address, Address]]:
    """Each table that can have the connection, with its ends as they stand there.

    Either end of a connection of IPv4 may be a socket of IPv6, which writes its addresses as ::ffff:127.0.0.1.
    """
    plain = (_plain(peer[0]), peer[1]), (_plain(own[0]), own[1])
    version = ipaddress.ip_address(plain[0][0]).version
    yield (_TABLES[version], *plain)
    if version == 4:
        mapped = [(f"::ffff:{host}", port) for host, port in plain]
        yield (_TABLES[6], mapped[0], mapped[1])


def _plain(host: str) -> str:
    mapped = getattr(ipaddress.ip_address(host), "ipv4_mapped", None)
    return host if mapped is None else str(mapped)


def _written(address: Address) -> str:
    """An address as the table has it: words of four bytes, each as this machine has them in memory."""
    packed = ipaddress.ip_address(address[0]).packed
    words = (int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{address[1]:04X}"
