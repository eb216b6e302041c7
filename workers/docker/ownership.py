"""Makes fresh volumes belong to the user that a container runs as, without running anything in it."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

from tcbox.workers.docker.containers import Container
from tcbox.workers.docker.engine import EngineError


async def give(container: Container, user: str, paths: list[str], scratch: Path) -> None:
    """Have the container's user own the volumes mounted at these paths; the container must not have been started.

    Args:
        user: as the image names it: a name or number, or both with a group's after a colon.

    Raises EngineError.
    """
    owner, _, group = user.partition(":")
    if not paths or owner in ("", "0", "root"):
        return
    people = "" if owner.isdecimal() and group.isdecimal() else await _text(container, "/etc/passwd", scratch)
    groups = "" if not group or group.isdecimal() else await _text(container, "/etc/group", scratch)
    uid, gid = resolve(user, people, groups)
    await container.put("/", _folders(paths, uid, gid))


def resolve(user: str, people: str, groups: str) -> tuple[int, int]:
    """The numbers of an image's user and its group, looked up in what /etc/passwd and /etc/group hold; 0 for what is not there."""
    owner, _, group = user.partition(":")
    entry = _entry(people, owner)
    uid = int(owner) if owner.isdecimal() else _number(entry, 2)
    if not group:
        return uid, _number(entry, 3)
    return uid, int(group) if group.isdecimal() else _number(_entry(groups, group), 2)


def _entry(table: str, wanted: str) -> list[str]:
    rows = [line.split(":") for line in table.splitlines()]
    return next((row for row in rows if len(row) > 2 and (row[2] if wanted.isdecimal() else row[0]) == wanted), [])


def _number(entry: list[str], column: int) -> int:
    return int(entry[column]) if len(entry) > column and entry[column].isdecimal() else 0


async def _text(container: Container, path: str, scratch: Path) -> str:
    with tempfile.NamedTemporaryFile(dir=scratch) as file:
        try:
            await container.copy_out(path, Path(file.name))
        except EngineError as error:
            if error.status == 404:
                return ""
            raise
        with tarfile.open(file.name, "r:") as tar:
            for entry in tar:
                content = tar.extractfile(entry) if entry.isfile() else None
                if content is not None:
                    return content.read(1_000_000).decode(errors="replace")
    return ""


def _folders(paths: list[str], uid: int, gid: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in paths:
            entry = tarfile.TarInfo(path.strip("/"))
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, uid, gid
            tar.addfile(entry)
    return out.getvalue()
