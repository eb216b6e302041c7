"""Markdown as HTML with nothing harmful in it."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

_TAGS = """
a abbr address article aside b bdi bdo blockquote br caption cite code col colgroup data dd del dfn div dl dt em figcaption figure footer
h1 h2 h3 h4 h5 h6 header hgroup hr i ins kbd li main mark menu nav ol p pre q rb rp rt rtc ruby s samp section small span strong sub sup
table tbody td tfoot th thead time tr u ul var wbr
"""
_SCHEMES = {"http", "https", "mailto"}
_MARKDOWN = MarkdownIt("commonmark", {"html": True, "breaks": True}).enable(["table", "strikethrough"])


def to_html(markdown: str) -> str:
    """Markdown as HTML without scripts, styles, forms, images and links that do more than lead somewhere."""
    html = _MARKDOWN.render(markdown)
    return nh3.clean(html, tags=set(_TAGS.split()), attributes={"a": {"href", "title"}, "ol": {"start"}}, url_schemes=_SCHEMES, link_rel="noopener noreferrer")
