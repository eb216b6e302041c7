"""Instances for acceptance tests: one per test, on a folder of its own, gone afterwards.

With `-n 2 --dist loadgroup` files run side by side; those with tests that need a Docker engine stay together, for they share
it and its images.
"""

import pytest

from tests.support import clients
from tests.support.box import Box


def pytest_configure(config):
    clients.speak_through(config)


def pytest_collection_modifyitems(items):
    with_docker = {item.path for item in items if item.get_closest_marker("docker")}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("docker" if item.path in with_docker else item.path.name))


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
