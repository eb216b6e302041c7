"""JSON web tokens, made and never read here. Source: RFC 7515 and RFC 7519; HS256 and RS256 of RFC 7518."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import msgspec

from tcbox import errors


class PrivateKeyError(errors.TcboxError):
    """A private key of the configuration cannot be used."""


def hs256(claims: dict[str, Any], secret: str) -> str:
    """A token signed with a shared secret."""
    signed = _signed("HS256", claims)
    return _joined(signed, hmac.digest(secret.encode(), signed, "sha256"))


def rs256(claims: dict[str, Any], private_key: str) -> str:
    """A token signed with an RSA key in PEM form.

    Raises PrivateKeyError when it is no such key.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        key = serialization.load_pem_private_key(private_key.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError) as error:
        raise PrivateKeyError(f"the private key cannot be read ({error}): give an RSA key in PEM form, without a passphrase") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PrivateKeyError("the private key is no RSA key: give an RSA key in PEM form")
    signed = _signed("RS256", claims)
    return _joined(signed, key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))


def _signed(algorithm: str, claims: dict[str, Any]) -> bytes:
    header = {"alg": algorithm, "typ": "JWT"}
    return _base64(msgspec.json.encode(header)) + b"." + _base64(msgspec.json.encode(claims))


def _joined(signed: bytes, signature: bytes) -> str:
    return (signed + b"." + _base64(signature)).decode()


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
