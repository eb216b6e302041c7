"""Where an instance's state is: what commands say of it, and what they refuse, when it is elsewhere or cannot be used."""

import contextlib
import json
import sqlite3
import subprocess

import pytest

from tests.support import rights
from tests.support.box import TCBOX, clean_env

pytestmark = pytest.mark.alone
OFF = "workers: {docker: {enabled: false}, host: {enabled: false}, builtin: {enabled: false}}\n"


@pytest.fixture
def env(tmp_path):
    """An environment in which no instance of anybody else's is found."""
    return clean_env(HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state"), XDG_DATA_HOME=str(tmp_path / "share"))


def tcbox(env, *words, code=0, cwd=None):
    done = subprocess.run([*TCBOX, *words], capture_output=True, text=True, env=env, timeout=60, cwd=cwd, stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def test_a_database_of_another_place(env, tmp_path):
    """It is named by all that names it, also when its URL has four slashes; that of the data folder is not taken for it."""
    elsewhere, data = tmp_path / "else where" / "x.db", tmp_path / "share" / "tcbox" / "default"
    elsewhere.parent.mkdir()
    url = f"sqlite:////{str(elsewhere).lstrip('/').replace(' ', '%20')}"
    (tmp_path / "tcbox.yml").write_text(f"{OFF}port: 0\ndatabase: {url}\n")
    info = json.loads(tcbox(env, "up", "--detach", "--json", cwd=tmp_path).stdout)
    try:
        assert info["database"] == f"SQLite in {elsewhere}"
        assert str(elsewhere) in tcbox(env, "status").stdout
        said = tcbox(env, "doctor", cwd=tmp_path).stdout
        assert f"{elsewhere}, " in said
        for words in (("backup", "--to", str(tmp_path / "saved.db")), ("copy", "--to", f"sqlite://{tmp_path}/new.db")):
            refused = tcbox(env, "db", words[0], "--from", str(data), *words[1:], code=1).stderr
            assert f"has its database elsewhere (SQLite in {elsewhere})" in refused
        tcbox(env, "db", "backup", "--from", url, "--to", str(tmp_path / "saved.db"))
        same = tcbox(env, "db", "copy", "--from", url, "--to", url.replace("////", "///"), code=2).stderr
        assert "the same database" in same
        other = tmp_path / "other.db"
        with contextlib.closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE x (y)")
        assert "no tables of tcbox" in tcbox(env, "db", "copy", "--from", f"sqlite://{other}", "--to", f"sqlite://{tmp_path}/copy.db", code=1).stderr
        assert not other.with_name("other.db.lock").exists()
        copied = json.loads(tcbox(env, "db", "copy", "--from", url, "--to", f"sqlite:///{tmp_path}/copy.db", "--json").stdout)
        assert copied["same"]
    finally:
        tcbox(env, "down")


def test_logs_of_what_does_not_run(env, tmp_path):
    """Without --data the log is that of the default folder; each service may be asked for, a misspelt one is not there."""
    assert "no instance has run on" in tcbox(env, "logs", code=1).stderr
    (tmp_path / "tcbox.yml").write_text(f"{OFF}port: 0\n")
    tcbox(env, "up", "--detach", cwd=tmp_path)
    assert "nothing is logged yet" in tcbox(env, "logs").stderr
    tcbox(env, "restart", "secrets")
    tcbox(env, "down")
    assert "supervisor" in tcbox(env, "logs").stdout
    for service in ("hooks", "github", "web-server", "index", "notify", "worker-manager", "purge-cache"):
        tcbox(env, "logs", service)
    assert "object has logged nothing yet" in tcbox(env, "logs", "object").stderr
    refused = tcbox(env, "logs", "webserver", code=1).stderr
    assert "there is no part named webserver: did you mean web-server?" in refused


def test_a_folder_that_an_instance_cannot_use(env, tmp_path):
    """A database that may only be read, and a file where a folder belongs, are named by `up` and found by the doctor."""
    (tmp_path / "tcbox.yml").write_text(f"{OFF}port: 0\n")
    tcbox(env, "up", "--detach", cwd=tmp_path)
    tcbox(env, "down")
    data = tmp_path / "share" / "tcbox" / "default"

    def told(words):
        up, doctor = rights.tcbox([["up"], ["doctor"]], tmp_path, env)
        assert up.code == doctor.code == 1
        assert words in up.err
        assert "Traceback" not in up.err
        return doctor.out

    (data / "tcbox.db").chmod(0o400)
    assert f"chmod u+w {data}/tcbox.db" in told(f"the database {data}/tcbox.db may only be read")
    (data / "tcbox.db").chmod(0o600)
    (data / "keys").chmod(0o500)
    assert f"{data}/keys cannot be written to" in told(f"{data}/keys may not be written to")
    (data / "keys").chmod(0o700)
    (data / "logs").rename(tmp_path / "aside")
    (data / "logs").write_text("")
    assert f"{data}/logs is a file where a folder belongs" in told(f"{data}/logs is a file where a folder belongs")
    (data / "logs").unlink()
    (tmp_path / "aside").rename(data / "logs")
    (data / "keys" / "instance.key").write_text("")
    assert "instance.key is no key" in told("instance.key is no key")
