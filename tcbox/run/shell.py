"""An interactive shell where a task has failed, before anything of it is cleaned up."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tcbox.workers.docker.engine import Engine, EngineError
from tcbox.workers.places import DockerPlace, HostPlace, Place

_SHELL = ["/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec sh"]


def possible() -> bool:
    """Whether there is a person at a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


async def open_at(place: Place) -> None:
    """Let the person look around, until they leave the shell.

    Raises EngineError when the engine does not make it.
    """
    if isinstance(place, HostPlace):
        await asyncio.to_thread(_on_host, place)
        return
    await _in_container(place)


def _on_host(place: HostPlace) -> None:
    shell = os.environ.get("SHELL") or "/bin/sh"
    subprocess.run([shell, "-i"], cwd=place.folder, env={**place.env, "TERM": os.environ.get("TERM", "dumb")}, check=False)  # noqa: S603 - theirs


async def _in_container(place: DockerPlace) -> None:
    """A container of the failed one's files as they are now, with the same variables, mounts and network."""
    engine = Engine(place.url)
    await engine.open()
    image = container = ""
    try:
        image = (await engine.call("POST", "/commit", query={"container": place.container, "pause": "false"}, body={}))["Id"]
        container = (await engine.call("POST", "/containers/create", body=shell_config(place, image)))["Id"]
        sock = await asyncio.to_thread(_attach, place.url, container)
        await engine.call("POST", f"/containers/{container}/start")
        with contextlib.suppress(EngineError):
            rows, columns = _size()
            await engine.call("POST", f"/containers/{container}/resize", query={"h": str(rows), "w": str(columns)})
        with sock:
            await asyncio.to_thread(_relay, sock)
    finally:
        for what, name in (("containers", container), ("images", image)):
            if name:
                with contextlib.suppress(EngineError):
                    await engine.call("DELETE", f"/{what}/{name}", query={"force": "1"})
        await engine.close()


def shell_config(place: DockerPlace, image: str) -> dict[str, Any]:
    """What the shell's container is made with."""
    return {
        **place.config, "Image": image, "Entrypoint": [], "Cmd": _SHELL, "Tty": True, "OpenStdin": True, "StdinOnce": True,
        "AttachStdin": True, "AttachStdout": True, "AttachStderr": True,
        "Env": [*place.config.get("Env", ()), f"TERM={os.environ.get('TERM', 'dumb')}"],
    }  # fmt: skip


def _attach(url: str, container: str) -> socket.socket:
    """The container's terminal, as a socket."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(parts.path)
    else:
        sock = socket.create_connection((parts.hostname or "localhost", parts.port or 2375))
    head = f"POST /containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    sock.sendall(head.encode())
    reply = b""
    while b"\r\n\r\n" not in reply:
        byte = sock.recv(1)  # bit by bit: what follows is the terminal's
        if not byte:
            break
        reply += byte
    if reply[9:12] not in (b"101", b"200"):
        sock.close()
        said = reply.splitlines()[0].decode(errors="replace") if reply else "no answer"
        raise EngineError(f"the engine gives no terminal: {said}")
    return sock


def _relay(sock: socket.socket) -> None:
    """Hand on keys and characters until the container's terminal closes."""
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    with _raw(keys):
        while True:
            ready, _, _ = select.select([sock, keys], [], [])
            if sock in ready:
                data = sock.recv(65536)
                if not data:
                    return
                os.write(screen, data)
            if keys in ready:
                data = os.read(keys, 4096)
                if not data:
                    sock.shutdown(socket.SHUT_WR)
                    return
                sock.sendall(data)


@contextlib.contextmanager
def _raw(keys: int) -> Iterator[None]:
    before = termios.tcgetattr(keys)
    tty.setraw(keys)
    try:
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


def _size() -> tuple[int, int]:
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 24, 80
    return rows or 24, columns or 80
