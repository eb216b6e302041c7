"""The container image: built by packaging/docker/Dockerfile from a Debian made here, started as a user would start it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support import pages, ports
from tests.support.box import clean_env
from tests.support.image import NEEDED, ROOT, run
from tests.support.waiting import until

LARGEST = 160 * 1024**2
"""Bytes that the image may have beyond its base."""

pytestmark = [*NEEDED]


def inspect(kind: str, name: str) -> dict:
    return json.loads(run("docker", kind, "inspect", name))[0]


def test_the_image_is_small(image, base):
    """What is added to the base has its bounds; nothing of it runs as root."""
    built, below = inspect("image", image), inspect("image", base)
    added = built["Size"] - below["Size"]
    print(f"the image has {built['Size'] / 1e6:.0f} MB, {added / 1e6:.0f} MB of them beyond the base")
    assert added < LARGEST
    assert built["Config"]["User"] == "10001:10001"
    assert built["Config"]["Entrypoint"] == ["tcbox"]


def test_an_ephemeral_instance_answers(image):
    """`docker run IMAGE up --ephemeral` serves, with nothing writable but two folders in memory, and ends in order."""
    name = f"tcbox-test-{os.urandom(4).hex()}"
    hardened = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp:mode=1777"]
    hardened += ["--tmpfs", "/var/lib/tcbox:mode=0700,uid=10001,gid=10001"]
    run("docker", "run", "-d", "--name", name, *hardened, "-p", "127.0.0.1::8090", image, "up", "--ephemeral", "--host", "0.0.0.0", "--port", "8090")
    try:
        place = run("docker", "port", name, "8090/tcp").splitlines()[0]
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{place}/__heartbeat__", timeout=5) as answer:
                    assert json.load(answer)["healthy"] is True
                    break
            except OSError:
                assert time.monotonic() < until, run("docker", "logs", name)
                time.sleep(0.2)
        run("docker", "stop", "--time", "20", name)
        assert inspect("container", name)["State"]["ExitCode"] == 0
    finally:
        run("docker", "rm", "--force", "--volumes", name)


def test_what_services_on_their_own_need_is_there(image):
    """The drivers of PostgreSQL, RabbitMQ and S3 and what sends spans are in the image, and a URL of S3 can be signed."""
    code = (
        "import aiormq, asyncpg, boto3; from tcbox.box import tracing; client = boto3.client('s3', region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b'); "
        "print(client.generate_presigned_url('get_object', Params={'Bucket': 'b', 'Key': 'k'})[:8]); boto3.client('sts', region_name='us-east-1')"
    )
    assert run("docker", "run", "--rm", "--entrypoint", "/opt/tcbox/bin/python", image, "-c", code) == "https://"


def test_the_page_on_tests_runs_it(image, tmp_path):
    """The script of docs/testing.md starts an instance in a container, connects from outside, and stops it."""
    name, port = f"tcbox-test-{os.urandom(4).hex()}", str(ports.free()[0])
    script = pages.fence("docs/testing.md", "sh", "docker exec")
    for was, now in (
        ("--name taskcluster", f"--name {name}"),
        ("logs taskcluster", f"logs {name}"),
        ("exec taskcluster", f"exec {name}"),
        ("stop taskcluster", f"stop {name}"),
        ("8090", port),
        ("tcbox-ephemeral", image),
    ):
        assert was in script, was
        script = script.replace(was, now)
    (tmp_path / "Makefile").write_text(
        'integration-tests:\n\t@python3 -c "import os; from taskcluster import Auth, optionsFromEnvironment as o; print(Auth(o()).currentScopes())"\n'
    )
    try:
        said = run("bash", "-euc", script, cwd=tmp_path, env=clean_env(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"))
        assert "{'scopes': ['*']}" in said
        until(lambda: name not in run("docker", "ps", "--all", "--format", "{{.Names}}"), 30)  # the engine removes it a moment after it has stopped
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)


def test_the_testcontainers_example(image, tmp_path):
    """The example project's tests pass in a folder of their own, and no container is left."""
    shutil.copytree(ROOT / "docs" / "examples" / "testcontainers", tmp_path / "example", ignore=shutil.ignore_patterns("__pycache__"))
    before = set(run("docker", "ps", "--all", "--quiet").split())
    # the reaper is an image of its own that only a registry has; a context manager ends the container here
    env = clean_env(TCBOX_IMAGE=image, TESTCONTAINERS_RYUK_DISABLED="true", TESTCONTAINERS_HOST_OVERRIDE="localhost")
    said = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:tcbox", cwd=tmp_path / "example", env=env)
    assert "2 passed" in said
    mine = [
        each
        for each in set(run("docker", "ps", "--all", "--quiet").split()) - before
        if image in run("docker", "inspect", "--format", "{{.Config.Image}}", each)
    ]
    assert mine == []
