"""How repositories are named in messages and roles, and identifiers that are the same whenever a delivery is handled."""

from __future__ import annotations

import base64
import hashlib
import re

_ODD = re.compile(r"[^a-zA-Z0-9\-_.]")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
UUID = re.compile(r"[a-zA-Z0-9]{8}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{12}")


class RefError(ValueError):
    """A branch or tag whose name cannot stand in a scope."""


def encoded(name: str) -> str:
    """An owner's or repository's name as messages and replies have it: dots as `%`, anything odd left out."""
    return _ODD.sub("", name).replace(".", "%")


def decoded(name: str) -> str:
    """The name that `encoded` was given."""
    return name.replace("%", ".")


def check_ref(name: str | None) -> str:
    """A branch's or tag's name, if it can stand in a scope.

    Raises RefError.
    """
    text = name or ""
    if _UNPRINTABLE.search(text):
        raise RefError(f"The branch or tag {text!r} has characters in its name that scopes cannot have: use printable ASCII characters alone.")
    if "*" in text:
        raise RefError(f"The branch or tag {text!r} has a `*` in its name, which a scope would take for any number of characters.")
    return text


def slugid(seed: str, label: str) -> str:
    """A slugid that is always the same for a seed and a label, and cannot be told from a random one."""
    raw = bytearray(hashlib.sha256(f"{seed}\n{label}".encode()).digest()[:16])
    raw[0] &= 0x7F
    raw[6] = (raw[6] & 0x0F) | 0x40
    raw[8] = (raw[8] & 0x3F) | 0x80
    return base64.urlsafe_b64encode(raw)[:22].decode()
