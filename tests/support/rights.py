"""Commands by a user who may not do everything: also where the tests run as root, closed files and folders are closed to them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

_WITHOUT = "-dac_override,-dac_read_search,-fowner"
_SCRIPT = """
import contextlib, io, json, sys, traceback
from tcbox.cli import main
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.main(words)
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            code = -1
            traceback.print_exc()
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


class Said(NamedTuple):
    """What a command ended with, and what it printed."""

    code: int
    out: str
    err: str


def tcbox(commands: Sequence[Sequence[str]], cwd: Path | None, env: Mapping[str, str]) -> list[Said]:
    """Run commands one after the other in a process without a superuser's rights over files; skips where that cannot be had."""
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv, or not to be root")
        prefix = ["setpriv", "--bounding-set", _WITHOUT, "--inh-caps", _WITHOUT]
    done = subprocess.run(
        [*prefix, sys.executable, "-c", _SCRIPT], input=json.dumps(commands), capture_output=True, text=True, timeout=120, env=env, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return [Said(*json.loads(line)) for line in done.stdout.splitlines()]
