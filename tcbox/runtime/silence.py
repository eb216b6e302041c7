"""Connections whose other side has fallen silent, since its host was cut off or lost its power.

Such a host ends none of its connections. By itself TCP goes on hoping: for a quarter of an hour when something was sent,
for ever when the answer is awaited or nothing is to be said. Here the kernel asks the other side's kernel whether it is
still there, whatever the process behind it does meanwhile; so a slow answer is none that is lost.

Sources: tcp(7) of Linux, TCP_USER_TIMEOUT and TCP_KEEPIDLE.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

LOST_AFTER = 10.0
"""Seconds of silence after which a connection counts as lost, unless the configuration says otherwise."""
PROBES = 3
"""Questions without an answer after which it does."""


def watch(sock: Any, seconds: float) -> None:
    """Have a connection end with an error when the other side's host says nothing for so long; sockets of this machine are left alone."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    idle, interval = timing(seconds)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", idle),  # the second is macOS's name of it
        ("TCP_KEEPINTVL", interval),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", int(seconds * 1000)),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def timing(seconds: float) -> tuple[int, int]:
    """After how many seconds without a word the other side is asked, and how many lie between two questions."""
    interval = max(1, int(seconds / (PROBES + 1)))
    return max(1, int(seconds) - PROBES * interval), interval


def sockets(seconds: float) -> Callable[[Any], socket.socket]:
    """What makes such sockets for aiohttp's connector, whose other uses of them stay as they are."""

    def make(address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        watch(made, seconds)
        return made

    return make
