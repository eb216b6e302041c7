"""A notification as an e-mail: plain text as it was written, beside it the HTML of its Markdown with nothing harmful in it."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from tcbox.services.notify import bounds, model
from tcbox.services.notify.model import Delivery
from tcbox.services.notify.page import page

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_TAGS = """
a abbr address article aside b bdi bdo blockquote br caption cite code col colgroup data dd del dfn div dl dt em figcaption figure footer
h1 h2 h3 h4 h5 h6 header hgroup hr i ins kbd li main mark menu nav ol p pre q rb rp rt rtc ruby s samp section small span strong sub sup
table tbody td tfoot th thead time tr u ul var wbr
"""
_SCHEMES = {"http", "https", "mailto"}


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True, "breaks": True}).enable(["table", "strikethrough"])


def to_html(markdown: str) -> str:
    """Markdown as HTML without scripts, styles, forms, images and links that do more than lead somewhere."""
    import nh3

    html = _markdown().render(markdown)
    return nh3.clean(html, tags=set(_TAGS.split()), attributes={"a": {"href", "title"}, "ol": {"start"}}, url_schemes=_SCHEMES, link_rel="noopener noreferrer")


async def build(delivery: Delivery, source: str, now: int) -> EmailMessage:
    """The message of a delivery, from the address `source`, as of a time in ms."""
    content = delivery.notification.content
    try:
        body = await bounds.run(lambda: to_html(content["content"]))
    except (bounds.TooMuchError, RecursionError):
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
