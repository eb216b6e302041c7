"""Files and folders that commands cannot use: each is named in one line, with what the system says."""

import sqlite3

import pytest
import yaml

from tcbox.config.instance import Instance
from tests.support import export, rights
from tests.support.box import clean_env


@pytest.fixture
def closed(tmp_path):
    """A folder that may not be looked into, with an instance's files and a configuration in it; and one that may not be written to."""
    folder = tmp_path / "closed"
    data = Instance(folder / "tcbox" / "default")
    data.create()
    data.state_file.write_text("{}")
    (folder / "tcbox.yml").write_text("port: 1\n")
    sqlite3.connect(folder / "x.db").close()
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    (fixed / "data").mkdir()
    sqlite3.connect(tmp_path / "here.db").close()
    folder.chmod(0)
    fixed.chmod(0o500)
    yield folder
    folder.chmod(0o700)
    fixed.chmod(0o700)


@pytest.fixture
def env(tmp_path):
    """An environment in which no instance of anybody else's is found."""
    return clean_env(HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state"), XDG_DATA_HOME=str(tmp_path / "share"))


def test_places_that_are_closed(closed, env, tmp_path):
    """Commands that are given one name it, and what the system says, and exit with 1."""
    file, data = str(closed / "tcbox.yml"), str(closed / "tcbox" / "default")
    denied = "cannot be used: Permission denied"
    (tmp_path / "cluster.yml").write_text(yaml.safe_dump(export.WHOLE))
    cases = [
        (["config", "check", "--config", file], f"{file} {denied}"),
        (["up", "--config", file], f"{file} {denied}"),
        (["ui", "--cluster", "--config", file], f"{file} {denied}"),
        (["export", "--config", file, "--out", "x"], f"{file} {denied}"),
        (["export", "--config", "cluster.yml", "--diff", f"{closed}/x"], f"{closed}/x {denied}"),
        (["up", "--data", data], f"the data folder {data} is closed to you"),
        (["status", "--data", data], f"the data folder {data} is closed to you"),
        (["db", "copy", "--from", data, "--to", f"sqlite://{tmp_path}/new.db"], f"{data} {denied}"),
        (["db", "copy", "--from", f"sqlite://{closed}/x.db", "--to", f"sqlite://{tmp_path}/new.db"], f"{closed}/x.db {denied}"),
        (["db", "copy", "--from", f"sqlite://{tmp_path}/here.db", "--to", f"sqlite://{tmp_path}/fixed/x.db"], f"{tmp_path}/fixed/x.db cannot be used"),
        (["state", "import", file, "--data", data], "is closed to you"),
        (["state", "diff", file, file], f"{file} {denied}"),
        (["run", f"{closed}/project"], denied),
        (["config", "check", "--config", str(tmp_path)], f"{tmp_path} is a folder"),
    ]
    for (words, expected), said in zip(cases, rights.tcbox([words for words, _ in cases], tmp_path, env), strict=True):
        assert "Traceback" not in said.err, (words, said.err)
        assert (said.code, said.out) == (1, ""), (words, said)
        assert said.err.startswith(f"tcbox {words[0]}: "), said.err
        assert expected in said.err, (words, said.err)


def test_doctor_and_closed_places(closed, env, tmp_path):
    """The doctor tells them as findings."""
    cases = [["doctor", "--config", str(closed / "tcbox.yml")], ["doctor", "--data", str(closed / "tcbox" / "default")]]
    for said in rights.tcbox(cases, tmp_path, env):
        assert said.code == 1
        assert "Permission denied" in said.out
        assert said.err == ""


def test_the_default_folder_is_another_users(closed, env, tmp_path):
    """Whoever asks for the instance of a folder that is closed is told so, rather than that none runs."""
    env = {**env, "XDG_DATA_HOME": str(closed)}
    for words, said in zip(("status", "env", "logs"), rights.tcbox([["status"], ["env"], ["logs"]], tmp_path, env), strict=True):
        assert said.code == 1
        assert f"tcbox {words}: the data folder {closed}/tcbox/default is closed to you" in said.err
        assert "--data" in said.err


def test_a_closed_working_folder(closed, env, monkeypatch):
    """In a folder that cannot be looked into, nobody knows whether there is a configuration: it must be said."""
    closed.chmod(0o700)
    monkeypatch.chdir(closed)
    closed.chmod(0)
    check, doctor = rights.tcbox([["config", "check"], ["doctor"]], None, env)
    assert check.code == doctor.code == 1
    assert "tcbox.yml of this folder cannot be used: Permission denied" in check.err
    assert "tcbox.yml of this folder cannot be used: Permission denied" in doctor.out
