"""The rules of the index: names, ranks, and what a task says about its entries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox import clock as clocks
from tcbox.services.index import model
from tcbox.services.index.model import Path, Unindexable

WORD = st.from_regex(r"[a-zA-Z0-9_!~*'()%-]{1,8}", fullmatch=True)
PATH = st.lists(WORD, min_size=1, max_size=6).map(".".join)
TASK = {"created": "2026-01-31T12:00:00.000Z", "expires": "2026-02-10T12:00:00.000Z"}


@given(PATH)
def test_a_path_is_a_namespace_and_a_name(path):
    """Every sound path comes apart at its last dot and together again, and its namespaces lead up to the root."""
    assert model.sound(path)
    assert model.join(*model.split(path)) == path
    namespace = model.split(path).namespace
    folders = list(model.folders(namespace))
    assert len(folders) == path.count(".")
    assert [model.join(*folder) for folder in folders] == [".".join(path.split(".")[:n]) for n in range(path.count("."), 0, -1)]


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a/b", "a b", "a\n", "ä", "x" * 256, "a." * 130 + "b"])
def test_what_is_no_path(path):
    """Empty words, slashes, spaces, other letters and too many characters make no name."""
    assert not model.sound(path)


@given(st.lists(st.sampled_from(["index", "index.", "index.a", "index.a.b", "index.a/b", "indexa.b", "other.index.a", "index.a..b"])))
def test_routes(routes):
    """Of a task's routes those that make a name are followed, each once; those that do not are told."""
    paths, wrong = model.routed(routes)
    assert set(paths) == {route[6:] for route in routes if route in ("index.a", "index.a.b")}
    assert len(paths) == len(set(paths))
    assert set(wrong) == set(routes) & {"index.", "index.a/b", "index.a..b"}


@given(st.integers(0, model.END))
def test_namespaces_last_to_the_end_of_a_day(expires):
    """A namespace is listed longer than its entries, but by no more than a day, and its end can always be written."""
    until = model.folder_expiry(expires)
    assert expires <= until <= expires + clocks.DAY
    assert clocks.from_wire(clocks.to_wire(until)) == until


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (None, (0, "{}", TASK["expires"])),
        ({}, (0, "{}", TASK["expires"])),
        ({"index": None}, (0, "{}", TASK["expires"])),
        ({"index": "text"}, (0, "{}", TASK["expires"])),
        ({"index": []}, (0, "{}", TASK["expires"])),
        ({"index": {"rank": 42}}, (42, "{}", TASK["expires"])),
        ({"index": {"rank": -1.5}}, (-1.5, "{}", TASK["expires"])),
        ({"index": {"rank": 10**30}}, (10**30, "{}", TASK["expires"])),
        ({"index": {"data": {"b": 1.0, "a": [None]}}}, (0, '{"b":1.0,"a":[null]}', TASK["expires"])),
        ({"index": {"expires": "2030-01-01T00:00:00.000Z"}}, (0, "{}", "2030-01-01T00:00:00.000Z")),
        ({"index": {"expires": "2030-01-01"}}, (0, "{}", "2030-01-01T00:00:00.000Z")),
        ({"index": {"expires": 1893456000000}}, (0, "{}", "2030-01-01T00:00:00.000Z")),
    ],
)
def test_what_a_task_says_about_its_entries(extra, expected):
    """Rank, data and expiry come from `task.extra.index`, and for each that is missing there is a default."""
    wanted = model.wanted({**TASK, "extra": extra})
    assert (wanted.rank, wanted.data, clocks.to_wire(wanted.expires)) == expected


def test_a_task_without_expiry_is_indexed_for_a_year():
    """Where nothing says when the entry expires, it does a year after the task's creation."""
    assert clocks.to_wire(model.wanted({"created": TASK["created"]}).expires) == "2027-01-31T12:00:00.000Z"


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ({"rank": "5"}, "rank"), ({"rank": None}, "rank"), ({"rank": True}, "rank"), ({"data": None}, "data"), ({"data": [1]}, "data"),
        ({"data": "x" * 1000}, "data"), ({"expires": "soon"}, "expires"), ({"expires": None}, "expires"), ({"expires": True}, "expires"),
        ({"expires": 1e300}, "expires"), ({"expires": {}}, "expires"),
    ],
)  # fmt: skip
def test_what_makes_no_sense(index, says):
    """A rank that is no number, data that is no object, or an expiry that is no time, is refused in words."""
    with pytest.raises(Unindexable, match=f"task.extra.index.{says} is .* and must be") as refused:
        model.wanted({**TASK, "extra": {"index": index}})
    assert len(str(refused.value)) < 250


def test_ranks_are_compared_exactly():
    """A higher or equal rank replaces, a lower does not, also where a float could not tell them apart."""
    assert model.replaces(2**60 + 1, 2**60)
    assert model.replaces(2**60, 2**60)
    assert not model.replaces(2**60, 2**60 + 1)
    assert model.replaces(1, 0.5)


def test_a_name_at_the_root():
    """A path without a dot is a name in the root, which has no folders."""
    assert model.split("a") == Path("", "a")
    assert list(model.folders("")) == []
