"""`tcbox run` as its users meet it: whole projects from dirty work trees, green and red."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.support import docker_images as images
from tests.support.projects import Runner, git, repository

pytestmark = pytest.mark.slow
docker = pytest.mark.skipif(not images.engine_answers(), reason="needs a Docker engine")
SECRET = ("--secret", "project/demo/token=s3cr3t-value")


@pytest.fixture
def runner(tmp_path):
    """Runs `tcbox run`; nothing of its instances may be left at the end."""
    made = Runner(tmp_path)
    yield made
    if images.engine_answers():
        made.forget_caches()
    until = time.monotonic() + 15
    while (left := made.leftovers()) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []


@pytest.fixture
def simple(runner, tmp_path):
    """A project with one host task, whose command is in `check.sh`."""

    def make(script: str, **task) -> Path:
        folder = tmp_path / "simple"
        folder.mkdir()
        (folder / "check.sh").write_text(script)
        command = [["sh", "-ec", "git clone -q https://github.com/octo/demo src && cd src && exec sh check.sh"]]
        whole = {
            "taskQueueId": "proj-demo/linux",
            "created": {"$fromNow": ""},
            "deadline": {"$fromNow": "1 hour"},
            "payload": {"command": command, "maxRunTime": 120},
            "metadata": {"name": "check", "description": "d", "owner": "me@example.com", "source": "https://example.com/"},
            **task,
        }
        (folder / ".taskcluster.yml").write_text(json.dumps({"version": 1, "tasks": [whole]}))
        return repository(folder)

    return make


def states(said: str) -> dict[str, str]:
    """The states in the tree at the end."""
    return dict(re.findall(r"^ *[✓✗-] (.+?)  (completed|failed|exception|skipped|blocked|left out)", said.rpartition("\n\n")[2], re.MULTILINE))


@docker
@pytest.mark.docker
def test_containers(runner):
    """A project of docker-worker tasks is green or red by what is in the dirty work tree, and keeps its caches between runs."""
    images.ensure_git()
    folder = runner.project("containers")
    red = runner.run(folder, *SECRET, code=1)
    assert states(red) == {"build": "completed", "test": "failed", "windows": "skipped"}
    assert "test is failed" in red
    end = red.partition("its log ends:")[2]
    assert "wrong answer: the answer is 41" in end
    assert "exit code: 3" in end
    assert "proj-demo/win2022 is a pool of Windows machines" in red
    assert "s3cr3t-value" not in red
    assert 'secret: {"secret":{"value":"***"}' in red
    (folder / "build.sh").write_text("echo the answer is 42\n")
    assert git(folder, "status", "--short") == "M build.sh"
    before = git(folder, "rev-parse", "HEAD"), sorted(path.name for path in (folder / ".git" / "objects").rglob("*"))
    green = runner.run(folder, *SECRET, "--allow-skipped")
    assert states(green) == {"build": "completed", "test": "completed", "windows": "skipped"}
    assert "builds so far: 2" in green
    assert before == (git(folder, "rev-parse", "HEAD"), sorted(path.name for path in (folder / ".git" / "objects").rglob("*")))
    pull = runner.run(folder, *SECRET, "--event", "pull-request", "--only", "build", "--fresh")
    assert states(pull) == {"build": "completed"}
    assert "builds so far: 1" in pull
    assert "repo:github.com/octo/containers:pull-request" in pull


def test_containers_without_docker(runner):
    """Without a Docker engine, tasks with an image are skipped with the reason, and what needs them is blocked."""
    folder = runner.project("containers")
    runner.env["DOCKER_HOST"] = f"unix://{runner.folder}/none.sock"
    said = runner.run(folder, *SECRET, code=1)
    assert states(said) == {"build": "skipped", "test": "skipped", "windows": "skipped"}
    assert "no Docker engine listens at" in said
    assert states(runner.run(folder, *SECRET, "--allow-skipped")) == states(said)


def test_processes(runner):
    """A project of generic-worker tasks gets archives of the dirty work tree, caches and variables of a file."""
    folder = runner.project("processes")
    (runner.folder / "env").write_text("# of every task\nFLAVOUR='vanilla ice'\n")
    words = ("--env-file", str(runner.folder / "env"))
    assert states(runner.run(folder, *words, code=1)) == {"check": "failed"}
    (folder / "added.txt").write_text("it was added\n")
    git(folder, "tag", "v1.0")
    for event in ("push", "release", "pull-request"):
        said = runner.run(folder, *words, "--event", event)
        assert states(said) == {"check": "completed"}
        assert "it was added" in said
        assert "FLAVOUR=vanilla ice" in said
    assert "Using the cache demo-pip" in said
    assert git(folder, "status", "--short") == "?? added.txt"


def test_taskgraph(runner):
    """A decision task's graph is followed to its end, and one of its tasks can be asked for by its label."""
    folder = runner.project("taskgraph")
    red = runner.run(folder, code=1)
    wanted = {"Decision Task (github-push)": "completed", "build-lib": "completed", "test-mac": "skipped"}
    assert states(red) == {**wanted, "test-unit": "failed"}
    (folder / "words.txt").write_text("one\ntwo\n")
    assert states(runner.run(folder, "--allow-skipped")) == {**wanted, "test-unit": "completed"}
    one = runner.run(folder, "--event", "cron:nightly", "--only", "test-u*")
    assert states(one) == {"Decision Task (cron)": "completed", "build-lib": "completed", "test-unit": "completed"}
    assert "1 left out" in one
    assert "no task is called nope" in runner.run(folder, "--only", "nope", code=2)


def test_old_file(runner):
    """A file of version 0 runs as well, and its environment leads to the work tree."""
    folder = runner.project("version0")
    (folder / "hello.txt").write_text("hello from a dirty tree\n")
    said = runner.run(folder, "--served-urls")
    assert states(said) == {"old": "completed"}
    assert "hello from a dirty tree" in said
    assert "hello from a dirty tree" in runner.run(folder)


def test_list_and_dry_run(runner):
    """--list and --dry-run tell the tasks, what runs them, and their scopes, and create none."""
    folder = runner.project("containers")
    listed = runner.run(folder, "--list")
    assert re.search(r"^test +proj-demo/linux-docker .*after build$", listed, re.MULTILINE)
    assert re.search(r"^windows +proj-demo/win2022  skipped: ", listed, re.MULTILINE)
    told = runner.run(folder, "--dry-run", "--event", "pull-request")
    assert "given   docker-worker:cache:demo-objects" in told
    assert "given   queue:create-task:lowest:proj-demo/linux-docker" in told
    assert "has     queue:route:checks" in told
    assert "a throwaway instance gives the role repo:github.com/octo/containers:pull-request:\n  docker-worker:cache:demo-objects" in told


def test_refusals(runner, simple, tmp_path):
    """What cannot be run is refused with the reason and what to do."""
    folder = simple("true")
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "odd.json").write_text('{"zen": "Keep it logically awesome."}')
    (tmp_path / "bad.env").write_text("A=1\n2B=x\n")
    (empty / "broken.yml").write_text("a: [")
    refusals = [
        (empty, (), 2, "has no .taskcluster.yml"),
        (empty, ("broken.yml",), 2, "is neither JSON nor YAML"),
        (folder, ("missing",), 2, "cannot read missing"),
        (folder, ("--event", "pushh"), 2, "--event pushh: expected push, tag, pull-request"),
        (folder, ("--event", str(tmp_path / "odd.json")), 2, "none of push, pull_request, release or issue_comment"),
        (folder, ("--only", "nope"), 2, "no task is called nope; there are:\n  check"),
        (folder, ("--secret", "project/x"), 2, "write --secret project/x=VALUE"),
        (folder, ("--env-file", str(tmp_path / "bad.env")), 2, "line 2: expected NAME=VALUE"),
        (folder, ("--keep", "--data", str(empty)), 2, "--keep is for a throwaway instance"),
        (folder, ("--watch", "--list"), 2, "leave one out"),
        (folder, ("--shell-on-failure",), 2, "needs a terminal"),
        (folder, ("--data", str(empty)), 1, "no instance runs on"),
        (folder, ("--frob",), 2, "unrecognized arguments"),
    ]
    for where, words, code, why in refusals:
        assert why in runner.run(where, *words, code=code), words
    (folder / ".taskcluster.yml").write_text("version: 1\ntasks: [{$eval: nope}]\n")
    assert "unknown context value nope" in runner.run(folder, code=1)
    (folder / ".taskcluster.yml").write_text("version: 1\ntasks: [{payload: {}}]\n")
    assert "does not take the task tasks[0], which has no name" in runner.run(folder, code=1)
    (folder / ".taskcluster.yml").unlink()
    git_less = tmp_path / "no-git"
    git_less.mkdir()
    (git_less / ".taskcluster.yml").write_text("version: 1\ntasks: []\n")
    assert "is in no git work tree" in runner.run(git_less, code=1)


def test_one_task(runner, tmp_path):
    """A task's definition alone runs without a repository; what it leaves out is filled in."""
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"payload": {"command": [["sh", "-c", 'echo "it is $TASK_ID"']], "maxRunTime": 60}}))
    said = runner.run(tmp_path, str(path))
    assert re.search(r"it is [\w-]{22}$", said, re.MULTILINE)
    assert states(said) == {"one": "completed"}


def test_event_file(runner, simple, tmp_path):
    """An event of a file decides repository, branch and role, and the commit that is run is the work tree's all the same."""
    folder = simple("git rev-parse --abbrev-ref HEAD; cat check.sh")
    config = (folder / ".taskcluster.yml").read_text().replace("octo/demo", "acme/other").replace('"check"', '"on ${event.ref} by ${event.sender.login}"')
    (folder / ".taskcluster.yml").write_text(config)
    event = {"ref": "refs/heads/topic/x", "after": "f" * 40, "repository": {"full_name": "acme/other"}, "sender": {"login": "mona"}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    said = runner.run(folder, "--event", str(tmp_path / "event.json"))
    assert states(said) == {"on refs/heads/topic/x by mona": "completed"}
    assert "made the role repo:github.com/acme/other:branch:topic/x" in said
    assert "│ topic/x" in said


def test_instance_that_runs(runner, simple, make_box):
    """An instance that runs is used and said; the role is its owner's to give, and queues that it serves are left to it."""
    box = make_box("workers:\n  docker: {enabled: false}\n")
    runner.env["XDG_STATE_HOME"] = str(box.state)
    folder = simple('echo "FLAVOUR=$FLAVOUR"')
    (runner.folder / "env").write_text("FLAVOUR=plain\n")
    refused = runner.run(folder, code=1)
    assert f"the one at {box.root_url}" in refused
    assert "the role repo:github.com/octo/demo:branch:main" in refused
    assert "queue:create-task:lowest:proj-demo/linux" in refused
    assert "missing queue:create-task:lowest:proj-demo/linux" in runner.run(folder, "--dry-run", code=1)
    import taskcluster

    assert f"{box.root_url}/auth/roles" in refused
    mended = "version: 1" + refused.partition("version: 1")[2]
    (runner.folder / "role.yml").write_text(mended)
    assert f"tcbox state import role.yml --data {box.data}" in refused
    box.command("state", "import", str(runner.folder / "role.yml"), "--data", str(box.data))
    assert "missing" not in runner.run(folder, "--dry-run")
    auth = taskcluster.Auth(box.options)
    auth.updateRole("repo:github.com/octo/demo:branch:main", {"description": "kept", "scopes": ["a:b"]})
    again = runner.run(folder, code=1).partition("version: 1")[2]
    assert "description: kept" in again
    assert "- a:b" in again
    auth.deleteRole("repo:github.com/octo/demo:branch:main")
    scopes = ["queue:create-task:lowest:proj-demo/linux", "queue:create-task:lowest:local/host", "queue:create-task:project:none"]
    auth.createRole("repo:github.com/octo/demo:branch:main", {"description": "", "scopes": scopes})
    for queue, worker in (("proj-demo/linux", "tcbox-run/host"), ("local/host", "local/host")):
        config = json.loads((folder / ".taskcluster.yml").read_text())
        config["tasks"][0]["taskQueueId"] = queue
        (folder / ".taskcluster.yml").write_text(json.dumps(config))
        said = runner.run(folder, "--env-file", str(runner.folder / "env"), "--data", str(box.data))
        assert states(said) == {"check": "completed"}
        assert "FLAVOUR=plain" in said
        assert f"Worker: {worker} " in said
    secrets = taskcluster.Secrets(box.options)
    secrets.set("project/x", {"secret": {"value": "theirs"}, "expires": taskcluster.fromNow("1 hour")})
    assert "has a secret project/x with another value" in runner.run(folder, "--secret", "project/x=mine", code=1)
    assert states(runner.run(folder, "--secret", "project/x=theirs", "--secret", 'project/y={"a": 1}')) == {"check": "completed"}
    assert secrets.get("project/y")["secret"] == {"a": 1}
    config["tasks"] *= 2
    config["tasks"][1] = {
        **config["tasks"][1],
        "payload": {"maxRunTime": 5, "command": ["no.exe"]},
        "metadata": {**config["tasks"][1]["metadata"], "name": "win"},
    }
    config["tasks"][1]["taskQueueId"] = "proj-demo/linux"
    (folder / ".taskcluster.yml").write_text(json.dumps(config))
    assert states(runner.run(folder, "--data", str(box.data), code=1)) == {"check": "completed", "win": "skipped"}
    listed = taskcluster.Queue(box.options).listPendingTasks("proj-demo/linux")
    assert listed["tasks"] == [], "a task that was skipped must not wait on an instance that lasts"


def test_keep(runner, simple):
    """--keep leaves the throwaway instance running, and says how to connect and how to stop it."""
    said = runner.run(simple("true"), "--keep")
    data = re.search(r'eval "\$\(tcbox env --data (\S+)\)"; stop it: tcbox down --data \1', said)[1]
    import subprocess

    from tests.support.box import TCBOX

    def tcbox(*words):
        return subprocess.run([*TCBOX, *words, "--data", data], env=runner.env, capture_output=True, text=True, check=True).stdout

    try:
        assert "TASKCLUSTER_ROOT_URL=http" in tcbox("env")
    finally:
        tcbox("down")


def test_watch(runner, simple):
    """--watch runs again when a file changes, drops what still runs then, and ends by Ctrl-C with nothing left."""
    folder = simple("echo first; exit 3")
    process = runner.begin(folder, "--watch")
    try:
        _until(process, "waiting for changes")
        (folder / "check.sh").write_text("echo second; sleep 300\n")
        _until(process, "│ second")
        (folder / "check.sh").write_text("echo third\n")
        _until(process, "│ third")
        _until(process, "waiting for changes")
        (folder / ".taskcluster.yml").write_text("version: 1\ntasks: [")
        _until(process, "no valid YAML")
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.stdout.close()


def test_interrupted(runner, simple):
    """Ctrl-C ends the tasks and all that was started, and exits with 130; after kill -9 nothing goes on either."""
    folder = simple('echo "pid $$"; sleep 300')
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = runner.begin(folder)
        pid = int(re.search(r"│ pid (\d+)", _until(process, "│ pid "))[1])
        process.send_signal(number)
        assert process.wait(30) == code
        process.stdout.close()
        until = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()


def test_nobody_reads(runner, simple):
    """When what it writes to is closed, as by `| head`, it ends quietly."""
    process = runner.begin(simple("while :; do echo more; sleep 0.1; done"))
    _until(process, "│ more")
    process.stdout.close()
    assert process.wait(30) == 128 + signal.SIGPIPE


def test_terminal(runner, simple):
    """At a terminal the states are seen below the logs while tasks run, and once more at the end."""
    terminal = runner.terminal(simple("sleep 2; printf '\\033[2Jred \\033[31mline\\033[0m\\n'; sleep 1"))
    try:
        terminal.expect("running 1.")
        assert "\x1b[1F\x1b[J" in terminal.text or "\x1b[2F\x1b[J" in terminal.text
        said = terminal.expect("line")
        assert "\x1b[2J" not in said
        assert "red \x1b[31mline" in said
        assert terminal.end() == 0
        assert "1 completed" in terminal.text
    finally:
        terminal.close()


def test_shell_where_a_process_failed(runner, simple):
    """--shell-on-failure opens a shell in the failed task's folder with its variables; the task is red afterwards."""
    terminal = runner.terminal(simple("echo here > left.txt; exit 3"), "--shell-on-failure")
    try:
        terminal.expect("this is a shell where it ran")
        terminal.type("cat src/left.txt; echo task $TASK_ID; exit\n")
        said = terminal.expect("task ")
        terminal.expect("1 failed")
        assert terminal.end() == 1
        assert "here" in terminal.text.partition("this is a shell")[2]
        assert re.search(r"task [\w-]{22}", terminal.text), said
    finally:
        terminal.close()


@docker
@pytest.mark.docker
def test_shell_where_a_container_failed(runner, tmp_path):
    """For a container the shell has its files as they are at the failure, its variables and its image."""
    images.ensure()
    path = tmp_path / "one.json"
    script = "echo here > /tmp/left.txt; exit 3"
    path.write_text(json.dumps({"payload": {"image": images.IMAGE, "command": ["sh", "-c", script], "env": {"MINE": "yes"}, "maxRunTime": 60}}))
    terminal = runner.terminal(tmp_path, str(path), "--shell-on-failure")
    try:
        terminal.expect("this is a shell where it ran")
        if "# " not in terminal.text.partition("this is a shell")[2]:
            terminal.expect("# ")  # who types before the container's terminal is there may not be heard
        terminal.type("cat /tmp/left.txt; echo mine=$MINE\n")
        terminal.expect("mine=yes")
        terminal.type("exit\n")
        terminal.expect("1 failed")
        assert terminal.end() == 1
        assert "here" in terminal.text.partition("this is a shell")[2]
    finally:
        terminal.close()


def _until(process, text: str, seconds: float = 60) -> str:
    """Read lines until one has a text; all of them."""
    said = ""
    until = time.monotonic() + seconds
    os.set_blocking(process.stdout.fileno(), True)
    while time.monotonic() < until:
        line = process.stdout.readline()
        said += line
        if text in line:
            return said
        if not line:
            break
    raise AssertionError(f"{text!r} did not come:\n{said}")
