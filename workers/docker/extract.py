"""Takes a container's files out of the tar that the engine gives; blocking."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path


def extract(tar: Path, target: Path) -> None:
    """Write the regular files of a tar to `target`: a file when the tar holds one, else a folder.

    The first part of each name is dropped, since it is the name that the file or folder had. Links within a folder
    are followed when they lead to a file of the same folder, and passed over when they lead elsewhere.
    """
    with tarfile.open(tar, "r:") as archive:
        for entry in archive:
            if ".." in entry.name.split("/"):
                continue
            below = os.path.normpath(entry.name).partition("/")[2].lstrip("/")
            path = target / below if below else target
            if entry.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            if not (entry.isfile() or entry.issym() or entry.islnk()):
                continue
            try:
                source = archive.extractfile(entry)
            except KeyError:
                continue
            if source is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("wb") as file:
                    shutil.copyfileobj(source, file, 1024 * 1024)
