"""Reads the references of a running instance: the manifest, and all that it and the schemas lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tcbox import errors
from tcbox.generate import model

if TYPE_CHECKING:
    import aiohttp

MANIFEST = "/references/manifest.json"
_AT_ONCE = 8


async def instance(root_url: str, services: Sequence[str], session: aiohttp.ClientSession) -> model.Instance:
    """All that an instance says of itself.

    Args:
        services: those that are wanted; all when there are none.

    Raises TcboxError when there is no instance, or one without such a service.
    """
    source = _Source(root_url.rstrip("/"), session)
    manifest = await source.get(MANIFEST)
    listed = manifest.get("references") if isinstance(manifest, dict) else None
    if not isinstance(listed, list):
        raise errors.TcboxError(f"{source.root_url}{MANIFEST} lists no references: is that the root URL of a Taskcluster?")
    paths = sorted(path for path in listed if isinstance(path, str) and path.rpartition("/")[2] in (model.API, model.EXCHANGES))
    references = {path: document for path, document in zip(paths, await source.all(paths), strict=True) if _chosen(document, services)}
    known = sorted({_name(document) for document in references.values()})
    if missing := sorted(set(services) - set(known)):
        there = ", ".join(sorted({path.split("/")[2] for path in paths}))
        raise errors.TcboxError(f"{source.root_url} has no service {' or '.join(missing)}; it has {there}")
    try:
        schemas = await source.schemas({path for document in references.values() for path in model.wanted(document)})
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.TcboxError(f"a reference of {source.root_url} cannot be read: {error!r}") from error
    releases = dict(zip(known, await asyncio.gather(*(source.release(name) for name in known)), strict=True))
    return model.read(references, schemas, releases)


def _name(document: Any) -> str:
    return str(document.get("serviceName", "")) if isinstance(document, dict) else ""


def _chosen(document: Any, services: Sequence[str]) -> bool:
    return not services or _name(document) in services


class _Source:
    """An instance's documents over HTTP, some at once."""

    def __init__(self, root_url: str, session: aiohttp.ClientSession) -> None:
        self.root_url = root_url
        self._session = session
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def get(self, path: str) -> Any:
        """A document.

        Raises TcboxError when there is none.
        """
        import aiohttp

        url = self.root_url + path
        try:
            async with self._gate, self._session.get(url, timeout=aiohttp.ClientTimeout(total=60)) as reply:
                raw = await reply.read()
                if reply.status != 200:
                    raise errors.TcboxError(f"{url} answers with the status {reply.status}: is {self.root_url} the root URL of a Taskcluster?")
            return msgspec.json.decode(raw)
        except (aiohttp.ClientError, aiohttp.InvalidURL, TimeoutError, OSError) as error:
            raise errors.TcboxError(f"{url} cannot be reached: {error or type(error).__name__}") from error
        except msgspec.DecodeError as error:
            raise errors.TcboxError(f"{url} is no JSON ({error}): is {self.root_url} the root URL of a Taskcluster?") from error

    async def all(self, paths: Sequence[str]) -> list[Any]:
        """Several documents, in order."""
        return list(await asyncio.gather(*(self.get(path) for path in paths)))

    async def schemas(self, paths: set[str]) -> dict[str, Any]:
        """These schemas, and all that they refer to."""
        found: dict[str, Any] = {}
        while paths:
            order = sorted(paths)
            found.update(zip(order, await self.all(order), strict=True))
            paths = {each for path in order for each in model.referred(path, found[path])} - set(found)
        return found

    async def release(self, service: str) -> str:
        """The version that a service says it has; "" when it says none."""
        try:
            said = await self.get(f"/api/{service}/v1/__version__")
        except errors.TcboxError:
            return ""
        version = said.get("version") if isinstance(said, dict) else None
        return version.strip() if isinstance(version, str) else ""
