"""From a key, which may be any text, to a location that every file system, URL and client leaves as it is.

Most keys are their own location. Those with empty, `.` or `..` segments, which clients and proxies rewrite, and those
that are too long become a hash.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

LONGEST = 900
AREAS = ("artifact/", "object/", "=")
"""What the locations of all artifacts and objects start with."""
_HASHED = re.compile(r"=[0-9a-f]{64}")
_ODD = re.compile(r"[\x00-\x1f\x7f\\]")


def location(key: str) -> str:
    """Where a key's bytes are; the location of a location is itself."""
    plain = (
        not key.startswith("=")
        and len(key.encode("utf-8", "surrogatepass")) <= LONGEST
        and not _ODD.search(key)
        and not any(segment in ("", ".", "..") for segment in key.split("/"))
    )
    if plain or _HASHED.fullmatch(key):
        return key
    return "=" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def path(key: str) -> str:
    """The key's location as the path of a URL, percent-encoded."""
    return quote(location(key), safe="/=")
