"""The command line as its users meet it: what it prints, how it refuses, what it leaves behind."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import taskcluster

from tests.acceptance.test_host_worker import alive, marker
from tests.support import definitions, ports
from tests.support.box import TCBOX, Box, clean_env
from tests.support.waiting import until

NO_WORKERS = "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n"
UP_KEYS = {
    "rootUrl", "host", "port", "pid", "data", "defaultData", "ephemeral", "database", "log", "ui", "metrics",
    "services", "workers", "credentials", "readyAfter", "events", "switchedOff", "notes", "seed",
}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """An environment in which no instance of anybody else's is found, and temporary folders are the test's own."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return clean_env(HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state"), XDG_DATA_HOME=str(tmp_path / "share"), TMPDIR=str(temporary))


def tcbox(env, *words, code=0, cwd=None):
    done = subprocess.run([*TCBOX, *words], capture_output=True, text=True, env=env, timeout=60, cwd=cwd, stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def begin(env, *words):
    """`tcbox up` in the foreground, ready, and what it said."""
    process = subprocess.Popen([*TCBOX, "up", "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    said = ""
    for line in process.stdout:
        said += line
        if line == "}\n":
            return process, json.loads(said)
    raise AssertionError(process.stderr.read())


def test_two_instances_side_by_side(make_box):
    """Several instances run side by side, each found by its folder, and a command that could mean either asks which."""
    one = make_box(NO_WORKERS)
    assert set(one.info) == UP_KEYS
    two = Box(one.folder / "two", NO_WORKERS) if (one.folder / "two").mkdir() is None else None
    two.state = one.state
    two.start()
    try:
        listed = json.loads(one.command("status", "--all", "--json").stdout)
        assert {each["pid"] for each in listed} == {one.pid, two.pid}
        refused = one.command("env", check=False)
        assert refused.returncode == 1
        assert f"--data {one.data}" in refused.stderr
        assert f"--data {two.data}" in refused.stderr
        for shell, form in (("sh", "export {}={}"), ("fish", "set -gx {} {};"), ("dotenv", "{}={}")):
            said = one.command("env", "--data", str(two.data), "--shell", shell).stdout
            assert form.format("TASKCLUSTER_ROOT_URL", two.root_url) in said
        assert json.loads(one.command("env", "--data", str(two.data), "--shell", "json").stdout)["TASKCLUSTER_ROOT_URL"] == two.root_url
        again = one.command("up", "--data", str(one.data), "--detach", check=False)
        assert again.returncode == 1
        assert f"process {one.pid}" in again.stderr
    finally:
        two.stop()
    status = json.loads(one.command("status", "--json").stdout)
    assert status["pid"] == one.pid
    assert {service["state"] for service in status["services"].values()} == {"healthy"}


def test_refusals(quiet_box, place, tmp_path):
    """What cannot be done is refused with the reason and what to do, and the code 1; what cannot be meant with 2."""
    data = ("--data", str(quiet_box.data))
    taken = str(quiet_box.port)
    refusals = [
        (("up", "--detach", "--port", taken, "--data", str(tmp_path / "other")), "is taken by another program", "--port"),
        (("up", "--port", taken, "--data", str(tmp_path / "another")), "is taken by another program", "--port"),
        (("up", "--host", "203.0.113.1", "--data", str(tmp_path / "other")), "is no address of this machine", "--host"),
        (("up", "--config", "missing.yml"), "there is no file missing.yml", "--config"),
        (("config", "check", "--config", "missing.yml"), "there is no file missing.yml", "--config"),
        (("up", "--ephemeral", "--data", "x"), "--ephemeral uses a folder of its own", "leave out"),
        (("up", "--virtual-time"), "--virtual-time goes with --ephemeral", ""),
        (("status", "--data", str(tmp_path / "other")), "no instance runs on", "tcbox up --data"),
        (("down",), "no instance is running", "tcbox up"),
        (("restart", "nope", *data), "there is no nope", "auth, object, secrets, queue"),
        (("logs", "nope", *data), "there is no part named nope", "queue"),
        (("task", "status", "short", *data), "'short' is no task id", "22 characters"),
        (("task", "status", taskcluster.slugId(), *data), "", ""),
        (("task", "create", *data), "nothing to run", "-- echo hello"),
        (("task", "create", "--env", "X", *data, "--", "true"), "--env X: expected a name and a value", ""),
        (("task", "create", "--file", "missing.json", *data), "cannot read missing.json", ""),
        (("worker", "run", "--kind", "host"), "a worker needs an instance and credentials", "TASKCLUSTER_ROOT_URL"),
    ]
    usage = [
        words for words, why, _ in refusals
        if "--virtual-time" in words or "--ephemeral" in words or why in ("'short' is no task id", "nothing to run", "--env X: expected a name and a value")
    ]  # fmt: skip
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (words, why, what), said in zip(
            refusals, pool.map(lambda each: tcbox(place, *each[0], code=2 if each[0] in usage else 1, cwd=tmp_path), refusals), strict=True
        ):
            assert said.startswith(f"tcbox {words[0]}: "), said
            assert why in said
            assert what in said
    tcbox(place, "frob", code=2)
    tcbox(place, code=2)


def test_wrong_configuration(place, tmp_path):
    """Every mistake of a configuration is told at once with its line, and nothing is started or made."""
    path = tmp_path / "tcbox.yml"
    path.write_text("port: abc\nservices:\n  queeue: {}\nlog: {level: loud}\n")
    for words in (("up",), ("config", "check")):
        said = tcbox(place, *words, code=1, cwd=tmp_path)
        for line, key in ((1, "port"), (3, "services.queeue"), (4, "log.level")):
            assert f"tcbox.yml:{line}:" in said
            assert key in said
    assert os.listdir(place["TMPDIR"]) == []
    found = json.loads(subprocess.run([*TCBOX, "doctor", "--json"], capture_output=True, env=place, cwd=tmp_path).stdout)
    assert len([each for each in found if each["check"] == "configuration" and each["state"] == "wrong"]) == 3
    path.write_text("port: 8123\n")
    assert "no mistakes" in tcbox(place, "config", "check", cwd=tmp_path)
    assert "port = 8123    # tcbox.yml:1:7" in tcbox(place, "config", "show", cwd=tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ephemeral_leaves_nothing(place, number):
    """An ephemeral instance ends on any of the usual signals with its folder, process and port gone."""
    process, info = begin(place, "--ephemeral")
    assert info["ephemeral"]
    assert os.listdir(place["TMPDIR"]) == [Path(info["data"]).name]
    process.send_signal(number)
    assert process.wait(20) == 0
    assert os.listdir(place["TMPDIR"]) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", info["port"]), 1)


def test_ephemeral_that_fails_leaves_nothing(place):
    """An ephemeral instance that cannot start, or is stopped while it starts, leaves no folder either."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        tcbox(place, "up", "--ephemeral", "--port", port, code=1)
        tcbox(place, "up", "--ephemeral", "--detach", "--port", port, code=1)
    process = subprocess.Popen([*TCBOX, "up", "--ephemeral"], env=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: os.listdir(place["TMPDIR"]))
    process.terminate()
    assert process.wait(20) in (0, 143)
    assert os.listdir(place["TMPDIR"]) == []


def test_second_signal_ends_at_once(place, tmp_path):
    """A second Ctrl-C does not wait for what is under way, and an ephemeral instance still leaves nothing."""
    path, mark, token, (port,) = tmp_path / "tcbox.yml", marker(), "t" * 44, ports.free()
    path.write_text("workers: {grace_seconds: 600, docker: {enabled: false}, builtin: {enabled: false}}\n")
    env = {**place, "TCBOX_ROOT_ACCESS_TOKEN": token}
    command = [*TCBOX, "up", "--ephemeral", "--config", str(path), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)
    try:
        options = {"rootUrl": f"http://localhost:{port}", "credentials": {"clientId": "static/taskcluster/root", "accessToken": token}, "maxRetries": 20}
        taskcluster.Queue(options).createTask(taskcluster.slugId(), definitions.host(f"sleep {mark}"))
        until(lambda: alive(mark))
        process.send_signal(signal.SIGINT)
        assert any(line == "stopping ...\n" for line in process.stderr)
        assert alive(mark)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130  # and not in ten minutes
    finally:
        process.kill()
        process.wait()
    until(lambda: not alive(mark))
    assert os.listdir(place["TMPDIR"]) == []


def test_detached_instance_outlives_its_terminal(quiet_box):
    """A detached instance has left the session and the process group of the command that started it."""
    assert os.getsid(quiet_box.pid) == quiet_box.pid != os.getsid(0)
    assert {os.readlink(f"/proc/{quiet_box.pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    assert quiet_box.info["readyAfter"] < 10
    said = quiet_box.command("down", "--data", str(quiet_box.data)).stdout
    assert str(quiet_box.data) in said
    assert not quiet_box.alive()


def test_full_disk(place, tmp_path):
    """A disk that is full keeps an instance from starting with a line that says so; with room it starts on what is there."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        said = tcbox(place, "up", "--detach", "--port", "0", "--data", str(folder / "data"), code=1)
        assert "full" in said
        tcbox(place, "doctor", "--data", str(folder / "data"), code=1)
        subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
        tcbox(place, "up", "--detach", "--port", "0", "--data", str(folder / "data"))
        tcbox(place, "down", "--data", str(folder / "data"))
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("service", ["queue", "secrets", "auth"])
def test_restart_while_the_others_serve(quiet_box, service):
    """While one service is restarted, signed calls of another are all answered, and the restarted one answers afterwards."""
    options = {**quiet_box.options, "maxRetries": 0}
    other = (lambda: taskcluster.Secrets(options).list()) if service != "secrets" else (lambda: taskcluster.Auth(options).currentScopes())
    done, failed, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                other()
                done.append(1)
            except Exception as error:
                failed.append(str(error))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for each in asking:
        each.start()
    for _ in range(3):
        assert f"restarted {service} in" in quiet_box.command("restart", service, "--data", str(quiet_box.data)).stdout
    stop.set()
    for each in asking:
        each.join()
    assert failed == []
    assert len(done) > 10
    taskcluster.Auth(options).ping()
    assert taskcluster.Queue(options).listTaskQueues() == {"taskQueues": []}


def test_tasks(box):
    """A command runs as a task; its log, state and artifacts are shown, and a failure is a failure of the command."""
    data = ("--data", str(box.data))
    ran = box.command("task", "create", "--wait", "--env", "WHO=you", "--artifact", "public/x=x", *data, "--", "sh", "-c", "echo hello $WHO; printf 123 > x")
    assert "hello you" in ran.stdout
    task = ran.stderr.split()[0]
    assert f"{task}  completed" in box.command("task", "status", task, *data).stdout
    assert "public/x\t" in box.command("task", "artifacts", task, *data).stdout
    assert box.command("task", "artifacts", task, "public/x", *data).stdout == "123"
    assert "hello you" in box.command("task", "log", task, *data).stdout
    as_json = box.command("task", "create", "--wait", "--json", *data, "--", "echo", "hi there")
    assert json.loads(as_json.stdout)["status"]["state"] == "completed"
    assert "hi there" in as_json.stderr
    assert "leave out its name" in box.command("task", "artifacts", task, "public/x", "--json", *data, check=False).stderr
    assert json.loads(box.command("task", "status", task, "--json", *data).stdout)["status"]["state"] == "completed"
    missing = box.command("task", "artifacts", task, "public/y", *data, check=False)
    assert missing.returncode == 1
    assert "has no artifact public/y" in missing.stderr
    failed = box.command("task", "create", "--wait", *data, "--", "false", check=False)
    assert failed.returncode == 1
    assert "failed" in failed.stderr
    held = box.command("task", "create", "--queue", "nobody/serves", *data, "--", "true").stdout.strip()
    assert "exception (canceled)" in box.command("task", "cancel", held, *data).stdout
    assert "pending" in box.command("task", "rerun", held, *data).stdout


def test_logs(quiet_box):
    """The log is shown by part, its newest lines first wanted, and followed as it grows."""
    data = ("--data", str(quiet_box.data))
    following = subprocess.Popen([*TCBOX, "logs", "supervisor", "-f", *data], stdout=subprocess.PIPE, text=True, env=quiet_box.env)
    try:
        quiet_box.command("restart", "secrets", *data)
        line = following.stdout.readline()
        while "part=secrets" not in line:
            assert line
            line = following.stdout.readline()
    finally:
        following.terminate()
        following.wait()
        following.stdout.close()
    assert json.loads(quiet_box.command("logs", "-n", "1", "--json", *data).stdout)["message"]
    assert quiet_box.command("logs", "queue.nothing", *data, check=False).returncode == 1


def test_doctor(make_box, place):
    """The doctor finds what a killed instance and careless hands have left, says what mends it, and mends what it safely can."""
    box = make_box(NO_WORKERS)
    expires = taskcluster.fromNow("1 day")
    taskcluster.Secrets(box.options).set("a", {"secret": {}, "expires": expires})
    box.kill()
    box.data.chmod(0o755)
    (box.data / "root-client.json").chmod(0o644)
    key = box.data / "keys" / "sealing.key"
    key.rename(box.folder / "aside")
    env = {**place, **box.env, "TMPDIR": place["TMPDIR"]}  # nobody else's leftovers are touched
    words = ("doctor", "--data", str(box.data), "--config", str(box.config))
    config = box.config.read_text() + "port: 0\n"
    box.config.write_text(config)
    found = {
        each["check"]: each for each in json.loads(subprocess.run([*TCBOX, *words, "--json"], capture_output=True, env=env).stdout) if each["state"] == "wrong"
    }
    assert set(found) >= {"data", "secrecy", "instance", "keys"}
    assert found["data"]["command"] == f"chmod 700 {box.data}"
    assert found["instance"]["fixable"]
    assert "sealing.key is not there" in found["keys"]["message"]
    fixed = subprocess.run([*TCBOX, *words, "--fix"], capture_output=True, env=env)
    assert fixed.returncode == 1
    assert box.data.stat().st_mode & 0o777 == 0o700
    assert (box.data / "root-client.json").stat().st_mode & 0o777 == 0o600
    assert not (box.data / "run" / "instance.json").exists()
    (box.folder / "aside").rename(key)
    states = {each["check"]: each["state"] for each in json.loads(tcbox(env, *words, "--json"))}
    assert states["keys"] == states["database"] == "ok"


def test_doctor_finds_a_damaged_and_a_newer_database(place, tmp_path):
    """A database that is damaged or was written by a newer tcbox is told of, with what to do."""
    import sqlite3

    data = tmp_path / "data"
    tcbox(place, "up", "--detach", "--port", "0", "--data", str(data))
    tcbox(place, "down", "--data", str(data))
    tcbox(place, "doctor", "--data", str(data))
    with sqlite3.connect(data / "tcbox.db") as connection:
        connection.execute("INSERT INTO tcbox_migrations (service, number, name, checksum, applied) VALUES ('queue', 99, 'future', 'x', 0)")
    connection.close()
    said = subprocess.run([*TCBOX, "doctor", "--data", data], capture_output=True, text=True, env=place)
    assert said.returncode == 1
    assert "was written by a newer tcbox" in said.stdout
    assert "was written by a newer tcbox" in tcbox(place, "up", "--detach", "--port", "0", "--data", str(data), code=1)
    raw = bytearray((data / "tcbox.db").read_bytes())
    raw[4096:12288] = b"\xff" * 8192
    (data / "tcbox.db").write_bytes(raw)
    said = subprocess.run([*TCBOX, "doctor", "--data", data], capture_output=True, text=True, env=place)
    assert said.returncode == 1
    assert "tcbox.db" in said.stdout


def test_doctor_finds_a_killed_ephemeral_instance(place):
    """The folder of an ephemeral instance that was killed is found and removed."""
    process, info = begin(place, "--ephemeral")
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    assert Path(info["data"]).exists()
    tcbox(place, "doctor", "--fix")
    assert not Path(info["data"]).exists()


def test_docker_gone(make_box):
    """Without a Docker engine the instance starts, and its banner and status say why docker tasks wait, and what to do."""
    box = make_box("workers:\n  host: {enabled: false}\n  docker: {url: 'unix:///nowhere/docker.sock'}\n")
    assert box.info["workers"]["docker"].startswith("not running, no Docker engine listens at /nowhere/docker.sock: install")

    def worker_state():
        worker = json.loads(box.command("status", "--json").stdout)["workers"]["docker"]
        return worker if worker["state"] != "starting" else None

    worker = until(worker_state)
    assert worker["state"] == "unavailable"
    assert "/nowhere/docker.sock" in worker["why"]
    env = {**box.env, **json.loads(box.command("env", "--shell", "json").stdout)}
    alone = subprocess.run(
        [*TCBOX, "worker", "run", "--kind", "docker", "--docker-url", "unix:///nowhere/docker.sock", "--folder", box.folder / "alone"],
        env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert alone.returncode == 1
    assert "No Docker engine answers at unix:///nowhere/docker.sock" in alone.stderr


def test_port_80(place, tmp_path):
    """With port 80 the root URL has no port, and so it can be with a host name and a proxy in front."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 80))
        except OSError:
            pytest.skip("port 80 cannot be had here")
    process, info = begin(place, "--ephemeral", "--port", "80")
    try:
        assert info["rootUrl"] == "http://localhost"
        assert taskcluster.Auth({"rootUrl": info["rootUrl"]}).ping()["alive"]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    config = tmp_path / "tcbox.yml"
    config.write_text("root_url: http://taskcluster.test\n" + NO_WORKERS)
    process, info = begin(place, "--ephemeral", "--config", str(config))
    process.terminate()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    assert info["rootUrl"] == "http://taskcluster.test"


def test_help():
    """Every command and action has help that names its options."""
    said = subprocess.run([sys.executable, "-m", "tcbox", "--help"], capture_output=True, text=True).stdout
    for word in ("up", "down", "status", "env", "logs", "restart", "config", "doctor", "task", "worker"):
        assert word in said
