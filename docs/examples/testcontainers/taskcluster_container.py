"""A Taskcluster in a container that is gone after the tests."""

import json
import os
import socket

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy


class TaskclusterContainer(DockerContainer):
    """with TaskclusterContainer() as box: taskcluster.Queue(box.options)"""

    def __init__(self, image: str = os.environ.get("TCBOX_IMAGE", "tcbox-ephemeral")):
        super().__init__(image)
        self.port = free_port()
        self.with_bind_ports(self.port, self.port)
        self.waiting_for(LogMessageWaitStrategy('"readyAfter"').with_startup_timeout(60))
        self.with_command(["up", "--ephemeral", "--json", "--host", "0.0.0.0", "--port", str(self.port)])

    def start(self):
        super().start()
        log = self.get_logs()[0].decode()
        info, _ = json.JSONDecoder().raw_decode(log[log.index("{") :])
        self.credentials = info["credentials"]
        return self

    @property
    def root_url(self) -> str:
        return f"http://{self.get_container_host_ip()}:{self.port}"

    @property
    def options(self) -> dict:
        """What the clients of the package `taskcluster` take."""
        return {"rootUrl": self.root_url, "credentials": self.credentials}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
