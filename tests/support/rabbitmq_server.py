"""A throwaway RabbitMQ broker for tests: on loopback and a free port, in a folder of its own, gone at the end."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support import ports

USER, PASSWORD = "tcbox", "s3cret-pa/ss"
_URL_PASSWORD = "s3cret-pa%2Fss"
_STARTING = 60.0
_CONFIG = """
listeners.tcp.1 = {address}:{port}
default_user = {user}
default_pass = {password}
loopback_users = none
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = 1GB
log.console = false
"""


class Broker:
    """A running broker; `halt` and `resume` keep its data."""

    def __init__(self, script: Path, address: str = "127.0.0.1") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tcbox-mq-"))
        self.port, self._names, self._distribution = ports.free(3)
        self._script, self._address = script, address
        (self.folder / "rabbitmq.conf").write_text(_CONFIG.format(address=address, port=self.port, user=USER, password=PASSWORD))
        (self.folder / "enabled_plugins").write_text("[].\n")
        # the name server that Erlang would otherwise leave behind as a daemon
        self._epmd = subprocess.Popen(["epmd", "-port", str(self._names), "-address", "127.0.0.1"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._process: subprocess.Popen[bytes] | None = None
        self.resume()

    @property
    def url(self) -> str:
        """The URL of its only virtual host, as `events` takes it."""
        return f"amqp://{USER}:{_URL_PASSWORD}@{self._address}:{self.port}/%2F"

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of another maker's client."""
        import pika

        logging.getLogger("pika").setLevel(logging.CRITICAL)  # it tells at length of a broker that is not there yet
        credentials = pika.PlainCredentials(USER, PASSWORD)
        connection = pika.BlockingConnection(pika.ConnectionParameters(self._address, self.port, "/", credentials, heartbeat=600))
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def halt(self, *, crash: bool = False) -> None:
        """End the broker, as its operator or as a power cut would."""
        process, self._process = self._process, None
        if process is None:
            return
        # the script's own session: it, the virtual machine and that one's helpers
        with contextlib.suppress(ProcessLookupError):  # when all of them have gone by themselves
            os.killpg(process.pid, signal.SIGKILL if crash else signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def resume(self) -> None:
        """Start it, and return when it takes clients; a start that fails, such as one too soon after a crash, is made again."""
        for _ in range(3):
            if self._started():
                return
            self.halt(crash=True)
            time.sleep(1)
        raise RuntimeError(f"RabbitMQ did not start: {(self.folder / 'output').read_text()[-2000:]}")

    def _started(self) -> bool:
        folder = str(self.folder)
        env = {
            "PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"mq{self.port}@localhost", "RABBITMQ_DIST_PORT": str(self._distribution), "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": folder, "RABBITMQ_LOG_BASE": folder, "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq", "RABBITMQ_CONF_ENV_FILE": f"{folder}/none", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }  # fmt: skip
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self._script], env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, start_new_session=True
            )
        until = time.monotonic() + _STARTING
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(Exception), self.channel():
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        """End it and remove all that it had."""
        self.halt(crash=True)  # asked to end, it takes seconds, which at a test process's end there may not be
        self._epmd.terminate()
        self._epmd.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def _script() -> Path | None:
    # not what stands in the PATH: on Debian that one changes the user first
    candidates = [Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), *Path("/opt").glob("rabbitmq*/sbin/rabbitmq-server")]
    return next((each for each in candidates if each.exists()), None)


@functools.cache
def _start() -> Broker | None:
    script = _script()
    if script is None:
        return None
    broker = Broker(script)
    atexit.register(broker.stop)
    return broker


def broker() -> Broker:
    """This process's broker. Without RabbitMQ's programs the test fails in CI, and is skipped elsewhere."""
    return _start() or _missing()


def own(address: str = "127.0.0.1") -> Broker:
    """A broker for one test, which may halt it and must stop it, at an address of this machine."""
    script = _script()
    return Broker(script, address) if script else _missing()


def _missing() -> NoReturn:
    reason = "RabbitMQ's server is not installed: install it (on Debian: apt install rabbitmq-server) to run this test"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
