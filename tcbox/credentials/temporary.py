"""Temporary credentials: what a client hands to another, for some time and some of its scopes, without asking anyone.

They are a key made from the issuer's, and a certificate that says what it is good for, signed with the issuer's key.
Named ones have a client id of their own and name their issuer. Source: Taskcluster's manual on temporary credentials
and authorized scopes.
"""

from __future__ import annotations

import hmac
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import msgspec

from tcbox import ids
from tcbox.credentials import keys
from tcbox.credentials.keys import Key
from tcbox.scopes import valid_scope

LONGEST_MS = 31 * 24 * 60 * 60 * 1000
SKEW_MS = 5 * 60 * 1000
_SEED_LENGTH = 44
_FARTHEST = 2**53  # ms; what is beyond cannot be said exactly by all who read JSON, and is no time that matters


class CertificateError(ValueError):
    """Temporary credentials, or a request's `ext`, are not valid; the message says why."""


class Credentials(msgspec.Struct, frozen=True):
    """What signs requests. `certificate` is JSON text, and there when the credentials are temporary."""

    client_id: str
    access_token: str
    certificate: str | None = None


class Certificate(msgspec.Struct, frozen=True):
    """What temporary credentials are good for. `start` and `expiry` are in ms since the epoch.

    Attributes:
        issuer: the client that made named credentials; None for those that go by their issuer's name.
        claims_name: whether it has a `clientId`, which only named credentials may.
    """

    scopes: tuple[str, ...]
    start: int | float
    expiry: int | float
    seed: str
    signature: str
    issuer: str | None = None
    claims_name: bool = False


class Ext(msgspec.Struct, frozen=True):
    """What the `ext` of a signed request says; None for what it does not."""

    certificate: Certificate | None
    authorized_scopes: tuple[str, ...] | None


def create(
    client_id: str, access_token: str | Key, *, scopes: Iterable[str], start_ms: int, expiry_ms: int, name: str | None = None
) -> Credentials:  # fmt: skip
    """Make temporary credentials from a client's; with a name, they have it as their client id.

    The client's scopes must satisfy these, and for a name also `auth:create-client:<name>`, or every use will fail.
    Raises CertificateError for what no server would take.
    """
    granted = tuple(scopes)
    if expiry_ms - start_ms > LONGEST_MS:
        raise CertificateError(f"temporary credentials cannot last longer than 31 days, and these would for {(expiry_ms - start_ms) / 86_400_000:.1f}")
    if not all(map(valid_scope, granted)):
        raise CertificateError(f"scopes are text of printable ASCII characters: {granted!r} has others")
    if name == client_id:
        raise CertificateError(f"the name of temporary credentials must differ from their issuer's, {client_id!r}: choose another, or none")
    issuer = client_id if name else None
    unsigned = Certificate(granted, start_ms, expiry_ms, ids.slugid() + ids.slugid(), "", issuer)
    content: dict[str, Any] = {"version": 1, "scopes": granted, "start": start_ms, "expiry": expiry_ms, "seed": unsigned.seed}
    content["signature"] = signature(unsigned, name or client_id, access_token)
    if issuer:
        content["issuer"] = issuer
    return Credentials(name or client_id, derived_token(access_token, unsigned.seed), msgspec.json.encode(content).decode())


def signature(certificate: Certificate, client_id: str, access_token: str | Key) -> str:
    """The certificate's signature, in base64, for who uses it, by the issuer's access token."""
    lines = ["version:1"]
    if certificate.issuer:
        lines += [f"clientId:{client_id}", f"issuer:{certificate.issuer}"]
    lines += [f"seed:{certificate.seed}", f"start:{_number(certificate.start)}", f"expiry:{_number(certificate.expiry)}", "scopes:"]
    text = "\n".join([*lines, *certificate.scopes])
    return keys.sign(access_token, text)


def derived_token(access_token: str | Key, seed: str) -> str:
    """The access token of temporary credentials, from their issuer's and their seed."""
    return keys.sign(access_token, seed).rstrip("=").replace("+", "-").replace("/", "_")


def make_ext(certificate: str | None = None, authorized_scopes: Sequence[str] | None = None) -> str:
    """The `ext` with which a request is signed; empty when there is nothing to say."""
    content: dict[str, Any] = {}
    if certificate:
        content["certificate"] = msgspec.Raw(certificate.encode())
    if authorized_scopes is not None:
        content["authorizedScopes"] = list(authorized_scopes)
    return b2a_base64(msgspec.json.encode(content), newline=False).decode() if content else ""


def parse_ext(ext: str) -> Ext:
    """Take the `ext` of a signed request apart; what it has beyond certificate and authorizedScopes is let be.

    Raises CertificateError when it is malformed.
    """
    try:
        content = msgspec.json.decode(a2b_base64(ext.replace("-", "+").replace("_", "/") + "=="))  # more padding than needed does no harm
    except (Base64Error, msgspec.DecodeError, ValueError, RecursionError):
        raise CertificateError("Failed to parse ext: it must be a JSON object, in base64") from None
    if not isinstance(content, dict):
        raise CertificateError("Failed to parse ext: it is JSON, but not an object")
    authorized = content.get("authorizedScopes")
    return Ext(
        parse_certificate(content["certificate"]) if _given(content.get("certificate")) else None,
        _scopes(authorized, "ext.authorizedScopes") if _given(authorized) else None,
    )


def parse_certificate(content: Any) -> Certificate:
    """The certificate in decoded JSON; raises CertificateError when it is malformed. Times and signature are not looked at."""
    where = "ext.certificate"
    if not isinstance(content, dict):
        raise CertificateError(f"{where} must be a JSON object")
    issuer = content.get("issuer") if _given(content.get("issuer")) else None
    if issuer is not None and not isinstance(issuer, str):
        raise CertificateError(f"{where}.issuer must be a string")
    version, seed, start, expiry = (content.get(key) for key in ("version", "seed", "start", "expiry"))
    if not _is_number(version) or version != 1:
        raise CertificateError(f"{where}.version must be 1")
    if not isinstance(seed, str):
        raise CertificateError(f"{where}.seed must be a string")
    if len(seed) != _SEED_LENGTH:
        raise CertificateError(f"{where}.seed must be {_SEED_LENGTH} characters")
    if not _is_number(start):
        raise CertificateError(f"{where}.start must be a number: ms since 1970")
    if not _is_number(expiry):
        raise CertificateError(f"{where}.expiry must be a number: ms since 1970")
    signed = content.get("signature")
    return Certificate(
        _scopes(content.get("scopes"), f"{where}.scopes"), start, expiry, seed,
        signed if isinstance(signed, str) else "", issuer, "clientId" in content,
    )  # fmt: skip


def check_times(certificate: Certificate, now_ms: int) -> None:
    """Check that the certificate is valid now, give or take the skew of clocks; raises CertificateError."""
    if certificate.start > now_ms + SKEW_MS:
        raise CertificateError("ext.certificate.start > now: the temporary credentials are not valid yet")
    if certificate.expiry < now_ms - SKEW_MS:
        raise CertificateError("ext.certificate.expiry < now: the temporary credentials have expired")
    if certificate.expiry - certificate.start > LONGEST_MS:
        raise CertificateError("ext.certificate cannot last longer than 31 days!")


def check_signature(certificate: Certificate, client_id: str, access_token: str | Key) -> None:
    """Check who signed the certificate, given the issuer's access token; raises CertificateError."""
    made = signature(certificate, client_id, access_token)
    if not hmac.compare_digest(made.encode(), certificate.signature.encode()):
        also = ", or wrong clientId provided" if certificate.issuer else ""
        raise CertificateError(f"ext.certificate.signature is not valid{also}")


def _scopes(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise CertificateError(f"{where} must be an array")
    if not all(map(valid_scope, value)):
        raise CertificateError(f"{where} must be an array of valid scopes: printable ASCII")
    return tuple(value)


def _given(value: Any) -> bool:
    """Whether JavaScript, in which the scheme was first written, would take it for given."""
    return isinstance(value, (dict, list)) or bool(value)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_FARTHEST < value < _FARTHEST


def _number(value: float) -> str:
    """A number as JSON has it in its shortest form, in which it was signed."""
    return str(int(value)) if value == int(value) else repr(value)
