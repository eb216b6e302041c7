"""Messages in Slack channels, by `chat.postMessage`.

Source: the Slack web API reference, on chat.postMessage and its errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tcbox import clock as clocks
from tcbox.services.notify.channels import Later, Refused, Rejected, Undelivered, Unreachable, said
from tcbox.services.notify.channels.http import Answer, Outgoing
from tcbox.services.notify.model import Delivery

API = "https://slack.com/api/"
_OURS = frozenset((
    "access_denied", "account_inactive", "app_missing_action_url", "ekm_access_denied", "enterprise_is_restricted", "invalid_auth", "missing_scope",
    "no_permission", "not_allowed_token_type", "not_authed", "org_login_required", "team_access_not_granted", "token_expired", "token_revoked",
    "two_factor_setup_required",
))  # fmt: skip
_PASSING = frozenset(("fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"))
_LIMITS = frozenset(("message_limit_exceeded", "rate_limited", "ratelimited"))


@dataclass(frozen=True, slots=True)
class Settings:
    """Which API, and the bot's token."""

    token: str
    url: str = API


class Slack:
    """Sends to channels."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.url.rstrip('/')}/chat.postMessage"
        self._outgoing = Outgoing(settings.token)
        self.server = settings.url

    async def deliver(self, delivery: Delivery) -> None:
        """Post the message."""
        body = {"channel": delivery.notification.address, **content(delivery.notification.content)}
        answer = await self._outgoing.send("POST", self._url, body)
        if answer.status != 200 or answer.body.get("ok") is not True:
            raise fault(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._outgoing.close()


def content(asked: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the call, the channel aside."""
    made = {"text": asked["text"], "unfurl_links": asked.get("unfurlLinks") is True, "unfurl_media": asked.get("unfurlMedia") is True}
    return made | {name: asked[name] for name in ("blocks", "attachments") if asked.get(name)}


def fault(answer: Answer) -> Undelivered:
    """What an answer other than success means."""
    error = answer.body.get("error")
    metadata = answer.body.get("response_metadata")
    details = metadata.get("messages") if isinstance(metadata, dict) else None
    words = said(f"{error}: {'; '.join(map(str, details))}" if error and isinstance(details, list) and details else error or f"HTTP status {answer.status}")
    if answer.status == 429 or error in _LIMITS:
        return Later(words, after=answer.retry_after or 30 * clocks.SECOND)
    if answer.status >= 500 or error in _PASSING:
        return Unreachable(words, after=answer.retry_after)
    if error in _OURS or not error:
        return Rejected(words)
    return Refused(words)
