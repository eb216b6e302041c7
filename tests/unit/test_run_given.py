"""Secrets and variables that a run is given."""

import pytest

from tcbox.run import given
from tcbox.run.faults import WrongUsage


def test_secrets(monkeypatch, tmp_path):
    """A secret is a text, a JSON object, a file's content, or a variable's."""
    monkeypatch.setenv("TOKEN", "from-env")
    (tmp_path / "key").write_text("line 1\nline 2\n")
    found = given.secrets(["a/b=x=y", 'c={"user": "u", "n": 1}', f"d=@{tmp_path / 'key'}", "TOKEN", "e=[1]", "f="])
    assert found == {
        "a/b": {"value": "x=y"}, "c": {"user": "u", "n": 1}, "d": {"value": "line 1\nline 2"}, "TOKEN": {"value": "from-env"},
        "e": {"value": "[1]"}, "f": {"value": ""},
    }  # fmt: skip
    assert given.hidden(found) == ["from-env", "line 1", "line 2"] or set(given.hidden(found)) == {"from-env", "line 1", "line 2"}
    for wrong in ("=x", f"x=@{tmp_path / 'gone'}"):
        with pytest.raises(WrongUsage, match="--secret"):
            given.secrets([wrong])


def test_variables(monkeypatch, tmp_path):
    """A file of variables is read as shells and Docker do; a name alone is handed on; a mistake is told with its line."""
    monkeypatch.setenv("MINE", "here")
    monkeypatch.delenv("GONE", raising=False)
    path = tmp_path / "env"
    path.write_text("# c\n\nA=1\nexport B = two words \nC='q u'\nD=\"x\\\"y\"\nE=a#b=c\nMINE\nGONE\nF='odd\n")
    assert given.variables(path) == {"A": "1", "B": "two words", "C": "q u", "D": 'x"y', "E": "a#b=c", "MINE": "here", "F": "'odd"}
    path.write_text("A=1\n-x\n")
    with pytest.raises(WrongUsage, match="line 2"):
        given.variables(path)


def test_broken_json_is_no_secret(tmp_path):
    """A value that begins as a JSON object does, and is none, is refused; a file may hold such a text."""
    with pytest.raises(WrongUsage, match="--secret x begins as a JSON object does, and is none"):
        given.secrets(['x={"a":'])
    (tmp_path / "text").write_text('{"a":')
    assert given.secrets([f"x=@{tmp_path}/text"]) == {"x": {"value": '{"a":'}}
