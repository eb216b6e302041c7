"""How a command finds the instance that it talks to: by flag, by the data folder, or by the environment."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tcbox import clock as clocks
from tcbox import errors
from tcbox.cli import forms
from tcbox.client.http import Credentials, Http
from tcbox.config import instance as instances
from tcbox.config import places, values

if TYPE_CHECKING:
    import aiohttp


_ROOT_URL = "TASKCLUSTER_ROOT_URL"


def options(parser: argparse.ArgumentParser) -> None:
    """The flag that every command has which talks to an instance."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="the instance's data folder (default: the only one running, else the default folder)")


class Connection:
    """A running instance, called as its owner, or as the environment's credentials say."""

    def __init__(self, http: Http, session: aiohttp.ClientSession) -> None:
        self.http = http
        self._session = session

    async def call(self, service: str, method: str, /, *args: str, payload: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Call a method of the API."""
        return await self.http.call(service, method, *args, payload=payload, query=query)

    async def artifact(self, task_id: str, run_id: str, name: str, out: IO[bytes]) -> bool:
        """Write an artifact to a stream as it comes; False when there is none."""
        from urllib.parse import quote

        status, raw = await self.http.request("GET", f"/api/queue/v1/task/{task_id}/runs/{run_id}/artifacts/{quote(name, safe='')}", None)
        if status == 404:
            return False
        body = msgspec.json.decode(raw)
        if status >= 400:
            raise errors.TcboxError(str(body.get("message", raw.decode())).partition("\n\n---\n")[0])
        import aiohttp

        async with self._session.get(body["url"], timeout=aiohttp.ClientTimeout(total=None)) as reply:
            if reply.status >= 400:
                return False
            async for chunk in reply.content.iter_any():
                out.write(chunk)
                out.flush()
        return True


@contextlib.asynccontextmanager
async def open(args: argparse.Namespace) -> AsyncIterator[Connection]:  # noqa: A001 - connect.open reads well
    """Connect to the instance that the arguments or the environment name.

    Raises TcboxError when none can be found.
    """
    import aiohttp

    root_url, credentials = target(args)
    async with aiohttp.ClientSession() as session:
        try:
            yield Connection(Http(root_url, credentials, session=session, clock=clocks.SystemClock(), retries=2), session)
        except (errors.Unavailable, errors.AuthenticationFailed) as error:
            if not from_environment(args):
                raise
            raise errors.TcboxError(f"{error} (the instance is that of {_ROOT_URL} in the environment; --data uses another)") from error


def from_environment(args: argparse.Namespace) -> bool:
    """Whether the instance is the one that the environment names."""
    return args.data is None and bool(os.environ.get(_ROOT_URL))


def target(args: argparse.Namespace) -> tuple[str, Credentials | None]:
    """Root URL and credentials: those of the data folder's instance, or of the environment when no folder is named."""
    env = os.environ
    if from_environment(args):
        forms.check(_ROOT_URL, env[_ROOT_URL], values.RootUrl)
        client_id = env.get("TASKCLUSTER_CLIENT_ID")
        made = Credentials(client_id, env.get("TASKCLUSTER_ACCESS_TOKEN", ""), env.get("TASKCLUSTER_CERTIFICATE")) if client_id else None
        return env[_ROOT_URL], made
    found = running(args.data)
    return found.root_url, Credentials(found.client_id, found.access_token)


def running(data: Path | None) -> instances.Running:
    """The running instance of a data folder, or the only one that runs.

    Raises TcboxError when there is none, or when several run and none is named.
    """
    if data is not None:
        folder = instances.Instance(data)
        folder.refuse_if_hidden()
        found = folder.find_running()
        if found is None:
            raise errors.TcboxError(f"no instance runs on {data}: start one with 'tcbox up --data {data}'")
        return found
    every = instances.list_running()
    if not every:
        instances.Instance(places.default_data(os.environ)).refuse_if_hidden()
        raise errors.TcboxError("no instance is running: start one with 'tcbox up'")
    if len(every) > 1:
        listed = "\n".join(f"  --data {one.data}   {one.root_url}" for one in every)
        raise errors.TcboxError(f"{len(every)} instances are running; say which one:\n{listed}")
    return every[0]


def control(found: instances.Running, name: str, body: dict[str, Any] | None = None) -> Any:
    """Ask a running instance something (see tcbox.box.control), without an event loop.

    Raises TcboxError with the instance's own words when it refuses.
    """
    import http.client

    connection = http.client.HTTPConnection(found.host, found.port, timeout=30)
    try:
        data = msgspec.json.encode(body) if body is not None else None
        connection.request("GET" if body is None else "POST", f"/instance/{name}", data, {"Authorization": f"Bearer {found.token}"})
        reply = connection.getresponse()
        raw = reply.read()
        value = msgspec.json.decode(raw)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise errors.TcboxError(
            f"process {found.pid}, the instance at {found.root_url}, does not answer ({error or type(error).__name__}): see 'tcbox logs --data {found.data}'"
        ) from error
    finally:
        connection.close()
    if reply.status != 200:
        raise errors.TcboxError(value["message"])
    return value
