"""Whether a webhook comes from GitHub: its signature over the body, byte for byte.

Source: GitHub's documentation on validating webhook deliveries.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

ALGORITHMS = ("sha256", "sha1")


def sign(secret: str, body: bytes, algorithm: str = "sha256") -> str:
    """The signature of a body, as GitHub writes it."""
    return f"{algorithm}={hmac.digest(secret.encode(), body, algorithm).hex()}"


def valid(secrets: Iterable[str], body: bytes, signature: str) -> bool:
    """Whether a signature was made with one of the secrets; takes as long whichever it is."""
    algorithm = signature.partition("=")[0]
    if algorithm not in ALGORITHMS:
        return False
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(sign(secret, body, algorithm).encode(), signature.encode())
    return found
