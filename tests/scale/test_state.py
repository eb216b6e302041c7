"""A staging copy of an instance as large as the largest configuration that is publicly known."""

import pytest

from tcbox.state import comparing, files
from tcbox.state.model import KINDS
from tests.support import declared
from tests.support import state as states
from tests.support.box import Box


@pytest.mark.slow
def test_the_largest_configuration_known_is_copied_as_a_whole(tmp_path):
    """849 roles with 15,553 scopes, 259 clients, 154 hooks and 384 pools with 2,427 launch configurations are saved, seed an instance, and come out again."""
    wanted = states.of(declared.make(declared.LARGE)).part(KINDS[:-1])
    files.save(tmp_path / "saved.yml", wanted)
    box = Box(tmp_path, "workers: {docker: {enabled: false}, host: {enabled: false}, builtin: {enabled: false}}\n")
    try:
        box.start("--seed", str(tmp_path / "saved.yml"))
        assert box.info["seed"]["notes"] == []
        box.command("state", "export", "--data", str(box.data), "--out", str(tmp_path / "again.yml"))
    finally:
        box.stop()
    ignored = ("schedules", "min-capacity")
    assert comparing.differences(comparing.without(wanted, ignored), comparing.without(files.load(tmp_path / "again.yml"), ignored)) == []
