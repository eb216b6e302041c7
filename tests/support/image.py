"""The container image, built by packaging/docker/Dockerfile from a Debian made here, since no registry is needed to build it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support import docker_images as images

ROOT = Path(__file__).resolve().parents[2]
BASE, IMAGE = "tcbox-test/python:bookworm", "tcbox-test/tcbox:built"
NEEDED = (
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine"),
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0 or not shutil.which("debootstrap"), reason="needs debootstrap, and to be root"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="needs the Python of Debian 12, for which packages are fetched"),
)
"""Marks of a test module that builds it."""


def run(*command: object, timeout: int = 600, **more) -> str:
    """What a command says, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **more)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def ensure_base() -> str:
    """A Debian with Python, which stands for the base image that a registry would have; it is kept for the next time."""
    if run("docker", "images", "--quiet", BASE):
        return BASE
    with tempfile.TemporaryDirectory(prefix="tcbox-base-") as folder:
        site = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").splitlines()[0]
        run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", folder, site)
        pack(Path(folder), BASE)
    return BASE


def pack(root: Path, name: str) -> None:
    """Make an image of a root folder, without what no program reads."""
    for waste in ("var/lib/apt/lists", "var/cache/apt", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / waste, ignore_errors=True)
    run("sh", "-c", f"tar -C {root} -c . | docker import - {name}")


def build(base: str) -> tuple[str, ...]:
    """The image and the stage before it, from packages that were fetched before, since nothing is reached from within the build."""
    run("sh", ROOT / "packaging" / "docker" / "wheels.sh", sys.executable)
    stage = f"{IMAGE}-stage"  # named, so that it does not stay behind without a name
    try:
        for more in (["--target", "build", "-t", stage], ["-t", IMAGE]):
            run("docker", "build", "-f", "packaging/docker/Dockerfile", "--build-arg", f"BASE={base}", *more, ".", cwd=ROOT)
    finally:
        shutil.rmtree(ROOT / "packaging" / "docker" / "wheels", ignore_errors=True)
    return IMAGE, stage
