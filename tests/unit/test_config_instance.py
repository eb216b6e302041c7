"""An instance's data folder: who may read it, and whether somebody runs on it."""

import json
import os
import stat
import subprocess
import sys

import pytest

from tcbox import errors
from tcbox.config import instance, known, processes
from tcbox.config.instance import Instance


def announce(data, env, **changed):
    one = Instance(data)
    one.create()
    values = {"root_url": "http://localhost:1", "host": "127.0.0.1", "port": 1, "token": "t", "client_id": "c", "access_token": "a", "started": 5}
    return one, one.announce(**{**values, **changed}, env=env)


@pytest.fixture
def env(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_DATA_HOME": str(tmp_path / "share"), "HOME": str(tmp_path)}


def test_the_folder_is_for_its_owner_alone(tmp_path, env):
    """The data folder, and what is written about the running process, can be read by nobody else."""
    (tmp_path / "data").mkdir(mode=0o755)
    one, _ = announce(tmp_path / "data", env)
    assert stat.S_IMODE(one.data.stat().st_mode) == 0o700
    assert stat.S_IMODE(one.state_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(one.keys.stat().st_mode) == 0o700


def test_a_running_instance_is_found(tmp_path, env):
    """What was announced is found again through the folder, and in the list of instances."""
    one, running = announce(tmp_path / "data", env)
    assert Instance(tmp_path / "data").find_running() == running
    assert instance.list_running(env) == [running]
    assert (running.pid, running.started, running.alive()) == (os.getpid(), 5, True)
    one.withdraw()
    assert one.find_running() is None
    assert instance.list_known(env) == [(one.data, None)]


def test_instances_run_side_by_side(tmp_path, env):
    """Several instances are listed, each with its folder; one whose folder is gone is forgotten."""
    a, _ = announce(tmp_path / "a", env)
    announce(tmp_path / "b", env, port=2)
    assert [one.port for one in instance.list_running(env)] == [1, 2]
    for path in sorted(a.data.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    a.data.rmdir()
    assert [one.port for one in instance.list_running(env)] == [2]
    assert known.folders(env) == [tmp_path / "b"]


def test_an_ephemeral_instance_leaves_nothing_elsewhere(tmp_path, env):
    """An ephemeral instance writes nothing outside its own folder, and is found through that alone."""
    one, running = announce(tmp_path / "data", env, ephemeral=True)
    assert one.find_running() == running
    assert not (tmp_path / "state").exists()


def test_a_dead_process_does_not_count(tmp_path, env):
    """After a kill -9 the note that is left behind is known to be stale, and starting is not refused."""
    one, _ = announce(tmp_path / "data", env)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    text = one.state_file.read_text().replace(str(os.getpid()), str(child.pid)).replace(processes.mark(os.getpid()), processes.mark(child.pid))
    one.state_file.write_text(text)
    assert one.find_running() is not None
    with pytest.raises(errors.TcboxError, match="tcbox down --data"):
        one.refuse_if_running()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert one.find_running() is None  # a zombie
    child.communicate()
    assert one.find_running() is None
    one.refuse_if_running()


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the system does not say when processes started")
def test_another_process_of_the_same_id_does_not_count(tmp_path, env):
    """A later process that got the id of the dead one is not taken for it."""
    one, _ = announce(tmp_path / "data", env)
    one.state_file.write_text(one.state_file.read_text().replace(processes.mark(os.getpid()), "1"))
    assert one.find_running() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\ufeff", '{"pid": 1}', '{"other": 1}', {"pid": "abc"}, {"pid": None}, {"port": "80"}])
def test_a_damaged_note_counts_for_nothing(tmp_path, env, content):
    """A note that was cut off, holds something else, or comes from another version, keeps nobody from starting."""
    one, _ = announce(tmp_path / "data", env)
    if isinstance(content, dict):
        content = json.dumps({**json.loads(one.state_file.read_text()), **content})
    one.state_file.write_text(content)
    assert one.find_running() is None


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    """A file in the folder's place is one clear message."""
    (tmp_path / "data").write_text("")
    with pytest.raises(errors.TcboxError, match="cannot be used"):
        Instance(tmp_path / "data").create()


def test_urls_of_odd_folders_lead_back(tmp_path):
    """A folder with spaces and percent signs gives a database URL that is opened at the right place."""
    from urllib.parse import unquote

    one = Instance(tmp_path / "my data 100%")
    assert unquote(one.database_url.removeprefix("sqlite://")) == str(one.database)
