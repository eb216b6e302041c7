"""A project of taskgraph's, its repository, and the image in which its decision tasks run, with neither registry nor internet."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import clients, docker_images

PROJECT = "company/demo"
URL = f"https://github.com/{PROJECT}"
"""What the project knows as its repository; in the image, git takes all of github.com from the test."""

_HOME = "opt/python"
_PASSED_OVER = frozenset({"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "dist-packages", "lib-dynload"})
_BUILDER = '''"""Images are built by the test's own builder."""

import os

from taskgraph.transforms.base import TransformSequence

transforms = TransformSequence()


@transforms.add
def build_here(config, tasks):
    for task in tasks:
        task["worker"]["docker-image"] = os.environ["BUILDER_IMAGE"]
        yield task
'''


def gateway() -> str:
    """This machine's address for containers.

    Skips the test where there is none.
    """
    return docker_images.gateway() or pytest.skip("the Docker engine's bridge has no IPv4 address for this machine")


# ----------------------------------------------------------------------------------------------- the image


def base_image(taskgraph: Path) -> str:
    """An image with this machine's Python, git and bash, and with taskgraph; made when the engine does not have it."""
    import docker

    made_of = taskgraph.name.encode() + Path(__file__).read_bytes()
    name = f"tcbox-test/taskgraph:{hashlib.sha256(made_of).hexdigest()[:16]}"
    client = docker.from_env()
    try:
        if not client.api.images(name=name):
            env = {
                "PATH": f"/{_HOME}/bin:/usr/bin:/bin:/usr/local/bin",
                "LD_LIBRARY_PATH": f"/{_HOME}/lib",
                "PYTHONPATH": f"/{_HOME}/lib/{Path(sysconfig.get_path('stdlib')).name}/site-packages",  # Debian's does not look there by itself
                "HOME": "/builds/worker",
                "SHELL": "/bin/bash",
                "LANG": "C.UTF-8",
            }
            repository, _, tag = name.partition(":")
            changes = [*(f"ENV {key}={value}" for key, value in env.items()), "WORKDIR /builds/worker", 'CMD ["python3", "/usr/local/bin/build-image"]']
            client.api.import_image_from_data(_filesystem(taskgraph), repository=repository, tag=tag, changes=changes)
    finally:
        client.close()
    return name


def image(taskgraph: Path, name: str, env: dict[str, str]) -> str:
    """The same image with further variables, under a name of its own."""
    import docker

    client = docker.from_env()
    try:
        made = client.api.create_container(base_image(taskgraph))
        try:
            repository, _, tag = name.partition(":")
            client.api.commit(made["Id"], repository=repository, tag=tag, changes=[f"ENV {key}={value}" for key, value in env.items()])
        finally:
            client.api.remove_container(made["Id"])
    finally:
        client.close()
    return name


def made_in(name: str) -> list[str]:
    """The images in the engine that tasks have built in an image of this name."""
    command = ["docker", "image", "ls", "--quiet", "--no-trunc", "--filter", f"label=tcbox-test.made-in={name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def _filesystem(taskgraph: Path) -> bytes:
    """A tar: busybox, and of this machine's programs just what they need."""
    out = io.BytesIO(docker_images.root_filesystem())
    python = Path(os.path.realpath(sys.executable))
    git, bash, env = (_program(name) for name in ("git", "bash", "env"))
    standard = Path(sysconfig.get_path("stdlib"))
    extensions = Path(sysconfig.get_config_var("DESTSHARED") or standard / "lib-dynload")
    packages = next((taskgraph / "venv" / "lib").glob("python3.*")) / "site-packages"
    version = standard.name
    core = Path(subprocess.run([git, "--exec-path"], check=True, capture_output=True, text=True).stdout.strip())
    with tarfile.open(fileobj=out, mode="a") as tar:
        known: set[str] = set()
        for folder in ("builds/worker/artifacts", "builds/worker/checkouts", "builds/worker/.cache", "usr/local/bin"):
            for parent in [*reversed(Path(folder).parents)][1:] + [Path(folder)]:
                _folder(tar, str(parent), known, owner=1000 if str(parent).startswith("builds/worker") else 0)
        _text(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/builds/worker:/bin/bash\n")
        _text(tar, "etc/group", "root:x:0:\nworker:x:1000:\n")
        tar.add(python, f"{_HOME}/bin/python3")
        tar.add(git.resolve(), "usr/bin/git")
        tar.add(bash.resolve(), "bin/bash")
        for word in ("git", "git-upload-pack"):
            _link(tar, f"{str(core).lstrip('/')}/{word}", "/usr/bin/git")
        tar.add(standard, f"{_HOME}/lib/{version}", filter=lambda entry: None if _unneeded(entry.name, version) else entry)
        tar.add(extensions, f"{_HOME}/lib/{version}/lib-dynload")
        tar.add(packages, f"{_HOME}/lib/{version}/site-packages")
        tar.add(clients.SOURCES / "taskgraph" / "build-image", "usr/local/bin/build-image")
        _text(tar, "usr/local/bin/taskgraph", f"#!/{_HOME}/bin/python3\nimport sys\nfrom taskgraph.main import main\nsys.exit(main())\n", 0o755)
        tar.add(packages / "taskgraph" / "run-task" / "run-task", "usr/local/bin/run-task")
        tar.add(env.resolve(), "usr/bin/env")
        for library in sorted(_libraries([python, git, bash, env, *extensions.glob("*.so"), *packages.rglob("*.so")])):
            place = f"{_HOME}/lib/{library.name}" if library.name.startswith("libpython") else str(library).lstrip("/")
            tar.add(library.resolve(), place)
    return out.getvalue()


def _program(name: str) -> Path:
    found = shutil.which(name)
    assert found, f"{name} is not installed"
    return Path(found)


def _unneeded(name: str, version: str) -> bool:
    parts = name.partition(f"{version}/")[2].split("/")
    return parts[0] in _PASSED_OVER or parts[0].startswith("config-") or (len(parts) > 1 and parts[1] in ("test", "tests"))


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """All shared libraries that programs are linked with, the loader among them."""
    listed = subprocess.run(["ldd", *map(str, programs)], check=False, capture_output=True, text=True).stdout
    return {Path(word) for word in listed.split() if word.startswith("/") and not word.endswith(":")}


def _folder(tar: tarfile.TarFile, name: str, known: set[str], *, owner: int) -> None:
    if name not in known:
        known.add(name)
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, owner, owner
        tar.addfile(entry)


def _text(tar: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    tar.addfile(entry, io.BytesIO(text.encode()))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


# ----------------------------------------------------------------------------------------------- the repository


class Repository:
    """A project as `taskgraph init` makes it, in a repository that is served by `git daemon`.

    Args:
        host: the address to serve at.
    """

    def __init__(self, folder: Path, taskgraph: Path, host: str) -> None:
        self._work = folder / PROJECT.rpartition("/")[2]
        self._served = folder / "served"
        bare = self._served / PROJECT
        bare.mkdir(parents=True)
        self._work.mkdir()
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        self._git("--git-dir", str(bare), "config", "uploadpack.allowAnySHA1InWant", "true")
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("remote", "add", "origin", URL)
        self._git("config", "remote.origin.pushurl", str(bare))
        programs = taskgraph / "venv" / "bin"
        env = {**os.environ, "HOME": str(folder), "PYTHONPATH": ""}
        template = next(taskgraph.glob("taskcluster_taskgraph-*"))
        subprocess.run(
            [programs / "python", programs / "taskgraph", "init", "--template", str(template)], cwd=self._work, env=env, check=True, capture_output=True
        )
        with socket.socket() as sock:
            sock.bind((host, 0))
            port = sock.getsockname()[1]
        self._address = (host, port)
        self._daemon = subprocess.Popen(
            ["git", "daemon", "--export-all", f"--base-path={self._served}", f"--listen={host}", f"--port={port}", "--reuseaddr", str(self._served)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def git_config(self) -> dict[str, str]:
        """Variables by which git takes all of github.com from here."""
        host, port = self._address
        return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.git://{host}:{port}/.insteadOf", "GIT_CONFIG_VALUE_0": "https://github.com/"}

    def adapt(self, name: str) -> None:
        """Change what a project without registry has to: the image of its decision tasks, and of the builder of its own images."""
        recipe = self._work / ".taskcluster.yml"
        lines = recipe.read_text().splitlines()
        (at,) = [at for at, line in enumerate(lines) if line.strip().startswith("image: mozillareleases/taskgraph:decision")]
        lines[at] = lines[at].partition("image:")[0] + f"image: {name}"
        recipe.write_text("\n".join(lines) + "\n")
        package = next(self._work.glob("taskcluster/*_taskgraph"))
        (package / "transforms" / "builder.py").write_text(_BUILDER)
        kind = self._work / "taskcluster" / "kinds" / "docker-image" / "kind.yml"
        first = "taskgraph.transforms.docker_image:transforms"
        assert first in kind.read_text()
        kind.write_text(kind.read_text().replace(first, f"{first}\n    - {package.name}.transforms.builder:transforms"))

    def write(self, name: str, text: str) -> None:
        """Write a file into the work tree."""
        path = self._work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name: str) -> str:
        """A file of the work tree."""
        return (self._work / name).read_text()

    def push(self, message: str) -> str:
        """Commit all and push; the commit."""
        self._git("add", "--all")
        self._git("-c", "user.name=Dev", "-c", "user.email=dev@company.example", "commit", "--quiet", "-m", message)
        self._git("push", "--quiet", "origin", "HEAD:refs/heads/main")
        return self._git("rev-parse", "HEAD").strip()

    @property
    def recipe(self) -> dict[str, Any]:
        """What .taskcluster.yml says."""
        made: dict[str, Any] = yaml.safe_load(self.read(".taskcluster.yml"))
        return made

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(10)

    def _git(self, *words: str) -> str:
        return subprocess.run(["git", *words], cwd=self._work, check=True, capture_output=True, text=True).stdout


def push_event(before: str, after: str) -> dict[str, Any]:
    """What GitHub says of a push, as far as templates ask for it."""
    owner, _, name = PROJECT.partition("/")
    repository = {"html_url": URL, "name": name, "full_name": PROJECT, "owner": {"login": owner}}
    return {
        "repository": repository, "before": before, "after": after, "ref": "refs/heads/main", "base_ref": None,
        "pusher": {"email": "dev@company.example"}, "sender": {"login": "dev"},
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------- beside it


def hook(recipe: dict[str, Any], permission: str) -> dict[str, Any]:
    """The hook by which actions of one permission are run, as the keepers of such a deployment set them up."""
    decision = "payload.decision"
    context = {
        "tasks_for": "action",
        "action": {
            **{name: {"$eval": f"{decision}.action.{name}"} for name in ("name", "title", "description", "taskGroupId", "cb_name", "symbol")},
            "action_perm": permission,
        },
        "push": {"$eval": f"{decision}.push"},
        "repository": {"$eval": f"{decision}.repository"},
        "input": {"$eval": "payload.user.input"},
        "taskId": {"$eval": "payload.user.taskId"},
        "taskGroupId": {"$eval": "payload.user.taskGroupId"},
        "ownTaskId": {"$eval": "taskId"},
        "clientId": {"$eval": "clientId"},
    }
    return {
        "metadata": {"name": "actions", "description": "", "owner": "ci@company.example", "emailOnError": False},
        "task": {"$let": context, "in": recipe["tasks"][0]},
        "triggerSchema": {"type": "object", "required": ["decision", "user"], "additionalProperties": True},
    }


def rights() -> Iterator[tuple[str, list[str]]]:
    """Roles by which the project's tasks may do what they do."""
    level = [
        *(f"queue:create-task:{priority}:mozilla-{pool}/*" for priority in ("low", "very-low", "lowest") for pool in ("1", "t")),
        "queue:create-task:project:none", "queue:scheduler-id:mozilla-level-1", "docker-worker:cache:mozilla-level-1-*", "docker-worker:cache:mozilla-project-demo-level-1-*",
        "queue:route:checks", "queue:route:index.mozilla.v2.demo.*", "queue:get-artifact:public/*", "index:find-task:*",
    ]  # fmt: skip
    yield f"repo:github.com/{PROJECT}:*", level
    yield "hook-id:project-mozilla/in-tree-action-1-*", [f"assume:repo:github.com/{PROJECT}:action:*", *level]


def wait(condition: Any, *, seconds: float, what: str) -> Any:
    """What a condition gives once it gives something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"{what} does not come to pass within {seconds} s")


def dumps(value: Any) -> str:
    """JSON for messages."""
    return json.dumps(value, indent=1)
