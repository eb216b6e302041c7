"""What an instance's own clients sign with: made once, kept, and never made up from a file that is damaged."""

import base64
import json
import os
import stat

import pytest

from tcbox import errors
from tcbox.box import identity
from tcbox.config.instance import Instance
from tcbox.export.disclosed import Source

KEY = base64.b64encode(b"k" * 32)


@pytest.mark.parametrize("content", [b"", KEY[:20], b"not base64!", base64.b64encode(b"k" * 31), b"\xff\xfe", KEY + KEY])
def test_a_damaged_key_is_refused(tmp_path, content):
    """No tokens derive from a key that is empty, cut off or something else: the file is named, and where to get it from."""
    folder = Instance(tmp_path)
    folder.create()
    path = folder.key_file("instance")
    path.write_bytes(content)
    reads = [
        lambda: identity.instance_key(path),
        lambda: Source({}, tmp_path, folder).token("auth"),
    ]
    for read in reads:
        with pytest.raises(errors.TcboxError, match=r"instance\.key is no key, .* restore it from the backup"):
            read()
    with pytest.raises(errors.TcboxError, match="TCBOX_INSTANCE_KEY is no key"):
        Source({"TCBOX_INSTANCE_KEY": content.decode("latin-1")}, tmp_path, folder).token("auth")
    with pytest.raises(errors.TcboxError, match="instance_key in the configuration is no key"):
        identity.given_key(content.decode("latin-1"))
    path.write_bytes(KEY + b"\n")
    assert identity.instance_key(path) == b"k" * 32


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "null", '{"clientId": "x", "accessToken": ""}', '{"clientId": 1, "accessToken": "x"}', "\ud800"])
def test_a_damaged_root_client_is_refused(tmp_path, content):
    """The file is named, and that a new one would do; it is not overwritten."""
    path = tmp_path / "root-client.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(errors.TcboxError, match=r"root-client\.json does not hold the owner's client id and access token: .* makes new ones"):
        identity.root_client(path)
    with pytest.raises(errors.TcboxError, match="does not hold"):
        Source({}, tmp_path, Instance(tmp_path)).root()
    assert path.read_bytes() == content.encode("utf-8", "surrogatepass")


def test_the_root_client_is_written_in_one_step(tmp_path, monkeypatch):
    """A start that breaks off while the file is written leaves none, and the next one makes it, for its owner alone."""
    path = tmp_path / "data" / "root-client.json"

    def broken(_):
        raise OSError("full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="full"):
            identity.root_client(path)
    assert os.listdir(path.parent) == []
    made = identity.root_client(path)
    assert json.loads(path.read_text()) == {"clientId": identity.ROOT, "accessToken": made.access_token}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert identity.root_client(path) == made
