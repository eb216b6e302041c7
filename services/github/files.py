"""Fetches `.taskcluster.yml` of a commit or a branch."""

from __future__ import annotations

import base64
import binascii

from tcbox.services.github.configs import FILE, ConfigInvalid
from tcbox.services.github.hub import Refused, Repository, UnknownCommit


async def fetch(repository: Repository, ref: str) -> str | None:
    """The file's text, None when there is none.

    Raises ConfigInvalid for what is no text file, HubError.
    """
    try:
        found = await repository.ask("GET", f"/contents/{FILE}", ref=ref)
    except Refused as error:
        if error.status != 404:
            raise
        if "no commit found" in str(error).lower():  # GitHub tells of a commit before all of its servers know it
            raise UnknownCommit(f"GitHub does not know the commit {ref} yet") from None
        return None
    if not isinstance(found, dict) or found.get("type", "file") != "file":
        raise ConfigInvalid(f"`{FILE}` must be a file, and is none: replace the folder, link or submodule.")
    if found.get("encoding", "base64") != "base64":
        raise ConfigInvalid(f"`{FILE}` has more than 1 MiB: make it smaller.")
    try:
        return base64.b64decode(found["content"]).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ConfigInvalid(f"`{FILE}` is no UTF-8 text: save it as such.") from None
