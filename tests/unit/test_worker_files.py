"""Artifacts are found on disk, and their content types and encodings decided."""

from __future__ import annotations

import os

import pytest

from tcbox.workers import files
from tcbox.workers.docker.extract import extract
from tcbox.workers.files import Found, Missing, Wanted


def wanted(path, kind="file", **more):
    return Wanted("public/x", kind, str(path), path.name, **more)


def test_a_file_is_itself(tmp_path):
    """A file that is there becomes one artifact."""
    (tmp_path / "a.txt").write_text("x")
    (found,) = files.find(wanted(tmp_path / "a.txt"))
    assert isinstance(found, Found)
    assert (found.name, found.content_type, found.content_encoding) == ("public/x", "text/plain", "gzip")


def test_a_folder_is_all_its_files(tmp_path):
    """Every file below a folder becomes an artifact; a link that leads nowhere becomes an error."""
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "d" / "b").write_text("x")
    (tmp_path / "d" / "deep" / "a").write_text("x")
    (tmp_path / "d" / "dead").symlink_to("nowhere")
    found = {item.name: type(item) for item in files.find(wanted(tmp_path / "d", "directory"))}
    assert found == {"public/x/b": Found, "public/x/dead": Missing, "public/x/deep/a": Found}


@pytest.mark.parametrize(
    ("kind", "made", "reason"),
    [("file", None, "file-missing-on-worker"), ("file", "d", "invalid-resource-on-worker"), ("directory", "f", "invalid-resource-on-worker")],
)
def test_what_is_wrong(tmp_path, kind, made, reason):
    """What is missing, or is not what the payload says, becomes one error artifact with its published reason."""
    path = tmp_path / "it"
    if made:
        path.mkdir() if made == "d" else path.write_text("")
    (found,) = files.find(wanted(path, kind))
    assert isinstance(found, Missing)
    assert found.reason == reason
    assert "public/x" in found.message


@pytest.mark.parametrize(
    ("name", "content_type", "encoding"),
    [
        ("a.log", "text/plain", "gzip"), ("a.JSON", "application/json", "gzip"), ("a.tar.zst", None, "identity"), ("a.PNG", "image/png", "identity"),
        ("a", "application/octet-stream", "gzip"), ("a.unheardof", "application/octet-stream", "gzip"), ("a.whl", None, "identity"), ("a.jsonl", "application/jsonl", "gzip"),
    ],
)  # fmt: skip
def test_types_and_encodings(tmp_path, name, content_type, encoding):
    """The file's name decides the content type, and whether compressing it again would be of use."""
    found = Found(wanted(tmp_path / name), "n", str(tmp_path / name))
    assert found.content_encoding == encoding
    if content_type:
        assert found.content_type == content_type


def test_the_payload_decides_first(tmp_path):
    """What the payload says of type and encoding goes before what the name suggests."""
    found = Found(wanted(tmp_path / "a.png", content_type="x/y", content_encoding="gzip"), "n", str(tmp_path / "a.png"))
    assert (found.content_type, found.content_encoding) == ("x/y", "gzip")


def test_tars_are_taken_apart_safely(tmp_path):
    """Entries of a container's tar that point out of the folder are passed over; links to files of the tar are followed."""
    import io
    import tarfile

    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name, data in (("out/a", b"a"), ("out/../../evil", b"e"), ("out/sub/b", b"b")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name, target in (("out/near", "a"), ("out/far", "/etc/passwd")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    extract(tmp_path / "t.tar", tmp_path / "into" / "out")
    found = {os.path.relpath(os.path.join(folder, name), tmp_path) for folder, _, names in os.walk(tmp_path) for name in names}
    assert found == {"t.tar", "into/out/a", "into/out/sub/b", "into/out/near"}
