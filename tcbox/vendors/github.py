"""What everyone knows who speaks to GitHub as a GitHub App: how it signs, and what it looks like to be slowed down.

Source: the GitHub REST API, on authenticating as an app, and on rate limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tcbox import clock as clocks
from tcbox import errors
from tcbox.vendors import jwt
from tcbox.vendors.http import Answer

API = "https://api.github.com"
_SECONDARY = re.compile(r"\bsecondary rate\b", re.IGNORECASE)
_PAUSE = 60
"""Seconds to wait where GitHub asks to slow down and does not say for how long."""


class TooManyRequests(errors.ApiError):
    """GitHub takes no more requests of this app just now: try again later."""

    code, status = "TooManyRequests", 429


@dataclass(frozen=True, slots=True)
class App:
    """A GitHub App; the private key is in PEM form."""

    app_id: str
    private_key: str


def headers(authorization: str) -> dict[str, str]:
    """The headers of a request with this authorization."""
    return {
        "Authorization": authorization,
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "User-Agent": "tcbox",
    }


def app_headers(app: App, now: int) -> dict[str, str]:
    """The headers of a request that the app makes in its own name, at a time in ms.

    Raises jwt.PrivateKeyError when its key cannot be used.
    """
    seconds = now // 1000
    token = jwt.rs256({"iat": seconds - 30, "exp": seconds + 570, "iss": app.app_id}, app.private_key)
    return headers(f"Bearer {token}")


def limited(reply: Answer) -> bool:
    """Whether GitHub asks to slow down."""
    if reply.status == 429:
        return True
    if reply.status != 403:
        return False
    told = "retry-after" in reply.headers or reply.headers.get("x-ratelimit-remaining") == "0"
    return told or _SECONDARY.search(message(reply)) is not None


def limited_until(reply: Answer, now: int) -> int:
    """When the next request may be made, in ms, as the reply to one that was limited says."""
    wait = reply.headers.get("retry-after", "")
    if wait.isdecimal():
        return now + int(wait) * clocks.SECOND
    reset = reply.headers.get("x-ratelimit-reset", "")
    if reply.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return max(int(reset) * clocks.SECOND, now + clocks.SECOND)
    return now + _PAUSE * clocks.SECOND


def message(reply: Answer) -> str:
    """What GitHub says of a request that it refuses, with what it lists as wrong."""
    body = reply.json()
    if not isinstance(body, dict):
        return f"HTTP status {reply.status}"
    listed = [_fault(fault) for fault in body.get("errors") or ()] if isinstance(body.get("errors"), list) else []
    return ": ".join([str(body.get("message", "")), *(["; ".join(listed)] if listed else [])])


def _fault(fault: object) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    where = ".".join(str(fault[key]) for key in ("resource", "field") if fault.get(key))
    return " ".join(part for part in (where, str(fault.get("message") or fault.get("code") or "")) if part)
