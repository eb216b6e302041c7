"""The pytest plugin: `taskcluster`, an instance for one test, and `taskcluster_session`, one for all of a run.

Nothing is imported before a test asks for an instance.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tcbox.testing.instance import Taskcluster

MARKER = """taskcluster(workers=(), config=None, seed=None): what the instance of the fixture `taskcluster` has: the workers inside it \
("builtin", "host", "docker"; none when not given), and a configuration as in tcbox.yml, as text or as a dict, and a file of 'tcbox state \
export' that it begins with."""


class _AsTheyAre:
    """Finds tcbox's modules before pytest does, which would compile each of them anew to rewrite its assert statements.

    It does so with all packages of a distribution that has a plugin; without its own cache of bytecode that takes a second.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, path, target) if name.startswith("tcbox.") else None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Have tcbox imported as it is installed, from now on and to the end of the run."""
    sys.meta_path.insert(0, _AsTheyAre)
    early_config.add_cleanup(lambda: sys.meta_path.remove(_AsTheyAre))


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def taskcluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taskcluster]:
    """A Taskcluster of this test's own: empty at its start, gone at its end, its clock the test's to move."""
    marker = request.node.get_closest_marker("taskcluster")
    if marker is not None and marker.args:
        given = ", ".join(map(repr, marker.args))
        pytest.fail(f"the marker taskcluster takes its arguments by name, as in taskcluster(workers=['host']), and was given {given}", pytrace=False)
    options: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    yield from _run(tmp_path_factory, options)


@pytest.fixture(scope="session")
def taskcluster_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taskcluster]:
    """A Taskcluster for all tests of this run (with xdist: of each worker), with the workers `builtin` and `host` inside."""
    yield from _run(tmp_path_factory, {"workers": ("builtin", "host")})


def _run(folders: pytest.TempPathFactory, options: dict[str, Any]) -> Iterator[Taskcluster]:
    with contextlib.ExitStack() as stack:
        with _uncollected():
            from tcbox.testing.instance import start

            instance = stack.enter_context(start(folder=folders.mktemp("taskcluster"), **options))
        yield instance


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: so many modules are loaded at once that each would go through all that there is, in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
