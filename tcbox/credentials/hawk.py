"""Hawk, version 1: requests signed with HMAC-SHA-256, as servers check them and clients make them.

Source: the Hawk scheme's API description, as its JavaScript library implements it. Messages begin with the error that
library reports, `Bad Request` or `Unauthorized`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from binascii import b2a_base64
from urllib.parse import urlsplit

import msgspec

from tcbox.credentials import keys
from tcbox.credentials.keys import Key

LONGEST = 4096  # characters of a header, or of a resource with a bewit
_VALUE = r"[ \w!#$%&'()*+,\-./:;<=>?@\[\]^`{|}~]+"
_KEYS = ("id", "ts", "nonce", "hash", "ext", "mac", "app", "dlg")
_ATTRIBUTE = re.compile(rf'({"|".join(_KEYS)})="({_VALUE})"(\s*(?:,\s*|$))', re.ASCII)
_ANY_ATTRIBUTE = re.compile(r'\b(\w+)="([^"\\]*)"\s*(?:,\s*|$)', re.ASCII)
_ONLY_VALUE = re.compile(_VALUE, re.ASCII)
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte != ord("\\"))
_BEFORE = {f"{comma}{name}=": name for comma in (", ", ",") for name in _KEYS}
_SCHEME = re.compile(r"(\w+)(?:\s+(.*))?", re.ASCII)


class HawkError(ValueError):
    """A request is not signed as it should be; the message says why."""


class HawkHeader(msgspec.Struct, frozen=True):
    """What an `Authorization: Hawk …` header says. `ts` is in seconds since the epoch; `hash` is the body's."""

    id: str
    ts: int
    nonce: str
    mac: str
    hash: str = ""
    ext: str = ""
    app: str = ""
    dlg: str = ""


def parse_authorization(header: str) -> HawkHeader:
    """Take an Authorization header apart.

    Raises HawkError when it is not Hawk's, malformed, has attributes that are unknown or double, or lacks one.
    """
    if header[:5] not in ("Hawk ", "hawk ") or len(header) > LONGEST:
        header = _other_header(header)
    text = header[5:].lstrip()
    values = _usual(text) or _attributes(text)
    try:
        stamp, nonce, code, client = values["ts"], values["nonce"], values["mac"], values["id"]
    except KeyError:
        missing = ", ".join(name for name in ("id", "ts", "nonce", "mac") if name not in values)
        raise HawkError(f"Bad Request: Missing attributes: the Authorization header lacks {missing}") from None
    if not (stamp.isdecimal() and len(stamp) <= 15):
        raise HawkError(f"Bad Request: Bad attribute value: ts is {stamp!r}, and must be whole seconds since 1970")
    given = values.get
    return HawkHeader(client, int(stamp), nonce, code, given("hash", ""), given("ext", ""), given("app", ""), given("dlg", ""))


def _usual(text: str) -> dict[str, str] | None:
    """The attributes as clients write them, by splitting, which is quicker than the grammar; None for any other text."""
    pieces = f", {text}".split('"')
    values = dict(zip([_BEFORE.get(piece, "") for piece in pieces[:-1:2]], pieces[1::2], strict=False))
    if not values or len(values) * 2 + 1 != len(pieces) or pieces[-1] or "" in values or "" in values.values():
        return None
    return None if text.encode("utf-8", "replace").translate(None, _PLAIN) else values


def _attributes(text: str) -> dict[str, str]:
    """The attributes; raises HawkError when they are malformed, unknown or double."""
    found = _ATTRIBUTE.findall(text)
    values: dict[str, str] = {}
    length = 0
    for name, value, end in found:
        values[name] = value
        length += len(name) + len(value) + len(end) + 3
    if length != len(text) or len(values) != len(found) or not found:
        raise HawkError(f"Bad Request: {_fault(text)}")
    return values


def _other_header(header: str) -> str:
    """The header with its scheme spelt as usual; raises HawkError when that is not it."""
    if len(header) > LONGEST:
        raise HawkError(f"Bad Request: Header length too long: the Authorization header has {len(header)} characters, at most {LONGEST} are read")
    match = _SCHEME.fullmatch(header)
    if match is None:
        raise HawkError('Bad Request: Invalid header syntax: write \'Authorization: Hawk id="…", ts="…", nonce="…", mac="…"\'')
    if match[1].lower() != "hawk":
        raise HawkError(f"Unauthorized: the Authorization header's scheme is {match[1]!r}; sign requests with Hawk")
    return f"Hawk {match[2] or ''}"


def _fault(text: str) -> str:
    """What is wrong with a header's attributes."""
    seen: set[str] = set()
    for name, value in _ANY_ATTRIBUTE.findall(text):
        if name not in _KEYS:
            return f"Unknown attribute: {name}"
        if not _ONLY_VALUE.fullmatch(value):
            return f"Bad attribute value: {name}"
        if name in seen:
            return f"Duplicate attribute: {name}"
        seen.add(name)
    return "Bad header format" if text else "Invalid header syntax: nothing stands after 'Hawk'"


def mac(
    key: str | Key,
    *,
    ts: int,
    nonce: str,
    method: str,
    resource: str,
    host: str,
    port: int,
    hash: str = "",  # noqa: A002 - Hawk's word
    ext: str = "",
    app: str = "",
    dlg: str = "",
    kind: str = "header",
) -> str:
    """The signature, in base64, of a request. `resource` is path and query; `kind` is `header`, `bewit` or `response`."""
    if ext and ("\\" in ext or "\n" in ext):
        ext = ext.replace("\\", "\\\\").replace("\n", "\\n")
    text = f"hawk.1.{kind}\n{ts}\n{nonce}\n{method.upper()}\n{resource}\n{host.lower()}\n{port}\n{hash}\n{ext}\n"
    if app:
        text += f"{app}\n{dlg}\n"
    return keys.sign(key, text)


def same(one: str, other: str) -> bool:
    """Whether two signatures are the same, found out in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def verify(header: HawkHeader, key: str | Key, *, method: str, resource: str, host: str, port: int) -> bool:
    """Whether the header's signature was made with this key, for this request. Its `ts` is not looked at."""
    return same(
        header.mac,
        mac(
            key, ts=header.ts, nonce=header.nonce, method=method, resource=resource, host=host, port=port,
            hash=header.hash, ext=header.ext, app=header.app, dlg=header.dlg,
        ),
    )  # fmt: skip


def payload_hash(content: bytes, content_type: str) -> str:
    """The hash, in base64, of a body; of its content type only the type counts, not the parameters."""
    kind = "application/json" if content_type == "application/json" else content_type.partition(";")[0].strip().lower()
    return b2a_base64(hashlib.sha256(b"hawk.1.payload\n%b\n%b\n" % (kind.encode(), content)).digest(), newline=False).decode()


def target(url: str) -> tuple[str, int, str]:
    """Host, port and resource of a URL, as they are signed; raises ValueError for a URL without a host."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError(f"cannot sign {url!r}: give a whole URL, with http:// or https:// and a host")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), resource


def sign_header(
    client_id: str,
    access_token: str,
    *,
    method: str,
    url: str,
    content: bytes | None = None,
    content_type: str | None = None,
    ext: str = "",
    now_ms: int,
    nonce: str | None = None,
) -> str:
    """The Authorization header for a request; it covers the body when `content` is given."""
    host, port, resource = target(url)
    nonce = nonce or secrets.token_urlsafe(6)
    covered = "" if content is None else payload_hash(content, content_type or "")
    code = mac(access_token, ts=now_ms // 1000, nonce=nonce, method=method, resource=resource, host=host, port=port, hash=covered, ext=ext)
    optional = (f', hash="{covered}"' if covered else "") + (f', ext="{ext}"' if ext else "")
    return f'Hawk id="{client_id}", ts="{now_ms // 1000}", nonce="{nonce}"{optional}, mac="{code}"'
