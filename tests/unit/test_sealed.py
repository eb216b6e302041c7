"""Sealing: what is at rest can be opened with its key only, in its place only."""

import base64
import os
import stat
import threading

import pytest

from tcbox.credentials import sealed

KEY, OTHER = os.urandom(32), os.urandom(32)


@pytest.mark.parametrize("plaintext", [b"", b"x", os.urandom(100_000)])
def test_round_trip(plaintext):
    """What was sealed comes back exactly, and does not show in the sealed bytes."""
    sealer = sealed.Sealer(KEY)
    box = sealer.seal(plaintext, context="a")
    assert sealer.open(box, context="a") == plaintext
    assert len(plaintext) < 2 or plaintext not in box
    assert box != sealer.seal(plaintext, context="a")


def test_another_key():
    """With another key the error names the key that is needed and what to do."""
    box = sealed.Sealer(KEY).seal(b"x", context="secrets/a")
    with pytest.raises(sealed.SealError, match=f"secrets/a needs the key {sealed.Sealer(KEY).key_id}.*key file"):
        sealed.Sealer(OTHER).open(box, context="secrets/a")


def test_rotation():
    """After a change of key, what the old key sealed still opens, and new values are sealed with the new key."""
    old = sealed.Sealer(KEY)
    box = old.seal(b"x", context="a")
    new = sealed.Sealer(OTHER, old_keys=[KEY])
    assert new.open(box, context="a") == b"x"
    with pytest.raises(sealed.SealError):
        old.open(new.seal(b"y", context="a"), context="a")


def test_moved_or_changed():
    """A value that was moved to another place, changed or cut is refused."""
    sealer = sealed.Sealer(KEY)
    box = sealer.seal(b"hello", context="a")
    for broken, context in [(box, "b"), (box[:-1] + bytes([box[-1] ^ 1]), "a"), (box[:-3], "a"), (box[:10], "a"), (b"\x09" + box[1:], "a"), (b"", "a")]:
        with pytest.raises(sealed.SealError):
            sealer.open(broken, context=context)


def test_key_file(tmp_path):
    """The key file is made once, readable by its owner alone, and gives the same key ever after."""
    path = tmp_path / "deep" / "sealing.key"
    first = sealed.load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sealed.load_or_make(path).open(first.seal(b"x", context="a"), context="a") == b"x"
    assert [entry.name for entry in path.parent.iterdir()] == ["sealing.key"]


def test_key_file_rotated(tmp_path):
    """A new first line seals from then on, and the older lines still open."""
    path = tmp_path / "key"
    box = sealed.load_or_make(path).seal(b"x", context="a")
    path.write_text(base64.b64encode(OTHER).decode() + "\n" + path.read_text())
    sealer = sealed.load_or_make(path)
    assert sealer.open(box, context="a") == b"x"
    assert sealer.key_id == sealed.Sealer(OTHER).key_id


def test_key_file_raced(tmp_path):
    """Processes that make the file at once end up with one and the same key."""
    path, found = tmp_path / "key", []
    threads = [threading.Thread(target=lambda: found.append(sealed.load_or_make(path).key_id)) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(found) == 8 and len(set(found)) == 1


@pytest.mark.parametrize("content", ["", "nonsense", base64.b64encode(b"short").decode(), "\xe9"])
def test_key_file_damaged(tmp_path, content):
    """A damaged key file is named and left as it is."""
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(sealed.SealError, match=str(path)):
        sealed.load_or_make(path)
    assert path.read_text() == content


def test_derived_keys():
    """Derived keys differ by purpose and from the key itself."""
    sealer = sealed.Sealer(KEY)
    assert sealer.derive("a") == sealed.Sealer(KEY).derive("a") != sealer.derive("b")
    assert sealer.derive("a") != KEY
