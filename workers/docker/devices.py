"""Devices of the machine that a task may be given, and who has those that only one task can have at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tcbox.workers import outcomes


@dataclass(frozen=True, slots=True)
class Given:
    """One device in a task's hands.

    Attributes:
        nodes: files below /dev that the container gets, by the same paths.
        shared_memory: the container gets the machine's /dev/shm.
    """

    name: str
    nodes: tuple[str, ...] = ()
    shared_memory: bool = False


class Devices:
    """Hands out devices.

    Args:
        root: the machine's root folder.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._dev = root / "dev"
        self._taken: set[str] = set()
        self._freed = asyncio.Condition()

    async def take(self, name: str, say: Callable[[str], None]) -> Given:
        """A device, waited for while other tasks have all of its kind.

        Args:
            say: is told when there is a wait.

        Raises RunEnded(malformed-payload) when the machine has none.
        """
        if name == "hostSharedMemory":
            return Given(name, shared_memory=True)
        if name == "kvm":
            self._exists(name, (self._dev / "kvm").exists(), "load the module kvm_intel or kvm_amd")
            return Given(name, ("/dev/kvm",))
        found = self._video() if name == "loopbackVideo" else self._audio()
        self._exists(name, bool(found), f"load the module {'v4l2loopback' if name == 'loopbackVideo' else 'snd-aloop'}")
        async with self._freed:
            free = [nodes for nodes in found if nodes[0] not in self._taken]
            if not free:
                say(f"Waiting for a {name} device: other tasks have all of them")
            while not free:
                await self._freed.wait()
                free = [nodes for nodes in found if nodes[0] not in self._taken]
            self._taken.add(free[0][0])
        return Given(name, free[0])

    async def give_back(self, given: Given) -> None:
        """Let others have it."""
        async with self._freed:
            self._taken.difference_update(given.nodes[:1])
            self._freed.notify_all()

    def _exists(self, name: str, here: bool, remedy: str) -> None:
        if not here:
            raise outcomes.malformed(f"payload.capabilities.devices.{name}: the worker's machine has no such device: {remedy}, or leave it out")

    def _video(self) -> list[tuple[str, ...]]:
        return [(f"/dev/{file}",) for file in self._named(self._dev, r"video[0-9]+")]

    def _audio(self) -> list[tuple[str, ...]]:
        folder = self._dev / "snd"
        cards = [name.removeprefix("controlC") for name in self._named(folder, r"controlC[0-9]+")]
        return [(f"/dev/snd/controlC{card}", *(f"/dev/snd/{file}" for file in self._named(folder, rf"pcmC{card}D[01][cp]"))) for card in cards]

    def _named(self, folder: Path, pattern: str) -> list[str]:
        if not folder.is_dir():
            return []
        return sorted((each.name for each in folder.iterdir() if re.fullmatch(pattern, each.name)), key=lambda name: (len(name), name))
