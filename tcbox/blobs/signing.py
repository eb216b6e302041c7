"""URLs that speak for themselves: what they permit, until when, under a signature that only this instance can make."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from tcbox import errors

_ALLOWED = frozenset({"expires", "method", "type", "length", "disposition", "sig"})


class BadUrl(errors.TcboxError):
    """A signed URL does not permit the request."""


class Signer:
    """Signs and checks URLs with a key of the instance's own (HMAC-SHA256).

    Args:
        key: at least 32 random bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise errors.TcboxError(f"the key for signing URLs has {len(key)} bytes: give at least 32 random bytes")
        self._key = key

    def query(self, location: str, *, method: str, expires_ms: int, **conditions: str | int) -> str:
        """The query of a URL that permits a method on a location until a time, under these conditions."""
        params = {"expires": str(expires_ms), "method": method, **{k: str(v) for k, v in conditions.items()}}
        return urlencode({**params, "sig": self._sign(location, params)})

    def check(self, location: str, query: str, *, method: str, now_ms: int) -> dict[str, str]:
        """The conditions that a URL's query sets.

        Raises BadUrl when the signature is not of this instance, the time is over, or the method another.
        """
        pairs = parse_qsl(query, keep_blank_values=True)
        params = dict(pairs)
        given = params.pop("sig", "")
        if len(pairs) != len(params) + 1 or not _ALLOWED.issuperset(params) or not hmac.compare_digest(given.encode(), self._sign(location, params).encode()):
            raise BadUrl("This URL is not signed by this instance for this path: use it exactly as it was given, or ask for a new one.")
        if params["method"] != ("GET" if method == "HEAD" else method):
            raise BadUrl(f"This URL permits {params['method']} only, and the request is a {method}: ask for a URL for {method}.")
        if now_ms > int(params["expires"]):
            raise BadUrl("This URL has expired: ask for a new one.")
        return params

    def _sign(self, location: str, params: Mapping[str, str]) -> str:
        where = quote(location, safe="/", errors="surrogatepass")  # no line break in it, nor in what follows, can pass for another part
        digest = hmac.digest(self._key, f"{where}\n{urlencode(sorted(params.items()))}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
