"""Instances for acceptance tests: one per test, on a folder of its own, gone afterwards."""

import pytest

from tests.support import clients
from tests.support.box import Box


def pytest_configure(config):
    clients.speak_through(config)


@pytest.fixture
def make_box(tmp_path):
    """Make an instance with a configuration; it is stopped when the test ends."""
    made = []

    def make(config: str = "", *words: str, start: bool = True) -> Box:
        folder = tmp_path / f"box{len(made)}"
        folder.mkdir()
        box = Box(folder, config)
        made.append(box)
        return box.start(*words) if start else box

    yield make
    for box in made:
        box.stop()


@pytest.fixture
def box(make_box):
    """An instance with the builtin and host workers inside."""
    return make_box("workers:\n  docker: {enabled: false}\n")


@pytest.fixture
def quiet_box(make_box):
    """An instance without workers."""
    return make_box("workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n")
