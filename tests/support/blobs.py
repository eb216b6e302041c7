"""Places for bytes for tests: files behind a real HTTP server on loopback, and S3 as moto and as SeaweedFS serve it.

    from tests.support.blobs import blobs, s3_endpoint  # noqa: F401

A test that takes `blobs` runs once on each. A module that has a synchronous fixture `clock` gets its blobs on that
clock; the machine's clock serves otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings

import pytest
import pytest_asyncio
from aiohttp import web

from tcbox import clock as clocks
from tcbox.blobs import connect
from tcbox.blobs.http import BlobFiles
from tcbox.blobs.local import LocalBlobs
from tcbox.blobs.signing import Signer
from tests.support import s3_server

_buckets = itertools.count(1)


@contextlib.asynccontextmanager
async def served(folder, clock):
    """Blobs in a folder, served on a free port of loopback."""
    signer = Signer(os.urandom(32))
    blobs = LocalBlobs(folder, root_url="", signer=signer, clock=clock)
    await blobs.start()
    server = web.Server(BlobFiles(blobs, signer, clock).handle, auto_decompress=False)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    blobs.root_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield blobs
    finally:
        await runner.cleanup()
        await blobs.close()


@pytest.fixture(scope="session")
def s3_endpoint():
    """The URL of an S3 server in this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextlib.asynccontextmanager
async def s3(endpoint, clock, prefix="some/where"):
    """Blobs in a new bucket."""
    bucket = f"bucket-{os.getpid()}-{next(_buckets)}"
    blobs = connect(s3_server.url(endpoint, bucket, prefix), root_url="", signer=Signer(bytes(32)), clock=clock)
    await blobs.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blobs._client().create_bucket(Bucket=bucket)
    try:
        yield blobs
    finally:
        await blobs.close()


@pytest_asyncio.fixture(params=["files", "moto", "seaweedfs"])
async def blobs(request, tmp_path):
    """A place for bytes, ready for use."""
    try:
        clock = request.getfixturevalue("clock")
    except pytest.FixtureLookupError:
        clock = clocks.SystemClock()
    match request.param:
        case "files":
            place = served(tmp_path / "blobs", clock)
        case "moto":
            place = s3(request.getfixturevalue("s3_endpoint"), clock)
        case _:
            place = s3(s3_server.server().endpoint, clock)
    async with place as made:
        yield made
