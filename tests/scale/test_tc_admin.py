"""tc-admin with a configuration as large as the largest that it is publicly used for."""

import pytest

from tests.support import declared, tc_admin
from tests.support.processes import busy

SECONDS = 10
"""Of the server's processor time, for 1,646 changes one after another. Measured here: 4."""


@pytest.mark.slow
def test_the_largest_configuration_known_is_applied_in_seconds(tmp_path):
    """849 roles with 15,553 scopes, 259 clients, 154 hooks and 384 pools with 2,427 launch configurations cost the server little time."""
    everything = declared.make(declared.LARGE)
    box = tc_admin.instance(tmp_path / "box")
    try:
        project = tc_admin.Project(tmp_path, box)
        project.declare(everything)
        before = busy(box.pid)
        assert len(project.apply()) == 1646
        spent = busy(box.pid) - before
        assert project.differs() == []
    finally:
        box.stop()
    assert spent < SECONDS, f"the server was busy for {spent:.1f} s"
