"""The README's tour works as it is printed."""

import os
import re
import shutil
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
    assert re.search(r"● queue +healthy", said)
    assert "hello from " in said
    assert "three is completed" in said
    assert "a run ended" in said, "the log that the tour shows has something in it"
    assert "stopped the instance at" in said


def test_make_up_asks_for_the_default_folder(tmp_path):
    """An instance of another folder that runs is not taken for that of `make up`: one is started."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "build").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    summed = subprocess.run("cksum <pyproject.toml", shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    (tmp_path / ".venv" / ".installed-for").write_text(f"docker {summed}")
    shutil.copy(ROOT / "build" / "up.sh", tmp_path / "build" / "up.sh")
    (programs / "python").write_text(f'#!/bin/sh\n[ "$1" = -m ] || exec {sys.executable} "$@"\n')
    (programs / "tcbox").write_text('#!/bin/sh\necho "$@" >>asked\n[ "$1" = up ] || [ "$3" = "$RUNNING" ]\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    own = tmp_path / "share" / "tcbox" / "default"
    for running, asked in ((tmp_path / "other", [f"status --data {own}", "up --detach"]), (own, [f"status --data {own}"])):
        env = clean_env(HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "share"), PYTHONPATH=str(ROOT), RUNNING=str(running))
        (tmp_path / "asked").unlink(missing_ok=True)
        subprocess.run(["bash", tmp_path / "build" / "up.sh"], env=env, check=True, capture_output=True)
        assert (tmp_path / "asked").read_text().splitlines() == asked
