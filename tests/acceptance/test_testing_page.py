"""What docs/testing.md shows is run as it stands there: in Python, in a shell, in CI jobs; and many instances at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import taskcluster
import yaml

from tcbox.config import processes
from tests.support import definitions, pages, workflows
from tests.support.box import TCBOX, clean_env

PAGE = "docs/testing.md"
ROOT = pages.ROOT
ACTIONS = {
    "actions/checkout": None,
    "example/tcbox/packaging/github-action": ROOT / "packaging" / "github-action",
    "example/tcbox/packaging/github-action/down": ROOT / "packaging" / "github-action" / "down",
}
TARGET = "integration-tests:\n\t@python3 use.py $(SHARD)\n"
USE = """
import json, os, sys, urllib.request
assert len(os.environ["TASKCLUSTER_ACCESS_TOKEN"]) > 20 and os.environ["TASKCLUSTER_CLIENT_ID"]
with urllib.request.urlopen(os.environ["TASKCLUSTER_ROOT_URL"] + "/__heartbeat__") as reply:
    assert json.load(reply)["healthy"]
with open(os.environ.get("SEEN", "seen"), "a") as file:
    file.write(os.environ["TASKCLUSTER_ROOT_URL"] + "\\n")
print("token", os.environ["TASKCLUSTER_ACCESS_TOKEN"])
sys.exit(int(os.environ.get("USE_FAILS", "0")))
"""


@pytest.fixture
def machine(tmp_path):
    """A machine with a project, an empty home and a temporary folder of its own, and `tcbox` in a folder that is on no PATH yet."""
    for name in ("home", "tmp", "bin", "project"):
        (tmp_path / name).mkdir()
    (tmp_path / "project" / "Makefile").write_text(TARGET)
    (tmp_path / "project" / "use.py").write_text(USE)
    (tmp_path / "bin" / "tcbox").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tcbox "$@"\n')
    (tmp_path / "bin" / "tcbox").chmod(0o755)
    yield tmp_path
    for folder in (tmp_path / "tmp").glob("tcbox-*"):  # what a failed test has left
        subprocess.run([tmp_path / "bin" / "tcbox", "down", "--data", folder], timeout=120)


def environment(machine: Path, *, on_path: bool = True, **more: str) -> dict[str, str]:
    """The machine's environment; `on_path` puts tcbox on the PATH."""
    path = (f"{machine}/bin:" if on_path else "") + ":".join(part for part in os.environ["PATH"].split(":") if not Path(part, "tcbox").exists())
    found = {"PATH": path, "HOME": str(machine / "home"), "TMPDIR": str(machine / "tmp"), "XDG_STATE_HOME": str(machine / "home" / "state")}
    return {**{k: v for k, v in clean_env().items() if k in ("LANG", "SSL_CERT_FILE")}, **found, **more}


BACKEND = """
import os, zipfile
INFO, START = {info!r}, {start!r}

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tcbox-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("tcbox_stands_for_itself.py", START)
        wheel.writestr(INFO + "/METADATA", "Metadata-Version: 2.1\\nName: tcbox\\nVersion: 0.1.0\\nProvides-Extra: docker\\n")
        wheel.writestr(INFO + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(INFO + "/entry_points.txt", "[console_scripts]\\ntcbox = tcbox_stands_for_itself:main\\n")
        wheel.writestr(INFO + "/RECORD", "")
    return name
"""


def repository(machine: Path) -> dict[str, str]:
    """A repository with the actions, whose package runs the tree that is tested; and what makes git find it at its URL, and pip no registry."""
    folder = machine / "repository"
    shutil.copytree(ROOT / "packaging" / "github-action", folder / "packaging" / "github-action")
    start = f"import os, sys\n\n\ndef main():\n    os.execv({str(machine / 'bin' / 'tcbox')!r}, ['tcbox', *sys.argv[1:]])\n"
    (folder / "backend.py").write_text(BACKEND.format(info="tcbox-0.1.0.dist-info", start=start))
    (folder / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x"), ("tag", "v0.1.0")):
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
    found = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{folder}.insteadOf", "GIT_CONFIG_VALUE_0": "https://git.example.com/tcbox.git"}
    return {"PIP_NO_INDEX": "1", **found}


def actions(machine: Path) -> dict[str, Path | None]:
    """Those of `repository`."""
    ours = machine / "repository" / "packaging" / "github-action"
    return {**ACTIONS, "example/tcbox/packaging/github-action": ours, "example/tcbox/packaging/github-action/down": ours / "down"}


def left(machine: Path) -> list[str]:
    """Processes and folders that instances of this machine have left."""
    running = subprocess.run([machine / "bin" / "tcbox", "status", "--all"], env=environment(machine), capture_output=True, text=True, check=False)
    folders = [path.name for path in (machine / "tmp").iterdir() if path.name.startswith("tcbox")]
    return folders + [line for line in running.stdout.splitlines() if "http://" in line]


def seen(machine: Path) -> list[str]:
    return (machine / "project" / "seen").read_text().split()


def test_every_part_of_the_page_is_run():
    """What the page shows is what is run here, and no more."""
    assert [len(pages.fences(PAGE, language)) for language in ("python", "sh", "yaml")] == [3, 3, 2]


def test_python(machine):
    """The tests that the page shows pass, and so does a program without pytest."""
    for number, part in enumerate(pages.fences(PAGE, "python")):
        name = f"test_{number}.py" if "def test_" in part else f"program_{number}.py"
        head = "import pytest\n\n\n" if "@pytest" in part else ""
        (machine / "project" / name).write_text(head + part)
    (machine / "project" / "Makefile").write_text("all:\n\ttrue\n")
    env = environment(machine, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "test_0.py"]
    done = subprocess.run(command, cwd=machine / "project", env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    # the task of the second one runs `make` in its own folder, where there is nothing to make, so it is given one
    part = (machine / "project" / "test_1.py").read_text().replace('"command": [["make"]]', '"command": [["sh", "-c", "echo all: >Makefile; make"]]')
    (machine / "project" / "test_1.py").write_text(part)
    done = subprocess.run([*command[:-1], "test_1.py"], cwd=machine / "project", env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([sys.executable, "program_2.py"], cwd=machine / "project", env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert left(machine) == []


@pytest.mark.skipif(not shutil.which("jq") or not shutil.which("make"), reason="needs jq and make")
@pytest.mark.parametrize(("containing", "instances"), [("info=$(", 1), ("for shard", 3)])
def test_shell(machine, containing, instances):
    """Each script starts its instances, uses every one of them, and leaves none."""
    script = pages.fence(PAGE, "sh", containing)
    done = subprocess.run(["bash", "-euc", script], cwd=machine / "project", env=environment(machine), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert len(set(seen(machine))) == instances
    assert left(machine) == []


def test_the_installation_is_the_same_everywhere():
    """Each page that installs tcbox does so from its repository, for there is no package of that name elsewhere, or from a checkout."""
    said = "git+https://git.example.com/tcbox.git"
    for path in (PAGE, "docs/examples/pytest/README.md", "packaging/gitlab-ci/tcbox.yml", "packaging/github-action/action.yml"):
        text = (ROOT / path).read_text()
        assert said in text, path
        assert not re.search(r"pip install tcbox\b|tcbox==", text), path


def test_the_example_where_it_lies(machine):
    """The example's tests pass in its folder in the checkout, whose own settings for tests they do not take."""
    folder = ROOT / "docs" / "examples" / "pytest"
    env = environment(machine, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "configfile: pytest.ini" in done.stdout


@pytest.mark.parametrize("name", ["", "down"])
def test_the_actions_are_valid(name):
    """GitHub's schema of actions accepts both."""
    path = ROOT / "packaging" / "github-action" / name / "action.yml"
    check("vendor.github-actions", path)


def check(schema: str, path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fails", ["0", "3"])
def test_github_actions(machine, fails):
    """The job that the page shows installs tcbox, uses an instance, never prints its token, and stops it, also when a step fails."""
    (machine / "workflow.yml").write_text("on: push\n" + pages.fence(PAGE, "yaml", "runs-on:"))
    check("vendor.github-workflows", machine / "workflow.yml")
    job = yaml.safe_load((machine / "workflow.yml").read_text())["jobs"]["test"]
    env = environment(machine, on_path=False, USE_FAILS=fails, **repository(machine))
    runner = workflows.GitHub(machine / "runner", machine / "project", actions(machine), env)
    status = runner.run(job)
    assert status == ("success" if fails == "0" else "failure"), runner.log
    assert len(seen(machine)) == 1
    assert "Taskcluster at http://" in runner.log
    assert "token ***" in runner.log
    assert ("::group::Log of the Taskcluster" in runner.log) is (fails != "0")
    assert left(machine) == []


def test_github_actions_twice_in_a_job(machine):
    """Two steps with ids are two instances, each with its own outputs, and a configuration and the tcbox on the PATH can be given."""
    (machine / "project" / "tcbox.yml").write_text("services: {github: {enabled: false}}\n")
    start = {"uses": "example/tcbox/packaging/github-action@v0.1.0", "with": {"package": "", "config": "tcbox.yml"}}
    job = {
        "runs-on": "x",
        "steps": [
            {"id": "one", **start}, {"id": "two", **start},
            {"run": "echo $ONE $TWO $TASKCLUSTER_ROOT_URL >both", "env": {"ONE": "${{ steps.one.outputs.root-url }}", "TWO": "${{ steps.two.outputs.root-url }}"}},
            {"uses": "example/tcbox/packaging/github-action/down@v0.1.0", "if": "always()"},
        ],
    }  # fmt: skip
    runner = workflows.GitHub(machine / "runner", machine / "project", ACTIONS, environment(machine))
    assert runner.run(job) == "success", runner.log
    one, two, last = (machine / "project" / "both").read_text().split()
    assert one != two == last
    listed = [line for line in runner.log.splitlines() if line.startswith("Taskcluster at")]
    assert len(listed) == 2
    assert not any("github" in line for line in listed)
    assert left(machine) == []


@pytest.mark.parametrize("fails", ["0", "3"])
def test_gitlab(machine, fails):
    """The job that the page shows works in GitLab's order of scripts, and leaves nothing, also when it fails."""
    project = machine / "project"
    (project / "ci").mkdir()
    shutil.copy(ROOT / "packaging" / "gitlab-ci" / "tcbox.yml", project / "ci" / "tcbox.yml")
    pipeline = pages.fence(PAGE, "yaml", "extends: .tcbox")
    (project / ".gitlab-ci.yml").write_text(pipeline)
    for path in (project / ".gitlab-ci.yml", project / "ci" / "tcbox.yml"):
        check("vendor.gitlab-ci", path)
    env = environment(machine, on_path=False, USE_FAILS=fails, CI_JOB_ID=f"test-{os.getpid()}-{fails}", **repository(machine))
    code, said = workflows.gitlab(project, pipeline, "integration-tests", env)
    assert (code != 0) is (fails != "0"), said
    assert len(seen(machine)) == 1
    assert not Path(f"/tmp/tcbox-test-{os.getpid()}-{fails}").exists()
    assert left(machine) == []


def test_eight_at_once(machine):
    """Eight instances that are started in the same moment each have their own port, folder and credentials, all work, and all are gone after."""
    env = environment(machine)

    def start(_number: int) -> dict:
        done = subprocess.run(
            [*TCBOX, "up", "--ephemeral", "--detach", "--json"], env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def use(info: dict) -> str:
        queue = taskcluster.Queue({"rootUrl": info["rootUrl"], "credentials": dict(info["credentials"])})
        task_id = taskcluster.slugId()
        queue.createTask(task_id, definitions.task(taskQueueId="test/nobody"))
        assert queue.status(task_id)["status"]["state"] == "pending"
        return task_id

    with ThreadPoolExecutor(8) as pool:
        infos = list(pool.map(start, range(8)))
        try:
            tasks = list(pool.map(use, infos))
            assert [len({json.dumps(info[key]) for info in infos}) for key in ("rootUrl", "data", "pid", "credentials")] == [8, 8, 8, 8]
            for info, task_id in zip(infos, [*tasks[1:], tasks[0]], strict=True):
                with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure):  # what one knows, the next does not
                    taskcluster.Queue({"rootUrl": info["rootUrl"]}).status(task_id)
        finally:
            ends = list(
                pool.map(lambda info: subprocess.run([*TCBOX, "down", "--data", info["data"]], env={**env, "PYTHONPATH": str(ROOT)}, timeout=120), infos)
            )
    assert [end.returncode for end in ends] == [0] * 8
    assert [info["pid"] for info in infos if processes.alive(info["pid"], "")] == []
    assert [info["data"] for info in infos if Path(info["data"]).exists()] == []
    assert left(machine) == []
