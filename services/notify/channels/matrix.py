"""Messages in Matrix rooms, by the client-server API.

Who is not in a room yet joins it when the first message is due, which works once invited. The id of a delivery is
the transaction id, so that the server itself passes over a second copy.
Source: the Matrix client-server specification, v3 end-points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tcbox.services.notify.channels import Later, Refused, Rejected, Undelivered, Unreachable, said
from tcbox.services.notify.channels.http import Answer, Outgoing
from tcbox.services.notify.model import Delivery

HTML = "org.matrix.custom.html"


@dataclass(frozen=True, slots=True)
class Settings:
    """Which server, and whom to be there.

    Attributes:
        user: the Matrix id that the token is of, to tell people whom to invite; may be empty.
    """

    url: str
    token: str
    user: str = ""


class Matrix:
    """Sends to rooms."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.url.rstrip('/')}/_matrix/client/v3/rooms"
        self._user = settings.user or "the Matrix user of services.notify.matrix.access_token"
        self._outgoing = Outgoing(settings.token)
        self.server = settings.url

    async def deliver(self, delivery: Delivery) -> None:
        """Send the message, joining the room if need be."""
        room, sent = delivery.notification.address, content(delivery.notification.content)
        place = f"{self._url}/{quote(room, safe='')}"
        message = f"{place}/send/m.room.message/{quote(delivery.id, safe='')}"
        answer = await self._outgoing.send("PUT", message, sent)
        if answer.status == 403:
            joined = await self._outgoing.send("POST", f"{place}/join", {})
            if joined.status in (403, 404):
                raise Refused(f"{self._user} must be invited to {room} ({_said(joined)})")
            self._check(joined)
            answer = await self._outgoing.send("PUT", message, sent)
        self._check(answer)

    def _check(self, answer: Answer) -> None:
        if answer.status != 200:
            raise fault(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._outgoing.close()


def content(asked: dict[str, Any]) -> dict[str, Any]:
    """The content of the room's event."""
    made = {"msgtype": asked.get("msgtype") or "m.notice", "body": asked["body"]}
    formatted = asked.get("formattedBody")
    if asked.get("format") or formatted is not None:
        made["format"] = asked.get("format") or HTML
    if formatted is not None:
        made["formatted_body"] = formatted
    return made


def fault(answer: Answer) -> Undelivered:
    """What an answer other than 200 means."""
    words, wait = _said(answer), answer.body.get("retry_after_ms")
    if answer.status == 429:
        return Later(words, after=min(wait, 86_400_000) if isinstance(wait, int) and wait > 0 else answer.retry_after)
    if answer.status >= 500:
        return Unreachable(words, after=answer.retry_after)
    if answer.status == 401 or answer.status < 400:
        return Rejected(words)
    return Refused(words)


def _said(answer: Answer) -> str:
    code, words = answer.body.get("errcode"), answer.body.get("error")
    return said(f"{code}: {words}" if code else f"HTTP status {answer.status}")
