"""A notification as an e-mail: plain text as it was written, beside it the HTML of its Markdown with nothing harmful in it."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape
from typing import Any

from tcbox.sandbox import Fault
from tcbox.services.notify import model
from tcbox.services.notify.model import Delivery
from tcbox.services.notify.page import page
from tcbox.services.notify.sandbox import Sandbox


async def build(delivery: Delivery, source: str, now: int, sandbox: Sandbox) -> EmailMessage:
    """The message of a delivery, from the address `source`, as of a time in ms."""
    content = delivery.notification.content
    try:
        body = await sandbox.html(content["content"])
    except Fault:
        body = f"<pre>{escape(content['content'])}</pre>"
    return assemble(delivery, source, body, now)


def assemble(delivery: Delivery, source: str, body: str, now: int) -> EmailMessage:
    """The message with a body whose HTML is there already."""
    from datetime import UTC, datetime

    address, content = delivery.notification.address, delivery.notification.content
    subject = model.header(content["subject"])
    footer = f"Sent by Taskcluster. E-mails to this address left by its rate limit: {delivery.remaining - 1}."
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = source
    message["To"] = address
    message["Subject"] = subject
    if content.get("replyTo"):
        message["Reply-To"] = content["replyTo"]
    message["Date"] = format_datetime(datetime.fromtimestamp(now / 1000, UTC))
    message["Message-ID"] = f"<{delivery.id}@{parseaddr(source)[1].rpartition('@')[2] or 'localhost'}>"
    message["Auto-Submitted"] = "auto-generated"
    link: dict[str, Any] | None = content.get("link")
    more = f"\n\n{link['text']}: {link['href']}" if link else ""
    text = content["content"].replace("\0", "")
    message.set_content(f"{text}{more}\n\n-- \n{footer}\n")
    message.add_alternative(page(content.get("template") or model.LOOKS[0], subject, body, link, footer), subtype="html")
    return message
