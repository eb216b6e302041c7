"""What an instance that has ended may have left: containers, networks and volumes in Docker, and a temporary folder."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from tcbox.config.instance import Instance

LABELS = ("tcbox.instance", "tcbox.cache", "tcbox.host")
"""What the docker worker marks its own with, things of a task and caches; and the host worker what it has in Docker."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something in a Docker engine that bears a label of tcbox's.

    Attributes:
        kind: container, network or volume.
        instance: the label's value, which tells the instance.
        cache: whether it is a cache that later tasks would use again.
    """

    kind: str
    name: str
    instance: str
    cache: bool

    @property
    def path(self) -> str:
        """The path by which the engine removes it."""
        return f"/{self.kind}s/{self.name}" + ("?force=1&v=1" if self.kind == "container" else "?force=1" if self.kind == "volume" else "")


class Engine:
    """A Docker engine, asked without an event loop.

    Every method raises OSError, or EngineError with the engine's words.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, verb: str, path: str) -> Any:
        """One request."""
        connection = self._connect()
        try:
            connection.request(verb, path)
            reply = connection.getresponse()
            raw = reply.read()
        except http.client.HTTPException as error:
            raise EngineError(f"the Docker engine at {self._url} does not speak HTTP: {error}") from error
        finally:
            connection.close()
        if reply.status >= 400:
            raise EngineError(raw.decode(errors="replace").strip())
        return json.loads(raw) if raw[:1] in (b"{", b"[") else None

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        if parts.scheme != "unix":
            return http.client.HTTPConnection(parts.netloc, timeout=10)
        connection = http.client.HTTPConnection("docker", timeout=10)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        try:
            sock.connect(parts.path)
        except OSError:
            sock.close()
            raise
        connection.sock = sock
        return connection

    def leftovers(self, instance: str | None = None) -> list[Leftover]:
        """All that bears a label, of one instance or of any."""
        return [each for label in LABELS for each in self._labelled(label, f"{label}={instance}" if instance else label)]

    def _labelled(self, label: str, query: str) -> Iterator[Leftover]:
        wanted = f"filters={quote(json.dumps({'label': [query]}))}"
        for kind, path in (("container", f"/containers/json?all=1&{wanted}"), ("network", f"/networks?{wanted}"), ("volume", f"/volumes?{wanted}")):
            found = self.ask("GET", path) or []
            for each in (found.get("Volumes") or []) if isinstance(found, dict) else found:
                yield Leftover(kind, each["Name"] if kind == "volume" else each["Id"], each["Labels"][label], label == LABELS[1])

    def remove(self, leftover: Leftover) -> None:
        """Remove one thing."""
        self.ask("DELETE", leftover.path)


class EngineError(OSError):
    """The engine refused."""


def instance_id(folder: Instance) -> str:
    """What Docker's labels call the instance on a folder; empty when the folder has no key."""
    from tcbox.box import identity

    path = folder.key_file("instance")
    return identity.derive(identity.instance_key(path), "instance id")[:12] if path.exists() else ""


def remove(folder: Instance, docker_url: str) -> None:
    """Remove the data folder of an ephemeral instance that has ended, and what it has left in Docker."""
    name = instance_id(folder)
    if name and (folder.worker_folder("docker").exists() or folder.worker_folder("host").exists()):
        try:
            engine = Engine(docker_url)
            for leftover in engine.leftovers(name):
                engine.remove(leftover)
        except OSError:
            pass  # no engine, nothing of it to be removed
    shutil.rmtree(folder.data, ignore_errors=True)
