"""The README's tour works as it is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.box import clean_env

ROOT = Path(__file__).resolve().parents[2]


def _tour() -> list[str]:
    """The shell blocks of the README's five minutes, in order."""
    section = (ROOT / "README.md").read_text().partition("## Five minutes\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def test_tour(tmp_path):
    """Every block of the tour runs in one shell without an error, and shows what its text promises."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "tcbox").write_text(f'#!/bin/sh\nexec {sys.executable} -m tcbox "$@"\n')
    (programs / "make").write_text('#!/bin/sh\n[ "$1" = up ] && exec tcbox up --detach --port 0\nexit 1\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "pip").write_text("#!/bin/sh\nexit 0\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    blocks = _tour()
    assert len(blocks) >= 4
    script = tmp_path / "tour.sh"
    script.write_text("set -eu\n" + "\n".join(f"echo '--- {number}'\n{block}" for number, block in enumerate(blocks)))
    env = clean_env(
        HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "share"), XDG_STATE_HOME=str(tmp_path / "state"),
        PATH=f"{programs}{os.pathsep}{os.environ['PATH']}", PYTHONPATH=str(ROOT),
    )  # fmt: skip
    done = subprocess.run(["sh", script], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=120)
    if done.returncode:
        subprocess.run([programs / "tcbox", "down"], env=env, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "tcbox is ready at http://localhost:" in said
    assert "● queue      healthy" in said
    assert "hello from " in said
    assert "three is completed" in said
    assert "stopped the instance at" in said
