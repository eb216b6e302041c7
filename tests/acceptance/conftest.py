"""Instances for acceptance tests: one per test, on a folder of its own, gone afterwards.

With `-n 3 --dist loadfile` files run side by side, those with slow tests first; tests that need the container image stay
together. With TCBOX_TEST_CLUSTER=1 only tests marked `contract` and not `alone` run, all against one cluster.
"""

import signal

import pytest

from tests.support import clients, image, shared
from tests.support.box import Box


def pytest_configure(config):
    clients.speak_through(config)
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:  # as in a shell's background, or by nohup: those whom tests start would not end by it
            signal.signal(number, usual)


def pytest_xdist_make_scheduler(config, log):
    """With `--dist loadfile`: by file, and those that need the container image in one row, so that it is built once."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "image" if file.rpartition("/")[2] in ("test_image.py", "test_export_compose.py") else file

    return ByFile(config, log)


def pytest_collection_modifyitems(config, items):
    if shared.WANTED:
        wanted = [item for item in items if item.get_closest_marker("contract") and not item.get_closest_marker("alone")]
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = wanted
        items.sort(key=lambda item: item.path.name == "test_fuzz.py")  # as root it calls every method on whatever others left there
    else:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)  # begun last, one of these would keep all others waiting


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


@pytest.fixture(scope="session", name="base")
def _base():
    """The name of the image that ours is built from."""
    return image.ensure_base()


@pytest.fixture(scope="session", name="image")
def _image(base):
    """The name of the container image, built once."""
    names = image.build(base)
    yield names[0]
    image.run("docker", "rmi", "--force", *names)  # a container of the last test may be about to go
