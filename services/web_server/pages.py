"""A secret that pages of the instance's origin have, and to which a sign-in can be bound.

Cookies have no ports: whoever has a server at another port of the same host, another user of the machine or a task, can
have a browser show the sign-in's cookie there. What pages keep has an origin, with its port. So the cookie ends with the
digest of a page's secret, and pages show that secret for what gives something out.
"""

from __future__ import annotations

import hashlib
import hmac
import re

HEADER = "X-Tcbox-Page"
"""In which a page shows its secret."""

_MARK = "."
_DIGEST = re.compile(r"[0-9a-f]{64}")


def bound(cookie: str, digest: str) -> str:
    """A cookie bound to the secret that has this digest; as it is, when there is none."""
    return f"{cookie}{_MARK}{digest}" if _DIGEST.fullmatch(digest) else cookie


def holds(cookie: str, shown: str) -> bool:
    """Whether what is shown is the secret that a cookie is bound to, if it is bound to one."""
    _, mark, digest = cookie.partition(_MARK)
    return not mark or hmac.compare_digest(hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest().encode(), digest.encode())
