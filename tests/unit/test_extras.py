"""What is not installed is told with the command that installs it."""

import subprocess
import sys

import pytest

from tests.support.box import clean_env

_SCRIPT = "import sys; sys.modules.update(dict.fromkeys(('asyncpg', 'boto3'))); from tcbox.cli import main; main.main()"


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["db", "copy", "--from", "sqlite:///nowhere/x.db", "--to", "postgresql://u@127.0.0.1/n"], "postgres"),
        (["db", "copy", "--compare", "--from", "postgresql://u@127.0.0.1/n", "--to", "sqlite:///nowhere/x.db"], "postgres"),
        (["blobs", "copy", "--from", ".", "--to", "s3://bucket"], "aws"),
    ],
)
def test_a_package_that_is_missing(tmp_path, words, extra):
    """A copy to or from a place whose client is not there names the extra that brings it, and nothing of a configuration."""
    (tmp_path / "blobs").mkdir()
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *words], capture_output=True, text=True, cwd=tmp_path, env=clean_env(), timeout=60, check=False)
    assert done.returncode == 1
    assert f"pip install 'tcbox[{extra}]'" in done.stderr
    assert "configuration" not in done.stderr
    assert "Traceback" not in done.stderr
