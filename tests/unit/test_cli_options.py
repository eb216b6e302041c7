"""Options that would have no effect are refused, with what they go with."""

import pytest

from tcbox.cli import main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["export", "--target", "compose", "--out", "x", "--service-monitors"], "--service-monitors goes with --target k8s"),
        (["export", "--out", "x", "--json"], "--json goes with --diff"),
        (["export", "--secrets", "--json"], "--json goes with --diff"),
        (["export", "--diff", "x", "--data", "y"], "--data goes with --secrets"),
        (["ui", "--config", "x.yml"], "--config goes with --cluster"),
        (["ui", "--cluster", "--data", "x"], "--cluster goes without --data"),
        (["logs", "-n", "-3"], "--lines -3: give how many of the newest lines to show, 0 or more"),
    ],
)
def test_options_without_effect(monkeypatch, capsys, tmp_path, words, expected):
    """The command ends with 2, as for all wrong usage, and does nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["status", "--jsn"], ["usage: tcbox status ", "unrecognized arguments: --jsn; did you mean --json?"]),
        (["task", "create", "--wiat", "--", "true"], ["usage: tcbox task create ", "did you mean --wait?"]),
        (["config", "check", "--xyzzy"], ["usage: tcbox config check ", "unrecognized arguments: --xyzzy\n"]),
    ],
)
def test_unknown_options(capsys, words, expected):
    """The usage is that of the very command, with what was probably meant."""
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(each in said for each in expected), said


def test_the_environments_instance(monkeypatch, capsys):
    """When the instance that the environment names does not answer, that is said with where it was named; its URL must be one."""
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", "http://localhost:1")
    with pytest.raises(SystemExit) as ended:
        main.main(["task", "status", "fN1SbArXTPSVFNUvaOlinQ"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "http://localhost:1 does not answer: Connection refused" in said
    assert "TASKCLUSTER_ROOT_URL in the environment; --data uses another" in said
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", "localhost:8090")
    with pytest.raises(SystemExit) as ended:
        main.main(["task", "status", "fN1SbArXTPSVFNUvaOlinQ"])
    assert "TASKCLUSTER_ROOT_URL: expected a root URL such as https://tc.example.com" in capsys.readouterr().err


def test_no_instance_is_listed(monkeypatch, capsys, tmp_path):
    """`status --all` says so when none runs."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main.main(["status", "--all"])
    assert ended.value.code == 0
    assert "no instance is running" in capsys.readouterr().out
