"""Stand-ins for the images that an export to Compose pulls from registries: the real programs, from Debian's packages and a Go module."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from tests.support import clients, docker_images, image
from tests.support.image import run

HERE = Path(__file__).parent / "standins"
PACKAGES = ("postgresql", "rabbitmq-server", "nginx-light")
_SERVERS = {"postgres": "postgres", "rabbitmq": "rabbitmq", "proxy": "nginx", "s3": "s3", "s3-bucket": "s3"}
"""Which target of the Dockerfile stands for the image of which service."""


def override() -> dict[str, object]:
    """What a second Compose file says so that these images are taken. They are made when the engine has none, and kept."""
    program = clients.s3()
    servers = _debian()
    with tempfile.TemporaryDirectory(prefix="tcbox-standins-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(HERE, context)
        shutil.copy(program, context / "versitygw")
        arguments = ["--build-arg", f"SERVERS={servers}", "--build-arg", f"SMALL={docker_images.ensure()}"]
        names = {target: f"tcbox-test/{target}:standin" for target in set(_SERVERS.values())}
        for target, name in names.items():
            run("docker", "build", *arguments, "--target", target, "-t", name, context)
    return {"services": {service: {"image": names[target]} for service, target in _SERVERS.items()}}


def _debian() -> str:
    """The base image with Debian's packages in it, named after them."""
    name = f"tcbox-test/servers:{hashlib.sha256(repr(PACKAGES).encode()).hexdigest()[:12]}"
    if run("docker", "images", "--quiet", name):
        return name
    base = image.ensure_base()
    with tempfile.TemporaryDirectory(prefix="tcbox-servers-") as folder:
        root = Path(folder)
        container = run("docker", "create", base, "true")
        try:
            run("sh", "-c", f"docker export {container} | tar -C {root} -x")
        finally:
            run("docker", "rm", container)
        shutil.copy("/etc/resolv.conf", root / "etc")
        for path, text in (("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"), ("etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n")):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)  # nothing is started while this installs
            (root / path).chmod(0o755)
        here = ["chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Options::=--force-unsafe-io"]
        run(*here, "update")
        run(*here, "install", "-y", "--no-install-recommends", *PACKAGES)
        image.pack(root, name)
    return name
