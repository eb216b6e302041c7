"""The container of a task whose payload was made for docker-worker, from its image to what is copied out of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tcbox.workers.host import d2g
from tcbox.workers.host.docker import Docker, DockerError, Network, unanswered
from tcbox.workers.host.images import Image, Images
from tcbox.workers.host.shells import NotReady
from tcbox.workers.runs import Run
from tcbox.workers.tasklog import TaskLog

_AT_ONCE = 4
_COPY_S = 3600.0
_DOCKERS_OWN = 125
"""With which `docker run` ends when it is not the container that failed."""
_SHELL = "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"


class Container:
    """One container, run by `docker run` as the task's only command.

    Args:
        home: the task's folder.
    """

    def __init__(self, docker: Docker, images: Images, translation: d2g.Translation, *, run: Run, log: TaskLog, home: Path, name: str) -> None:
        self._docker, self._images, self._translation = docker, images, translation
        self._run, self._log, self._home, self.name = run, log, home, name
        self._image: Image | None = None

    @property
    def prepared(self) -> bool:
        """Whether there may be a container."""
        return self._image is not None

    async def prepare(self, network: Network | None) -> list[str]:
        """Get the image, write what the container needs, and give the command that runs it.

        Raises RunEnded.
        """
        self._docker.guard()
        try:
            self._image = await self._images.ensure(self._translation.image, self._run, self._log)
        except DockerError as error:
            raise unanswered(error) from error
        (self._home / d2g.ENV_FILE).write_text("".join(f"{line}\n" for line in self._translation.variables), encoding="utf-8")
        for volume in self._translation.volumes:
            (self._home / volume).mkdir(mode=0o777)
            (self._home / volume).chmod(0o777)  # whoever the container's user is
        place = d2g.Place(
            name=self.name, folder=str(self._home), image=self._image.reference, labels={**self._docker.labels, "tcbox.task": self._run.name},
            network=network.name if network else "", gateway=network.gateway if network else "",
        )  # fmt: skip
        return d2g.command(self._translation, place)

    async def vouched(self) -> dict[str, str]:
        """What the task's certificate says of the image."""
        assert self._image is not None
        try:
            told = {"imageHash": await self._images.id(self._image)}
        except DockerError as error:
            raise unanswered(error) from error
        return {**told, "imageArtifactHash": f"sha256:{self._image.sha256}"} if self._image.sha256 else told

    async def shell(self) -> list[str]:
        """The command of a shell in the container.

        Raises NotReady while it does not run.
        """
        try:
            running = await self._docker.ask("container", "inspect", "--format", "{{.State.Running}}", self.name)
        except DockerError as error:
            raise NotReady(str(error)) from error
        if running.strip() != "true":
            raise NotReady("the container does not run")
        return ["docker", "exec", "-it", self.name, "/bin/sh", "-c", _SHELL]

    async def doubt(self, code: int) -> None:
        """Look whether an exit code is that of a `docker run` which lost its engine.

        Raises RunEnded(worker-shutdown) when it is.
        """
        if code != _DOCKERS_OWN:
            return
        try:
            await self._docker.ask("version", "--format", "{{.Server.Version}}")
        except DockerError as error:
            raise unanswered(error) from error

    async def stop(self) -> None:
        """End what runs in it; nothing when it has ended."""
        try:
            await self._docker.ask("kill", self.name)
        except DockerError:
            return

    async def copy_out(self) -> None:
        """Copy the payload's artifacts to the task's folder; what is not there is told of in the log."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(copy: d2g.Copy) -> None:
            async with gate:
                try:
                    await self._docker.ask("cp", "--follow-link", f"{self.name}:{copy.source}", str(self._home / copy.path), patience=_COPY_S)
                except DockerError as error:
                    self._log.caution(f"[d2g] The artifact {copy.name} cannot be copied from {copy.source}: {error}")

        await asyncio.gather(*(one(copy) for copy in self._translation.copies))
        await self._own()
        made = [self._home / path for path in (*(copy.path for copy in self._translation.copies), *self._translation.volumes)]
        strange = await asyncio.to_thread(lambda: [link for path in made for link in cut_links(path)])
        for link in strange:
            self._log.caution(f"[d2g] {link.relative_to(self._home)} is passed over: it is a link that leads out of its folder")

    async def close(self) -> None:
        """Remove it."""
        await self._own()
        await self._docker.remove(self.name)

    async def _own(self) -> None:
        """Have what the container's user wrote into mounted folders belong to the worker's user, who could not remove it otherwise."""
        folders = [str(self._home / path) for path, _ in self._translation.folders]
        if self._image is None or not folders or os.geteuid() == 0:
            return
        mounted = [part for index, folder in enumerate(folders) for part in ("-v", f"{folder}:/tcbox/{index}")]
        labels = [f"--label={name}={value}" for name, value in self._docker.labels.items()]
        options = ["--rm", "--pull=never", "--network=none", "--user=0:0", *labels, *mounted, "--entrypoint=chown"]
        try:
            await self._docker.ask("run", *options, self._image.reference, "-R", f"{os.geteuid()}:{os.getegid()}", "/tcbox")
        except DockerError as error:  # an image without chown has seldom written anything
            self._log.caution(f"[d2g] What the container has written may stay its user's: {error}")


def cut_links(path: Path) -> list[Path]:
    """Remove the links at and below a path that lead out of it, and give them; blocking.

    What a container wrote must not lead the worker to files of this machine.
    """
    if path.is_symlink():
        path.unlink()
        return [path]
    home = path.resolve()
    cut = []
    for folder, folders, names in os.walk(path):
        for name in (*folders, *names):
            entry = Path(folder, name)
            if entry.is_symlink() and not _within(entry, home):
                entry.unlink()
                cut.append(entry)
    return cut


def _within(link: Path, home: Path) -> bool:
    try:
        return link.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # it leads round in a circle
        return False
