"""Archives and compressed files of every published format are unpacked, by the standard library or by a program of the machine."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard

from tcbox.workers.host import archives, lzip

TEXT = b"one line\n" * 40_000


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        entry = tarfile.TarInfo("bin/tool")
        entry.mode, entry.size = 0o755, len(TEXT)
        file.addfile(entry, io.BytesIO(TEXT))
    return out.getvalue()


def by(*argv: str, data: bytes) -> bytes:
    """What a program makes of its standard input; skips the test where there is none."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"needs {argv[0]}")
    return subprocess.run(argv, input=data, capture_output=True, check=True).stdout


def lz(data: bytes) -> bytes:
    """An lzip file, put together from raw LZMA."""
    coder = lzma.LZMACompressor(lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 2}])
    stream = (coder.compress(data) + coder.flush())[13:]
    tail = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(8, "little")
    return b"LZIP\x01\x14" + stream + tail + (26 + len(stream)).to_bytes(8, "little")


PACK = {
    "br": lambda data: by("brotli", "-c", data=data),
    "bz2": bz2.compress,
    "gz": gzip.compress,
    "lz": lz,
    "lz4": lambda data: by("lz4", "-c", data=data),
    "sz": lambda data: by("snzip", "-c", data=data),
    "mz": lambda data: by("mz", "c", "-c", data=data),
    "xz": lzma.compress,
    "zst": zstandard.compress,
    "zz": zlib.compress,
}


def test_every_published_format_is_known() -> None:
    """The formats are those of the published schema, no more and no fewer."""
    assert set(archives.FILE_FORMATS) == set(PACK)
    assert set(archives.ARCHIVE_FORMATS) == {"7z", "rar", "tar", "zip", *(f"tar.{form}" for form in PACK)}


@pytest.mark.parametrize("form", PACK)
def test_compressed_files(form: str, tmp_path: Path) -> None:
    """A compressed file gives what went in; one that is broken or cut off is refused, as a file and within an archive."""
    packed = PACK[form](TEXT)
    source, target = tmp_path / "packed", tmp_path / "plain"
    source.write_bytes(packed)
    archives.decompress(source, form, target)
    assert target.read_bytes() == TEXT
    for bad in (b"no such thing" * 10, packed[: len(packed) // 2]):
        source.write_bytes(bad)
        with pytest.raises(archives.CannotUnpack, match=form):
            archives.decompress(source, form, target)


@pytest.mark.parametrize("form", PACK)
def test_compressed_tars(form: str, tmp_path: Path) -> None:
    """A tar in any compression becomes a folder, its programs executable."""
    source = tmp_path / "packed"
    source.write_bytes(PACK[form](tar()))
    archives.unpack(source, f"tar.{form}", tmp_path / "out")
    assert (tmp_path / "out/bin/tool").read_bytes() == TEXT
    assert (tmp_path / "out/bin/tool").stat().st_mode & 0o777 == 0o755
    source.write_bytes(PACK[form](b"x" * 5000))
    with pytest.raises(archives.CannotUnpack, match=rf"tar\.{form}"):
        archives.unpack(source, f"tar.{form}", tmp_path / "out2")


@pytest.mark.parametrize("parts", [(b"",), (b"a", b"bc"), (TEXT, b"", TEXT)])
def test_lzip_members(parts: tuple[bytes, ...], tmp_path: Path) -> None:
    """An lzip file of several members gives all of them; the system's lzip makes the same of ours."""
    packed = b"".join(lz(part) for part in parts)
    assert b"".join(lzip.read(io.BytesIO(packed))) == b"".join(parts)
    if shutil.which("lzip"):
        assert by("lzip", "-dc", data=packed) == b"".join(parts)
        assert b"".join(lzip.read(io.BytesIO(by("lzip", "-c", data=b"".join(parts))))) == b"".join(parts)


@pytest.mark.parametrize(
    "bad",
    [b"", b"LZIP", b"LZIP\x02\x14" + b"0" * 40, lz(TEXT)[:-1], lz(TEXT)[:-20] + b"\0" * 20, lz(TEXT) + b"junk", lz(TEXT)[:40]],
)
def test_broken_lzip(bad: bytes) -> None:
    """A file that is no lzip file, is cut off, or has a wrong checksum is refused."""
    with pytest.raises(ValueError, match=r"."):
        list(lzip.read(io.BytesIO(bad)))


def rar() -> bytes:
    """A RAR archive with one file, stored as it is."""

    def block(kind: int, flags: int, rest: bytes, data: bytes = b"") -> bytes:
        body = bytes([kind]) + flags.to_bytes(2, "little") + (7 + len(rest)).to_bytes(2, "little") + rest
        return (zlib.crc32(body) & 0xFFFF).to_bytes(2, "little") + body + data

    name = b"tool"
    head = len(TEXT).to_bytes(4, "little") * 2 + b"\x03" + zlib.crc32(TEXT).to_bytes(4, "little") + bytes(4) + b"\x14\x30"
    head += len(name).to_bytes(2, "little") + (0o100644).to_bytes(4, "little") + name
    return b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6)) + block(0x74, 0x8000, head, TEXT) + block(0x7B, 0x4000, b"")


@pytest.mark.parametrize("program", ["unrar", "bsdtar", "unar", "7zz", "7z"])
def test_rar(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A RAR archive is unpacked by whichever program there is."""
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    monkeypatch.setitem(archives._EXTRACTORS, "rar", tuple(argv for argv in archives._EXTRACTORS["rar"] if argv[0] == program))
    (tmp_path / "a.rar").write_bytes(rar())
    (tmp_path / "out").mkdir()
    archives.unpack(tmp_path / "a.rar", "rar", tmp_path / "out")
    assert (tmp_path / "out/tool").read_bytes() == TEXT
    (tmp_path / "a.rar").write_bytes(b"no archive at all")
    with pytest.raises(archives.CannotUnpack, match=program):
        archives.unpack(tmp_path / "a.rar", "rar", tmp_path / "out")


@pytest.mark.parametrize("program", ["bsdtar", "7zz", "7z", "7za"])
def test_7z(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 7z archive is unpacked by whichever program there is."""
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    (tmp_path / "tool").write_bytes(TEXT)
    make = ["bsdtar", "--format=7zip", "-cf", "a.7z", "tool"] if program == "bsdtar" else [program, "a", "a.7z", "tool"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setitem(archives._EXTRACTORS, "7z", tuple(argv for argv in archives._EXTRACTORS["7z"] if argv[0] == program))
    (tmp_path / "out").mkdir()
    archives.unpack(tmp_path / "a.7z", "7z", tmp_path / "out")
    assert (tmp_path / "out/tool").read_bytes() == TEXT


def test_what_no_program_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a program for a format, it is said which one to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert archives.missing("rar").startswith("one of unrar, bsdtar, unar")
    assert archives.missing("tar.br") == "brotli"
    assert archives.missing("lz4") == "lz4"
    assert [form for form in archives.ARCHIVE_FORMATS if not archives.missing(form)] == sorted(
        ["tar", "zip", "tar.bz2", "tar.gz", "tar.lz", "tar.xz", "tar.zst", "tar.zz"]
    )
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(archives.CannotUnpack, match="install brotli"):
        archives.decompress(tmp_path / "x", "br", tmp_path / "y")
    with pytest.raises(archives.CannotUnpack, match="install one of unrar"):
        archives.unpack(tmp_path / "x", "rar", tmp_path)


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    """Entries and links that lead out of the folder are refused."""
    (tmp_path / "theirs").write_text("theirs")
    for number, entries in enumerate(
        (
            [("../evil", tarfile.REGTYPE, "")],
            [("link", tarfile.SYMTYPE, ".."), ("link/evil", tarfile.REGTYPE, "")],
            [("link", tarfile.SYMTYPE, f"{tmp_path}/evil"), ("link", tarfile.REGTYPE, "")],
            [("hard", tarfile.LNKTYPE, "../theirs"), ("hard", tarfile.REGTYPE, "")],
        )
    ):
        bad = io.BytesIO()
        with tarfile.open(fileobj=bad, mode="w") as file:
            for name, kind, target in entries:
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, target
                file.addfile(entry, io.BytesIO())
        (tmp_path / "a").write_bytes(gzip.compress(bad.getvalue()))
        with pytest.raises(archives.CannotUnpack, match="points outside"):
            archives.unpack(tmp_path / "a", "tar.gz", tmp_path / f"out{number}")
    assert (tmp_path / "theirs").read_text() == "theirs"
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../../etc")
    with pytest.raises(archives.CannotUnpack, match="points outside"):
        archives.unpack(tmp_path / "z", "zip", tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def zipped(path: Path, *entries: tuple[str, int, str]) -> Path:
    """A zip with entries of name, mode and text."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode, text in entries:
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            archive.writestr(entry, text)
    return path


@pytest.mark.parametrize(
    "entries",
    [
        (("L", 0o120777, "p/q/../.."), ("p/q", 0o120777, ".."), ("L/owned.sh", 0o100755, "x")),
        (("L", 0o120777, "p/q/../.."), ("p/q", 0o120777, ".."), ("L/owned", 0o40755, "")),
        (("L", 0o120777, "p/q/../.."), ("p/q", 0o120777, ".."), ("L/owned", 0o120777, "x")),
        (("L", 0o120777, "p/q/../.."), ("p/q", 0o120777, "..")),
        (("a", 0o120777, "a"), ("a/owned", 0o100644, "x")),
    ],
)
def test_a_later_link_of_a_zip_leads_nothing_outside(entries: tuple[tuple[str, int, str], ...], tmp_path: Path) -> None:
    """A link that changes what an earlier one leads to lets neither files, folders nor links out, and none that leads out stays unseen."""
    source = zipped(tmp_path / "z", *entries)
    folder = tmp_path / "runs/task/mount"
    folder.mkdir(parents=True)
    with pytest.raises(archives.CannotUnpack, match=r"points outside|too many links"):
        archives.unpack(source, "zip", folder)
    assert not [path for path in tmp_path.rglob("owned*") if not path.is_relative_to(folder)]


def test_links_of_a_zip_that_stay_inside(tmp_path: Path) -> None:
    """Links within an archive are made, and later entries go through them."""
    source = zipped(tmp_path / "z", ("lib", 0o120777, "real/lib"), ("real/lib/a", 0o100644, "a"), ("lib/b", 0o100644, "b"), ("real/up", 0o120777, "../lib"))
    (tmp_path / "out").mkdir()
    archives.unpack(source, "zip", tmp_path / "out")
    assert {name: (tmp_path / "out/real/up" / name).read_text() for name in "ab"} == {"a": "a", "b": "b"}


def test_rights_that_a_zip_gives(tmp_path: Path) -> None:
    """A zip makes nothing that others can write to, nor that runs with its owner's rights; programs stay executable."""
    source = zipped(tmp_path / "z", ("tool", 0o106777, "x"), ("plain", 0o100666, "x"), ("blind", 0o100200, "x"))
    (tmp_path / "out").mkdir()
    archives.unpack(source, "zip", tmp_path / "out")
    assert {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "out").iterdir()} == {"tool": 0o755, "plain": 0o644, "blind": 0o600}


def tarred(path: Path, *entries: tuple[str, bytes, str, int]) -> Path:
    """A tar with entries of name, kind, link and mode."""
    with tarfile.open(path, "w") as archive:
        for name, kind, link, mode in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = kind, link, mode
            archive.addfile(entry)
    return path


def test_a_later_link_of_a_tar_gives_no_folder_outside_other_rights(tmp_path: Path) -> None:
    """Folders get their rights last; one that a later link has led outside is refused, and what is there keeps its own."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    source = tarred(
        tmp_path / "a", ("in/theirs", tarfile.DIRTYPE, "", 0o755), ("p", tarfile.SYMTYPE, "in", 0o777), ("p/theirs", tarfile.DIRTYPE, "", 0o755),
        ("p", tarfile.SYMTYPE, "..", 0o777),
    )  # fmt: skip
    (tmp_path / "out").mkdir()
    with pytest.raises(archives.CannotUnpack, match="points outside"):
        archives.unpack(source, "tar", tmp_path / "out")
    assert theirs.stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_too_long_to_look_at(tmp_path: Path) -> None:
    """Links whose path grows longer than the system looks at are followed all the same, or refused, but never taken for something inside."""
    part, entries, deep = "d" * 247, [], ""
    for letter in "abcdefghijklmnop":
        entries += [(deep + part, tarfile.DIRTYPE, "", 0o755), (deep + letter, tarfile.SYMTYPE, part, 0o777)]
        deep += f"{letter}/"
    link = f"{deep}{'l' * 254}"
    entries += [(link, tarfile.SYMTYPE, "../" * 16, 0o777), ("escape", tarfile.SYMTYPE, f"{link}/..", 0o777), ("escape/owned", tarfile.REGTYPE, "", 0o644)]
    source = tarred(tmp_path / "a", *entries)
    (tmp_path / "out").mkdir()
    with pytest.raises((archives.CannotUnpack, OSError)):
        archives.unpack(source, "tar", tmp_path / "out")
    assert not (tmp_path / "owned").exists()


def test_folders_of_a_tar_have_their_rights(tmp_path: Path) -> None:
    """A folder that may not be written to has what belongs into it, and its own rights in the end."""
    source = tarred(tmp_path / "a", ("d", tarfile.DIRTYPE, "", 0o777), ("d/e", tarfile.DIRTYPE, "", 0o500), ("d/e/f", tarfile.REGTYPE, "", 0o4666))
    (tmp_path / "out").mkdir()
    archives.unpack(source, "tar", tmp_path / "out")
    assert [(tmp_path / "out" / name).stat().st_mode & 0o7777 for name in ("d", "d/e", "d/e/f")] == [0o755, 0o500, 0o644]
