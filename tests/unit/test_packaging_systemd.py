"""The unit for systemd says what the command line and the settings take."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tcbox.cli.main import parser
from tcbox.config import Settings

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "tcbox.service"


@pytest.fixture
def service() -> configparser.SectionProxy:
    found = configparser.ConfigParser(interpolation=None, strict=True)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(UNIT.read_text())
    return found["Service"]


def test_its_command_is_understood(service):
    """What it starts has options that there are, and the data lies where systemd makes a folder for it."""
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "tcbox"
    chosen = parser().parse_args(words)
    assert str(chosen.data) == f"/var/lib/{service['StateDirectory']}"
    assert str(chosen.config) == "/etc/tcbox/tcbox.yml"


def test_it_waits_longer_than_the_process_drains(service):
    """systemd kills what has not ended, so it waits until requests and tasks are finished."""
    assert int(service["TimeoutStopSec"]) > 2 * Settings().shutdown.drain_seconds
    assert service["KillMode"] == "mixed"  # SIGTERM to the process alone, which sees to its workers and tasks


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_it(tmp_path):
    """systemd itself finds nothing wrong with it, but that the program is not installed here."""
    unit = tmp_path / "tcbox.service"
    unit.write_text(UNIT.read_text().replace("/opt/tcbox/bin/tcbox", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "tcbox.service" in line] == []
