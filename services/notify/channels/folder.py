"""E-mail without a mail server: files in the data folder, so that one can see what would have been sent."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tcbox import clock as clocks
from tcbox.services.notify.channels import Unreachable
from tcbox.services.notify.model import Delivery
from tcbox.services.notify.sandbox import Sandbox


class Folder:
    """Keeps the latest mails as `<time>-<id>.eml`, for their owner alone.

    Args:
        keep: how many; older ones are removed.
    """

    def __init__(self, folder: Path, source: str, clock: clocks.Clock, sandbox: Sandbox, *, keep: int) -> None:
        self._folder = folder
        self._source = source
        self._clock = clock
        self._sandbox = sandbox
        self._keep = keep
        self._lock = asyncio.Lock()
        self.server = str(folder)

    async def deliver(self, delivery: Delivery) -> None:
        """Write the file, whole or not at all."""
        from tcbox.services.notify import mail  # e-mail is much to import, and a start need not wait for it

        message = await mail.build(delivery, self._source, self._clock.now(), self._sandbox)
        moment = clocks.to_wire(delivery.accepted).replace(":", "").replace("-", "")
        try:
            async with self._lock:
                await asyncio.to_thread(self._write, f"{moment}-{delivery.id}.eml", message.as_bytes())
        except OSError as error:
            raise Unreachable(f"the file cannot be written: {error.strerror or error}") from None

    def _write(self, name: str, data: bytes) -> None:
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = folder / f".{name}"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        temporary.replace(folder / name)
        for old in sorted(folder.glob("*.eml"))[: -self._keep]:
            old.unlink(missing_ok=True)

    async def close(self) -> None:
        """Nothing is open."""
