"""Badges: small pictures that say how the latest commit of a branch fares. Pure."""

from __future__ import annotations

from collections.abc import Iterable

LABEL = "taskcluster"
_GREEN, _RED, _AMBER, _GREY, _BLUE = "#2f8f46", "#c0392b", "#b8860b", "#6b7280", "#2563a6"
_LOOKS = {
    "success": ("success", _GREEN),
    "failure": ("failure", _RED),
    "error": ("error", _RED),
    "pending": ("pending", _AMBER),
    "cancelled": ("cancelled", _GREY),
    "skipped": ("skipped", _GREY),
    "stale": ("stale", _GREY),
    "neutral": ("neutral", _GREY),
    "timed_out": ("timed out", _RED),
    "action_required": ("action required", _AMBER),
    "newrepo": ("no builds yet", _BLUE),
}
_SOFT = frozenset({"pending", "timed_out", "cancelled", "skipped", "stale", "action_required", "neutral"})
STATES = frozenset(_LOOKS)


def state(status: str | None, conclusions: Iterable[str | None]) -> str | None:
    """The state of a commit: of its commit status, and of its check runs, None for one that is not completed.

    A failure outweighs what is unfinished or odd, that outweighs success; None when there is neither status nor check.
    """
    found = status
    soft = None
    for conclusion in conclusions:
        if conclusion == "failure":
            return "failure"
        told = "pending" if conclusion is None else conclusion
        if told in _SOFT:
            soft = soft or told
        elif told == "success" and found != "failure":
            found = "success"
    return soft if soft is not None and found != "failure" else found


def svg(name: str) -> bytes:
    """The picture of a state."""
    text, colour = _LOOKS[name if name in _LOOKS else "error"]
    left, right = 18 + 6.6 * len(LABEL), 18 + 6.6 * len(text)
    width = left + right
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="20" role="img" aria-label="{LABEL}: {text}">'
        f"<title>{LABEL}: {text}</title>"
        f'<rect width="{width:.0f}" height="20" rx="4" fill="#374151"/>'
        f'<path d="M{left:.0f} 0h{right - 4:.0f}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H{left:.0f}z" fill="{colour}"/>'
        f'<g fill="#ffffff" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:.0f}" y="14">{LABEL}</text><text x="{left + right / 2:.0f}" y="14">{text}</text></g></svg>'
    ).encode()
