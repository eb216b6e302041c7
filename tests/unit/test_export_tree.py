"""Files on the disk: nothing of somebody else's is lost, what is no longer needed goes, what is the same stays."""

import pytest

from tcbox import errors
from tcbox.export import tree
from tcbox.export.yamltext import HEAD


def test_what_is_written(tmp_path):
    """New, changed, removed and unchanged files are told apart, and an unchanged one is not touched."""
    folder = tmp_path / "out"
    assert tree.write(folder, {"a.yaml": HEAD + "a: 1\n", "x/b.yaml": HEAD, "x/c.yaml": HEAD}).new == ("a.yaml", "x/b.yaml", "x/c.yaml")
    before = (folder / "a.yaml").stat().st_mtime_ns
    written = tree.write(folder, {"a.yaml": HEAD + "a: 1\n", "d.yaml": HEAD})
    assert written == tree.Written(new=("d.yaml",), changed=(), removed=("x/b.yaml", "x/c.yaml"), same=("a.yaml",))
    assert (folder / "a.yaml").stat().st_mtime_ns == before
    assert not (folder / "x").exists()
    assert tree.write(folder, {"a.yaml": HEAD + "a: 2\n", "d.yaml": HEAD}).changed == ("a.yaml",)


def test_files_of_others_stay(tmp_path):
    """An overlay beside the tree is left alone; a file that would be overwritten keeps all of it from being written."""
    (tmp_path / "patch.yaml").write_text("mine: true\n")
    tree.write(tmp_path, {"a.yaml": HEAD, "b.yaml": HEAD})
    tree.write(tmp_path, {"b.yaml": HEAD})
    assert (tmp_path / "patch.yaml").read_text() == "mine: true\n"
    with pytest.raises(errors.TcboxError, match="would be lost"):
        tree.write(tmp_path, {"patch.yaml": HEAD, "c.yaml": HEAD})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.yaml", "patch.yaml"]


def test_another_target_stays(tmp_path):
    """An export for one target does not take the place of one for another."""
    tree.write(tmp_path, {"compose.yaml": HEAD})
    with pytest.raises(errors.TcboxError, match="another target"):
        tree.write(tmp_path, {"kustomization.yaml": HEAD})


def test_where_nothing_can_be_written(tmp_path):
    """A folder that cannot be made is told as that."""
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.TcboxError, match="cannot be written"):
        tree.write(tmp_path / "file" / "out", {"a.yaml": HEAD})
