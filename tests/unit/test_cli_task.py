"""`tcbox task create`: from a file and flags to a definition."""

import json

import pytest

from tcbox import errors
from tcbox.cli import main, task


def definition(*words):
    return task._definition(main.parser(["task"]).parse_args(["task", "create", *words]))


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"payload: \xff\n", r"is not UTF-8: it has the byte 0xff at offset 9"), (b"[", "is neither JSON nor YAML"), (b"- 1", "holds no task")],
)
def test_files_that_are_no_definitions(tmp_path, content, expected):
    """They are refused, with the place and what is wrong."""
    path = tmp_path / "task.yml"
    path.write_bytes(content)
    with pytest.raises(errors.TcboxError, match=expected):
        definition("--file", str(path))


def test_flags_beside_a_file(tmp_path):
    """The queue and the name replace what the file has; what belongs to a command is refused."""
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"provisionerId": "a", "workerType": "b", "payload": {}, "metadata": {"name": "n", "description": "d"}}))
    made = definition("--file", str(path))
    assert (made["provisionerId"], made["workerType"], made["metadata"]["name"]) == ("a", "b", "n")
    made = definition("--file", str(path), "--queue", "c/d", "--name", "other")
    assert "provisionerId" not in made
    assert "workerType" not in made
    assert (made["taskQueueId"], made["metadata"]) == ("c/d", {"name": "other", "description": "d"})
    for flag, value in (("--env", "A=b"), ("--artifact", "a=b"), ("--image", "alpine")):
        with pytest.raises(errors.TcboxError, match=f"{flag} goes with a command"):
            definition("--file", str(path), flag, value)
    assert definition("--", "true")["metadata"]["name"] == "a task of tcbox"


def test_json_where_there_is_none(capsys):
    """What is printed as it is, a log or an artifact, takes no --json."""
    with pytest.raises(SystemExit) as ended:
        main.main(["task", "log", "A" * 22, "--json"])
    assert ended.value.code == 2
