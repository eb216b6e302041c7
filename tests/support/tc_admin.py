"""tc-admin, the tool with which a deployment's configuration is kept in a repository, at work on an instance.

It takes no root URL with a port in it, so the instance listens on port 80 of a loopback address of its own.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import clients, shared
from tests.support.box import Box, clean_env

CONFIG = """
workers:
  docker: {enabled: false}
  host: {enabled: false}
  builtin: {enabled: false}
providers:
  aws-main: {type: aws}
  azure-main: {type: azure}
  google-main: {type: google}
"""
_NEEDS_PORT = "may not listen on port 80, and tc-admin takes no root URL with another: run as root, or set net.ipv4.ip_unprivileged_port_start=80"


def address() -> str:
    """A loopback address whose port 80 is free.

    Skips the test where nobody may listen there.
    """
    for _ in range(20):
        host = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        with socket.socket() as sock:
            try:
                sock.bind((host, 80))
            except PermissionError:
                pytest.skip(_NEEDS_PORT)
            except OSError:
                continue
            return host
    pytest.skip("this machine has no loopback address but 127.0.0.1")


def instance(folder: Path) -> Box:
    """An instance that tc-admin can reach."""
    folder.mkdir()
    box = Box(folder, CONFIG)
    if not shared.WANTED:
        box.port = 80
        return box.start("--host", address())
    if urlsplit(box.start().root_url).port:
        pytest.skip(_NEEDS_PORT)
    shared.restored()
    return box


class Project:
    """tc-admin's project, with what it declares."""

    def __init__(self, folder: Path, box: Box) -> None:
        self._installed = clients.tc_admin()
        self._declared = folder / "declared.json"
        made = box.options["credentials"]
        self._env = clean_env(
            TASKCLUSTER_ROOT_URL=box.root_url, TASKCLUSTER_CLIENT_ID=made["clientId"], TASKCLUSTER_ACCESS_TOKEN=made["accessToken"],
            DECLARED=str(self._declared), PYTHONPATH="", PATH=os.environ["PATH"],
        )  # fmt: skip

    def declare(self, everything: dict[str, Any]) -> None:
        """Say what there is to be."""
        self._declared.write_text(json.dumps(everything))

    def run(self, *words: str) -> tuple[int, str]:
        """Run tc-admin; its exit code and what it said."""
        programs = self._installed / "venv" / "bin"
        done = subprocess.run(
            [programs / "python", programs / "tc-admin", *words], cwd=self._installed, env=self._env, capture_output=True, text=True, timeout=600
        )
        return done.returncode, done.stdout + done.stderr

    def apply(self) -> list[str]:
        """Make it so; the names of what was changed, with the verb before each."""
        code, said = self.run("apply")
        assert code == 0, said[-4000:]
        return said.splitlines()

    def differs(self) -> list[str]:
        """What there is to change, as `diff --ids-only` tells it."""
        code, said = self.run("diff", "--ids-only")
        assert code == (2 if said.strip() else 0), said[-4000:]
        return said.splitlines() if said.strip() else []
