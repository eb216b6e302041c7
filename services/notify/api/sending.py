"""Methods that send."""

from __future__ import annotations

from typing import Any

from tcbox import errors
from tcbox.api.call import Call
from tcbox.services.notify import model
from tcbox.services.notify.declarations import DenylistedAddress, api
from tcbox.services.notify.model import Notification, Outcome
from tcbox.services.notify.outbox import Outbox

CATEGORY = "Notifications"
LONGEST_KEY = 255 - len("primary.")
"""Bytes of a routing key that AMQP leaves for the caller's part."""


class Sending:
    """Sends what callers give."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    @api.post("/email", name="email", category=CATEGORY, input="email-request", scopes="notify:email:<address>", stability="experimental")
    async def email(self, call: Call) -> dict[str, Any] | None:
        """Send an Email

        Send an e-mail to `address`. The content is Markdown: the mail has it as plain text, and as HTML in which
        nothing harmful is left. A `link` becomes a button below.

        Answers once the mail server has taken the mail; with 204 when nothing was sent, for the same mail was sent
        already, or the address has had as many as its rate limit allows.
        """
        asked = call.payload
        await call.authorize(**asked)
        link = asked.get("link")
        if link is not None and not model.harmless(link["href"]):
            raise errors.InputError("The link.href {href} does not lead to a page: give a URL of http, https or mailto.", href=link["href"])
        for place in ("address", "replyTo"):
            if not model.plain_address(asked.get(place, "")):
                raise errors.InputError("The {place} has =? in it, which has a meaning of its own in e-mails: no such address is written to.", place=place)
        return await self._send("Email", model.EMAIL, "address", asked)

    @api.post("/pulse", name="pulse", category=CATEGORY, input="pulse-request", scopes="notify:pulse:<routingKey>", stability="experimental")
    async def pulse(self, call: Call) -> dict[str, Any] | None:
        """Publish a Pulse Message

        Publish a message on the exchange of notifications, under the routing key that is given.

        Answers with 204 when nothing was published, for the same message was published already.
        """
        asked = call.payload
        await call.authorize(routingKey=asked["routingKey"])
        if len(asked["routingKey"].encode()) > LONGEST_KEY:
            raise errors.InputError("The routingKey is longer than the {most} bytes that AMQP takes: shorten it.", most=LONGEST_KEY)
        return await self._send("Pulse routing key pattern", model.PULSE, "routingKey", asked)

    @api.post("/matrix", name="matrix", category=CATEGORY, input="matrix-request", scopes="notify:matrix-room:<roomId>", stability="experimental")
    async def matrix(self, call: Call) -> dict[str, Any] | None:
        """Post Matrix Message

        Post a message to a Matrix room, formatted too if `formattedBody` is given. `roomId` is the full id of the
        room, such as `!foo:example.com`. The instance's Matrix user must have been invited to the room; it joins it
        with the first message.

        Answers with 204 when nothing was posted, for the same message was posted already.
        """
        asked = call.payload
        await call.authorize(roomId=asked["roomId"])
        return await self._send("Matrix room", model.MATRIX, "roomId", asked)

    @api.post("/slack", name="slack", category=CATEGORY, input="slack-request", scopes="notify:slack-channel:<channelId>", stability="experimental")
    async def slack(self, call: Call) -> dict[str, Any] | None:
        """Post Slack Message

        Post a message to a Slack channel, which is given by its id, such as `C0123456789`. The instance's Slack app
        may post to public channels; to a private one it must have been added.

        Answers with 204 when nothing was posted, for the same message was posted already.
        """
        asked = call.payload
        await call.authorize(channelId=asked["channelId"])
        return await self._send("Slack channel", model.SLACK, "channelId", asked)

    async def _send(self, called: str, kind: str, place: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        address = asked[place]
        if "\0" in address:
            raise errors.InputError("The {place} has a NUL character in it: leave it out.", place=place)
        content = {name: value for name, value in asked.items() if name != place}
        outcome = await self._outbox.send(Notification(kind, address, content))
        if outcome is Outcome.DENIED:
            raise DenylistedAddress("{called} {address} is denylisted", called=called, address=address)
        return {} if outcome is Outcome.ACCEPTED else None
