"""A Docker engine of a test's own, that it may stop, kill and fill up."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support import docker_images as images


def possible() -> bool:
    """Whether one can be started here."""
    return os.name == "posix" and os.geteuid() == 0 and all(shutil.which(each) for each in ("unshare", "dockerd", "containerd", "runc"))


RUNTIME = """#!{python} -I
import json, os, sys

argv = sys.argv[1:]
for option, value in zip(argv, argv[1:]):
    whole = option in ("--bundle", "-b")
    if whole or option in ("--process", "-p"):
        path = os.path.join(value, "config.json") if whole else value
        with open(path) as file:
            config = json.load(file)
        process = config["process"] if whole else config
        given = process.get("capabilities") or {{}}
        if {refuses} and "CAP_SYS_ADMIN" in given.get("bounding", ()):
            sys.exit("no privileged containers here")
        process["capabilities"] = {{kind: [name for name in names if name not in {lacking}] for kind, names in given.items()}}
        with open(path, "w") as file:
            json.dump(config, file)
os.execv({runc!r}, ["runc", *argv])
"""
"""A runtime that gives privileged containers what this machine has to give: runc fails where a capability of its list is missing."""
_CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock "
    "ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write "
    "audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
).split()


def lacking() -> list[str]:
    """Capabilities that this machine gives to nobody, root included."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    bounding = int(status.partition("CapBnd:")[2].split()[0], 16)
    return [f"CAP_{name.upper()}" for number, name in enumerate(_CAPABILITIES) if not bounding >> number & 1]


class Engine:
    """An engine below a folder, without networks.

    It has a network namespace of its own: without a bridge of its own it would take away the one of the machine's engine.

    Args:
        privileged: whether it runs privileged containers.
    """

    def __init__(self, folder: Path, root: Path | None = None, *, privileged: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._runtime = folder / "runtime"
        self._runtime.write_text(RUNTIME.format(python=sys.executable, refuses=not privileged, lacking=lacking(), runc=shutil.which("runc")), encoding="utf-8")
        self._runtime.chmod(0o755)
        self.folder, self.root = folder, root or folder / "root"
        self.socket = folder / "d.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Engine:
        """Start it, and wait until it answers."""
        for left in ("d.pid", "d.sock"):
            (self.folder / left).unlink(missing_ok=True)
        command = [
            "unshare", "--net", "dockerd", "--host", self.url, "--data-root", self.root, "--exec-root", self.folder / "run", "--pidfile", self.folder / "d.pid",
            "--bridge=none", "--iptables=false", "--ip6tables=false", "--log-level=error",
            "--add-runtime", f"own={self._runtime}", "--default-runtime", "own",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, start_new_session=True)
        for _ in range(300):
            if self.socket.exists() and images.engine_answers(str(self.socket)):
                return self
            assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
            time.sleep(0.1)
        raise AssertionError("the engine does not answer")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; with SIGKILL together with all that it started, as when the machine breaks down."""
        process, self._process = self._process, None
        if process is None:
            return
        if number == signal.SIGKILL:
            group = self._below(process.pid)
            for pid in (process.pid, *group):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            process.send_signal(number)
        process.wait(60)
        if number == signal.SIGKILL:  # a machine that breaks down forgets what is below /run
            self._unmount(f"{self.folder}/run/", f"{self.root}/")
            shutil.rmtree(self.folder / "run", ignore_errors=True)

    def _below(self, pid: int) -> list[int]:
        import psutil

        mine = str(self.folder / "run")
        shims = [each.pid for each in psutil.process_iter(["cmdline"]) if any(mine in word for word in each.info["cmdline"] or ())]
        children = [child.pid for owner in (pid, *shims) if psutil.pid_exists(owner) for child in psutil.Process(owner).children(recursive=True)]
        return [*shims, *children]

    def close(self) -> None:
        """End it, and let nothing of it be."""
        self.stop()
        self._unmount(f"{self.folder}/", f"{self.root}/")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unmount(self, *below: str) -> None:
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            place = line.split(" ")[1]
            if place.startswith(below):
                subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def image(engine: Engine, name: str, settings: Mapping[str, object]) -> str:
    """An image with this machine's own `dockerd` and `docker` in an engine; `settings` become its daemon.json."""
    import docker

    out = io.BytesIO(images.root_filesystem({"etc/docker/daemon.json": json.dumps(settings).encode()}))
    with tarfile.open(fileobj=out, mode="a") as tar:
        needed = {}
        for program in ("dockerd", "docker", "containerd", "containerd-shim-runc-v2", "runc"):
            path = shutil.which(program) or ""
            needed[f"bin/{program}"] = path
            listed = subprocess.run(["ldd", path], check=False, capture_output=True, text=True).stdout  # of a static one it says nothing
            needed.update({place.lstrip("/"): place for place in re.findall(r"(/\S+) \(", listed)})
        for place, path in needed.items():
            tar.add(os.path.realpath(path), place)
        link = tarfile.TarInfo("bin/chmod")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    client = docker.DockerClient(base_url=engine.url, timeout=300)
    try:
        repository, _, tag = name.partition(":")
        client.api.import_image_from_data(out.getvalue(), repository=repository, tag=tag, changes=["ENV PATH=/bin", 'CMD ["true"]'])
    finally:
        client.close()
    return name
