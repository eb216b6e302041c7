"""Free ports for programs that cannot choose one themselves.

They lie outside the range from which the system gives ports to outgoing connections, one of which could take a port between this look
and the program's start. So could another test process: each keeps a lock on the ports that it was given, as long as it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import random
import socket
import tempfile

_chosen: set[int] = set()
_random = random.Random(os.urandom(8))  # noqa: S311 - side by side, processes are to choose differently, whatever seed a test sets


def free(count: int = 1, address: str = "127.0.0.1") -> list[int]:
    """So many ports that are free at an address, none of which this process, or another that lives, was given before."""
    found: list[int] = []
    while len(found) < count:
        port = _random.randrange(10_000, 32_000)
        if port not in _chosen and _kept(port) and is_free(port, address):
            _chosen.add(port)
            found.append(port)
    return found


@functools.cache
def _locks() -> int:
    """The file, one byte for each port, on which all test processes of this user keep their locks; closed, it would let go of all."""
    return os.open(f"{tempfile.gettempdir()}/tcbox-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _kept(port: int) -> bool:
    """Whether a port is now this process's among the tests'."""
    with contextlib.suppress(BlockingIOError, PermissionError):
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        return True
    return False


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a port is free, and open to this user."""
    with socket.socket() as sock, contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of one who ended a moment ago do not count
        sock.bind((address, port))
        return True
    return False
