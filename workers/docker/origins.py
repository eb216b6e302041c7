"""Whether an image from an artifact is what the task that made it says it is, by that task's certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tcbox.workers import certificates, downloads, outcomes
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

if TYPE_CHECKING:
    import aiohttp

_MOST = 1024 * 1024
"""Bytes of a certificate, or of its signature."""


class Origins:
    """Checks images of tasks that are themselves to be certified.

    Args:
        keys: public keys whose signatures are believed; the first is the worker's own.
        strict: an image without such a signature is refused.
    """

    def __init__(self, folder: Path, session: aiohttp.ClientSession, keys: list[str], *, strict: bool) -> None:
        self._folder, self._session, self._keys, self._strict = folder, session, keys, strict

    async def check(self, task_id: str, path: str, digest: str, run: Run, log: TaskLog) -> None:
        """Compare an artifact with its task's certificate.

        Raises RunEnded(malformed-payload) when it is another, or is not certified although it must be.
        """
        statement, signature = await self._had(task_id, certificates.STATEMENT, run), await self._had(task_id, certificates.SIGNATURE, run)
        if statement is None or signature is None:
            self._doubt(log, f"The task {task_id} that made the image has no chain of trust")
            return
        try:
            told = msgspec.json.decode(statement)["artifacts"][path]["sha256"]
        except (msgspec.DecodeError, KeyError, TypeError):
            self._doubt(log, f"The chain of trust of task {task_id} does not tell of {path}")
            return
        if told != digest:
            raise outcomes.malformed(f"The image of task {task_id}, {path}, has SHA-256 {digest}, but that task's chain of trust says {told}: it is not used")
        if certificates.verified(self._keys, statement, signature):
            log.say(f"The chain of trust of task {task_id} certifies the image")
        else:
            self._doubt(log, f"The chain of trust of task {task_id} is signed by a key that this worker does not know")

    def _doubt(self, log: TaskLog, what: str) -> None:
        if self._strict:
            raise outcomes.malformed(f"{what}: this worker certifies only tasks whose image is certified by one of workers.docker.trusted_keys")
        log.caution(f"{what}: its image is used all the same")

    async def _had(self, task_id: str, name: str, run: Run) -> bytes | None:
        part = self._folder / f"{run.name}.{name.rpartition('/')[2]}.part"
        try:
            await downloads.artifact(run, self._session, task_id, name, part, kept=True, most=_MOST)
            return part.read_bytes()
        except downloads.TooLarge as error:
            raise outcomes.malformed(f"The chain of trust of task {task_id}, which made the image, is none: {name} has more than 1 MiB") from error
        except downloads.DownloadError as error:
            if error.permanent:
                return None
            raise
        finally:
            part.unlink(missing_ok=True)
