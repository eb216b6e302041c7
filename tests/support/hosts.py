"""Two hosts on this machine: network namespaces of the test's own with a switch between them, whose cable can be pulled.

The switch is a bridge in a third namespace. A host whose port is taken out of it keeps its link, and hears and reaches
nobody: packets vanish in both directions, and nobody is told. The machine's own network has no part in any of it.

A process, a thread or a socket belongs to the host that the thread which makes it is `inside` of. Source: namespaces(7), setns(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import ports

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Place:
    """Where processes run: the address at which they listen, and what a thread has to be inside of that starts or asks them."""

    address: str = "127.0.0.1"
    inside: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext

    def free_port(self) -> int:
        with self.inside():
            return ports.free(1, self.address)[0]

    def may_have(self, port: int) -> bool:
        """Whether a port is free, and open to this user."""
        with self.inside():
            return ports.is_free(port, self.address)


class Hosts:
    """Hosts 1, 2, … at 10.77.0.1, 10.77.0.2, …, each with a loopback of its own."""

    def __init__(self, count: int = 2) -> None:
        self.names = [f"tcbox-{os.getpid()}-{number}" for number in range(count + 1)]  # the first is the switch's
        self.addresses = [f"10.77.0.{number}" for number in range(count + 1)]
        try:
            self._make()
        except subprocess.CalledProcessError as error:
            self.remove()
            _missing(f"this machine makes no network namespaces ({error.stderr.strip() or error})")

    def _make(self) -> None:
        for name in self.names:
            _run("ip", "netns", "add", name)
            self._ip(self.names.index(name), "link", "set", "lo", "up")
        self._ip(0, "link", "add", "switch", "type", "bridge")
        self._ip(0, "link", "set", "switch", "up")
        for number in range(1, len(self.names)):
            self._ip(0, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "address", _hardware(number), "netns", self.names[number])
            self._ip(0, "link", "set", f"port{number}", "master", "switch", "up")
            self._ip(number, "addr", "add", f"{self.addresses[number]}/24", "dev", "eth0")
            self._ip(number, "link", "set", "eth0", "up")
        for number in range(1, len(self.names)):  # as behind a router, which hides whether a host is still there
            for other in set(range(1, len(self.names))) - {number}:
                self._ip(number, "neigh", "replace", self.addresses[other], "lladdr", _hardware(other), "dev", "eth0", "nud", "permanent")

    def cut(self, number: int) -> None:
        """Have all that goes to and from a host vanish."""
        self._ip(0, "link", "set", f"port{number}", "nomaster")

    def heal(self, number: int) -> None:
        """Put its cable in again."""
        self._ip(0, "link", "set", f"port{number}", "master", "switch")

    @contextlib.contextmanager
    def inside(self, number: int) -> Iterator[None]:
        """Have what this thread starts and opens be at a host."""
        with Path("/proc/thread-self/ns/net").open() as before:
            with Path(f"/run/netns/{self.names[number]}").open() as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def place(self, number: int) -> Place:
        return Place(self.addresses[number], functools.partial(self.inside, number))

    def remove(self) -> None:
        """Take all of it away; processes that were left there lose their network."""
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def _ip(self, number: int, *words: str) -> None:
        _run("ip", "-netns", self.names[number], *words)


def make(count: int = 2) -> Hosts:
    """Hosts for one test, which must remove them. Without the right to make them it fails in CI, and is skipped elsewhere."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        _missing("network namespaces are root's to make")
    return Hosts(count)


def _hardware(number: int) -> str:
    return f"02:00:00:00:77:{number:02x}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter a network namespace: {os.strerror(number)}")


def _missing(why: str) -> NoReturn:
    reason = f"{why}: run this test as root, with CAP_NET_ADMIN and CAP_SYS_ADMIN, and iproute2 installed"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
