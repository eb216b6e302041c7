"""What most tests of parts have."""

from __future__ import annotations

import pytest

from tcbox import clock as clocks


@pytest.fixture
def clock() -> clocks.VirtualClock:
    """A clock that a test can move on; modules whose tests compare times have one of their own that stands still otherwise."""
    return clocks.VirtualClock()
