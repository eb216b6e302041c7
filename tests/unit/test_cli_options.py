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
    """The command ends with 1, and does nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    assert ended.value.code == 1
    assert expected in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
