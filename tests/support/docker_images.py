"""Images for tests, made from this machine's static busybox, since no registry is needed to run them."""

from __future__ import annotations

import asyncio
import functools
import gzip
import io
import ipaddress
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

IMAGE = "tcbox-test/busybox:1"
_APPLETS = ("sh cat echo ls mkdir env sleep true false printf test wget head tail dd sync rm ln seq stty tr id kill sha256sum od nc base64 hostname").split()


def engine_answers(path: str = "/var/run/docker.sock") -> bool:
    """Whether a Docker engine listens at its usual socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(2)
        try:
            sock.connect(path)
            sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"200 OK" in sock.recv(200)
        except OSError:
            return False


def gateway() -> str:
    """This machine's address for containers, "" where there is no engine, or none whose bridge has an IPv4 address."""
    import docker

    if not engine_answers():
        return ""
    client = docker.from_env()
    try:
        for config in client.api.inspect_network("bridge")["IPAM"]["Config"]:
            subnet = ipaddress.ip_network(config["Subnet"])
            if subnet.version == 4:
                return config.get("Gateway") or str(subnet[1])
    finally:
        client.close()
    return ""


def root_filesystem(files: Mapping[str, bytes] | None = None) -> bytes:
    """A tar with busybox and its applets, and the files that are given.

    Skips the test where there is no static busybox.
    """
    busybox = next((path for path in ("/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox") if Path(path).exists()), None) or shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox: apt-get install busybox-static")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755), ("root", 0o700)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name, content in (files or {}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@functools.cache
def ensure(name: str = IMAGE) -> str:
    """The name of an image that is in the engine; made when it is not."""
    make(name)
    return name


def make(name: str, *changes: str, files: Mapping[str, bytes] | None = None, url: str | None = None) -> str:
    """The id of an image of this name, made when the engine has none; `changes` are lines of a Dockerfile."""
    import docker

    client = docker.DockerClient(base_url=url) if url else docker.from_env()
    try:
        if not client.api.images(name=name):
            repository, _, tag = name.partition(":")
            every = ["ENV PATH=/bin", 'CMD ["true"]', *changes]
            client.api.import_image_from_data(root_filesystem(files), repository=repository, tag=tag, changes=every)
        return client.images.get(name).id
    finally:
        client.close()


def saved(name: str = IMAGE) -> bytes:
    """What `docker save` writes of an image."""
    import docker

    client = docker.from_env()
    try:
        return b"".join(client.api.get_image(ensure(name)))
    finally:
        client.close()


def remove(name: str) -> None:
    """Take an image's name away, and the image with its last name."""
    subprocess.run(["docker", "image", "rm", "-f", name], check=False, capture_output=True)


def gz(data: bytes) -> bytes:
    """Packed by gzip."""
    return gzip.compress(data, 1)


def zst(data: bytes) -> bytes:
    """Packed by zstd."""
    import zstandard

    return zstandard.compress(data, 1)


async def labelled(label: str) -> dict[str, list[str]]:
    """Ids of containers, networks and volumes that have a label."""

    def look() -> dict[str, list[str]]:
        import docker

        client = docker.from_env()
        try:
            filters = {"label": label}
            return {
                "containers": [each["Id"] for each in client.api.containers(all=True, filters=filters)],
                "networks": [each["Id"] for each in client.api.networks(filters=filters)],
                "volumes": [each["Name"] for each in client.api.volumes(filters=filters)["Volumes"] or []],
            }
        finally:
            client.close()

    return await asyncio.to_thread(look)


GIT_IMAGE = "tcbox-test/git:1"


_MORE = ("grep", "wc", "gunzip")


def ensure_git(name: str = GIT_IMAGE) -> str:
    """The name of an image with git in it, made of this machine's own; made when it is not in the engine."""
    import docker

    client = docker.from_env()
    try:
        if not client.api.images(name=name):
            repository, _, tag = name.partition(":")
            client.api.import_image_from_data(_with_git(), repository=repository, tag=tag, changes=["ENV PATH=/bin:/usr/bin", 'CMD ["true"]'])
    finally:
        client.close()
    return name


def _with_git() -> bytes:
    git = shutil.which("git")
    core = Path(subprocess.run([git, "--exec-path"], check=True, capture_output=True, text=True).stdout.strip())
    programs = [Path(git), core / "git-remote-http"]
    listed = "".join(subprocess.run(["ldd", str(each)], check=True, capture_output=True, text=True).stdout for each in programs)
    libraries = {Path(word) for word in listed.split() if word.startswith("/")}
    out = io.BytesIO(root_filesystem())
    with tarfile.open(fileobj=out, mode="a") as tar:
        for path in (*programs, *sorted(libraries)):
            tar.add(path.resolve(), str(path).lstrip("/"))
        for name in _MORE:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for word in ("git", "git-upload-pack"):
            link = tarfile.TarInfo(f"{str(core).lstrip('/')}/{word}")
            link.type, link.linkname = tarfile.SYMTYPE, git
            tar.addfile(link)
    return out.getvalue()
