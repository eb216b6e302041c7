"""Blobs: keys, ranges and signatures."""

import os

import pytest

from tcbox.blobs import keys, ranges, signing


@pytest.mark.parametrize("key", ["object/x/public/a.log", "artifact/a b/ü.txt", "a" * 900, "x/…", "a/.b/..c"])
def test_plain_keys_are_their_own_location(key):
    """A key that nothing on the way rewrites stays readable."""
    assert keys.location(key) == key


@pytest.mark.parametrize(
    "key", ["", ".", "..", "a/../../etc/passwd", "/etc/passwd", "a//b", "a/", "a/./b", "=x", "a\\b", "a\nb", "a\x00b", "a" * 901, "\ud800/.."]
)
def test_odd_keys_become_a_hash(key):
    """A key that a client, proxy or file system might rewrite gets a location of its own that they leave alone."""
    place = keys.location(key)
    assert place.startswith("=") and len(place) == 65
    assert keys.location(place) == place
    assert place != keys.location(key + "x")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None), ("", None), ("bytes=0-9", (0, 10)), ("bytes=5-", (5, 100)), ("bytes=-5", (95, 100)), ("bytes=-500", (0, 100)),
        ("bytes=99-99", (99, 100)), ("bytes=90-1000", (90, 100)), ("Bytes=0-0", (0, 1)), ("bytes=0-1,5-6", None), ("bytes=9-1", None),
        ("bytes=a-b", None), ("bytes=-", None), ("lines=1-2", None), ("bytes=100-", IndexError), ("bytes=100-200", IndexError), ("bytes=-0", IndexError),
    ],
)  # fmt: skip
def test_ranges(header, expected):
    """One range is honoured, several or malformed ones are ignored, one behind the end is refused (RFC 9110)."""
    if expected is IndexError:
        with pytest.raises(ranges.BehindTheEndError):
            ranges.span(header, 100)
    else:
        assert ranges.span(header, 100) == expected


def test_signatures():
    """A URL permits its method on its location until its time, and nothing else."""
    signer = signing.Signer(os.urandom(32))
    query = signer.query("a/b", method="PUT", expires_ms=1000, type="text/plain", length=5)
    assert signer.check("a/b", query, method="PUT", now_ms=1000)["length"] == "5"
    for location, changed, method, now in [
        ("a/c", query, "PUT", 0),
        ("a/b", query, "PUT", 1001),
        ("a/b", query, "GET", 0),
        ("a/b", query, "HEAD", 0),
        ("a/b", query.replace("length=5", "length=6"), "PUT", 0),
        ("a/b", query.replace("&length=5", ""), "PUT", 0),
        ("a/b", query + "&length=6", "PUT", 0),
        ("a/b", query.replace("expires=1000", "expires=9999"), "PUT", 0),
        ("a/b", query[:-1], "PUT", 0),
        ("a/b", "", "GET", 0),
        ("a/b", "sig=ü", "GET", 0),
        ("a/b", signing.Signer(os.urandom(32)).query("a/b", method="PUT", expires_ms=1000), "PUT", 0),
    ]:
        with pytest.raises(signing.BadUrl):
            signer.check(location, changed, method=method, now_ms=now)
    assert signer.check("a/b", signer.query("a/b", method="GET", expires_ms=5), method="HEAD", now_ms=5)
