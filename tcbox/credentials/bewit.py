"""Bewits: a signature in a URL's query, which lets whoever has the URL GET it until a set time.

Source: the Hawk scheme's API description, as its JavaScript library implements it.
"""

from __future__ import annotations

import binascii
import re
from binascii import b2a_base64
from dataclasses import dataclass

from tcbox.credentials import hawk
from tcbox.credentials.keys import Key

_RESOURCE = re.compile(r"(/.*)([?&])bewit=([^&$]*)(?:&(.+))?")
_CODE = re.compile(r"[\w-]+", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,15}")
_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Bewit:
    """What a bewit says. `exp` is when it ends, in seconds since the epoch."""

    id: str
    exp: int
    mac: str
    ext: str


def make(client_id: str, access_token: str, *, url: str, expires_ms: int, ext: str = "") -> str:
    """The bewit for a URL, to be appended to its query as `bewit=…`."""
    host, port, resource = hawk.target(url)
    expires = expires_ms // 1000
    code = hawk.mac(access_token, ts=expires, nonce="", method="GET", resource=resource, host=host, port=port, ext=ext, kind="bewit")
    text = f"{client_id}\\{expires}\\{code}\\{ext}".encode()
    return b2a_base64(text, newline=False).decode().rstrip("=").replace("+", "-").replace("/", "_")


def carries(resource: str) -> bool:
    """Whether a resource, path and query, has what looks like a bewit."""
    return "bewit=" in resource and ("?bewit=" in resource or "&bewit=" in resource)


def in_query(resource: str) -> bool:
    """Whether a resource has a bewit in its query, and not merely a path that looks so."""
    return "bewit=" in resource and "&bewit=" in "&" + resource.partition("?")[2]


def strip(resource: str) -> tuple[str, str]:
    """The resource as it was signed, and its bewit.

    Raises HawkError when the resource is too long, or has no bewit.
    """
    if len(resource) > hawk.LONGEST:
        raise hawk.HawkError(f"Bad Request: Resource path exceeds max length: it has {len(resource)} characters, at most {hawk.LONGEST} are read with a bewit")
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        raise hawk.HawkError("Unauthorized: the URL's bewit is malformed: append '?bewit=…' or '&bewit=…' as it was made")
    path, sign, code, rest = match.groups()
    if not code:
        raise hawk.HawkError("Unauthorized: Empty bewit")
    return (f"{path}{sign}{rest}" if rest else path), code


def parse(bewit: str) -> Bewit:
    """Take a bewit apart; raises HawkError when it is malformed."""
    if not _CODE.fullmatch(bewit):
        raise hawk.HawkError("Bad Request: Invalid bewit encoding")
    whole = bewit[: len(bewit) - (len(bewit) % 4 == 1)]
    try:
        text = binascii.a2b_base64(whole.translate(_URL_SAFE) + "=" * (-len(whole) % 4)).decode("latin-1")
    except binascii.Error:
        raise hawk.HawkError("Bad Request: Invalid bewit encoding") from None
    parts = text.split("\\")
    if len(parts) != 4:
        raise hawk.HawkError("Bad Request: Invalid bewit structure")
    client, expires, code, ext = parts
    if not (client and expires and code):
        raise hawk.HawkError("Bad Request: Missing bewit attributes")
    if not (client.isprintable() and ext.isprintable()):  # a line break in an id could pass for other lines of what is signed
        raise hawk.HawkError("Bad Request: Invalid bewit structure: its id and ext are printable text")
    if not _SECONDS.fullmatch(expires):
        raise hawk.HawkError(f"Bad Request: Invalid bewit structure: its end is {expires!r}, and must be whole seconds since 1970")
    return Bewit(client, int(expires), code, ext)


def verify(bewit: Bewit, key: str | Key, *, resource: str, host: str, port: int) -> bool:
    """Whether the bewit was made with this key, for this resource (without the bewit). Its end is not looked at."""
    return hawk.same(
        bewit.mac,
        hawk.mac(key, ts=bewit.exp, nonce="", method="GET", resource=resource, host=host, port=port, ext=bewit.ext, kind="bewit"),
    )
