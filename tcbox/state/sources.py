"""Where a state comes from: a file, a folder of files, or an instance at its root URL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tcbox import clock as clocks
from tcbox import errors
from tcbox.client.http import Credentials, Http
from tcbox.config.values import masked
from tcbox.state import collecting, files
from tcbox.state.collecting import Collected
from tcbox.state.model import OPEN, Kind

_RETRIES = 2


def is_url(where: str) -> bool:
    """Whether this is a root URL, and not a path."""
    return "://" in where


def from_environment(root_url: str, env: Mapping[str, str]) -> Credentials | None:
    """The environment's credentials; None when it has none, or they are those of another instance."""
    own = env.get("TASKCLUSTER_ROOT_URL", "")
    client_id = env.get("TASKCLUSTER_CLIENT_ID", "")
    if not client_id or (own and own.rstrip("/") != root_url.rstrip("/")):
        return None
    return Credentials(client_id, env.get("TASKCLUSTER_ACCESS_TOKEN", ""), env.get("TASKCLUSTER_CERTIFICATE") or None)


def checked(root_url: str) -> str:
    """A root URL.

    Raises TcboxError when it cannot be one.
    """
    parts: Any = None
    with contextlib.suppress(ValueError):
        parts = urlsplit(root_url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise errors.TcboxError(f"{masked(root_url)} is no root URL: one is like https://tc.example.com, without a path")
    return root_url.rstrip("/")


@contextlib.asynccontextmanager
async def connected(root_url: str, credentials: Credentials | None) -> AsyncIterator[Http]:
    """Calls an instance."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        yield Http(checked(root_url), credentials, session=session, clock=clocks.SystemClock(), retries=_RETRIES)


async def read(
    where: str, credentials: Credentials | None, *, kinds: Sequence[Kind] | None = None, asked: Collection[Kind] = (), prefixes: Sequence[str] = (),
) -> Collected:  # fmt: skip
    """The state of an instance at a root URL, or of a file or a folder of files.

    Args:
        credentials: for an instance.
        kinds: which are wanted. When None: all that a file has, and what is no secret of an instance.
        asked: those of them without which the rest is not wanted.

    Raises TcboxError when it cannot be had.
    """
    if is_url(where):
        async with connected(where, credentials) as http:
            return await collecting.collect(http, http.root_url, OPEN if kinds is None else kinds, asked=asked, prefixes=prefixes)
    path = Path(where)
    if not path.exists():
        raise errors.TcboxError(f"there is no {where}: give a file that 'tcbox state export' wrote, or a root URL such as https://tc.example.com")
    found = files.load(path)
    if lacking := [kind.name for kind in asked if found.things(kind) is None]:
        raise errors.TcboxError(f"{where} has no {' and no '.join(lacking)}: export it again with them, or leave them out")
    chosen = found.kinds if kinds is None else [kind for kind in kinds if kind in found.kinds]
    return Collected(found.part(chosen, prefixes))
