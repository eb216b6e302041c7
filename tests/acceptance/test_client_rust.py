"""Taskcluster's library for Rust, unchanged, against a whole instance."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import clients, proof
from tests.support.box import Box, clean_env

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here, each of which makes its own things."""
    made = Box(tmp_path_factory.mktemp("rust"), "workers:\n  docker: {enabled: false}\n").start()
    yield made
    made.stop()


@pytest.mark.parametrize("what", ["services", "task", "clients", "secrets", "errors", "objects"])
def test_the_library(box, request, what):
    """A program that uses the library does tasks, clients, secrets and objects, and sees refusals as the library's errors."""
    made = box.info["credentials"]
    env = clean_env(TASKCLUSTER_ROOT_URL=box.root_url, TASKCLUSTER_CLIENT_ID=made["clientId"], TASKCLUSTER_ACCESS_TOKEN=made["accessToken"])
    program = clients.rust()
    with proof.by("taskcluster (crates.io)", box.root_url, request, beside_workers=True, without=proof.LOOPS, part=what):
        done = subprocess.run([program, what], capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0, f"{done.stderr}\n{box.log_tail(5)}"
