"""The pytest plugin: `taskcluster`, an instance for one test, and `taskcluster_session`, one for all of a run.

Nothing is imported before a test asks for an instance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tcbox.testing.instance import Taskcluster

MARKER = """taskcluster(workers=(), config=None, seed=None): what the instance of the fixture `taskcluster` has: the workers inside it \
("builtin", "host", "docker"; none when not given), and a configuration as in tcbox.yml, as text or as a dict, and a file of 'tcbox state \
export' that it begins with."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def taskcluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taskcluster]:
    """A Taskcluster of this test's own: empty at its start, gone at its end, its clock the test's to move."""
    marker = request.node.get_closest_marker("taskcluster")
    options: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    yield from _run(tmp_path_factory, options)


@pytest.fixture(scope="session")
def taskcluster_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taskcluster]:
    """A Taskcluster for all tests of this run (with xdist: of each worker), with the workers `builtin` and `host` inside."""
    yield from _run(tmp_path_factory, {"workers": ("builtin", "host")})


def _run(folders: pytest.TempPathFactory, options: dict[str, Any]) -> Iterator[Taskcluster]:
    from tcbox.testing.instance import start

    with start(folder=folders.mktemp("taskcluster"), **options) as instance:
        yield instance
