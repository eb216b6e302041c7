"""The HTML of an e-mail. What readers of mail strip from the head stands on the elements themselves."""

from __future__ import annotations

from html import escape
from string import Template

WIDTHS = {"simple": "max-width:600px", "fullscreen": "width:98%"}
_FONT = "font-family:Helvetica,Arial,sans-serif"

_PAGE = Template(f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
.text table {{ border-collapse: collapse }}
.text th, .text td {{ border: 1px solid #d5d8dc; padding: 4px 8px; text-align: left }}
.text pre {{ background: #f3f4f6; padding: 10px; overflow-x: auto; white-space: pre-wrap }}
.text blockquote {{ border-left: 3px solid #d5d8dc; margin: 0; padding-left: 12px; color: #57606a }}
</style>
</head>
<body style="margin:0;padding:0;background-color:#eef0f3;{_FONT}">
<div style="$width;margin:0 auto;padding:16px;box-sizing:border-box">
<div style="font-size:18px;color:#24292f;padding-bottom:10px">Taskcluster</div>
<div class="text" style="background-color:#ffffff;border-radius:6px;padding:20px;font-size:14px;line-height:1.5;color:#24292f">
$body
$button</div>
<div style="font-size:12px;line-height:1.5;color:#57606a;padding:10px 0">$footer</div>
</div>
</body>
</html>
""")
_BUTTON = Template(
    '<p style="margin:20px 0 0"><a href="$href" target="_blank" rel="noopener noreferrer" style="display:inline-block;background-color:#1f6feb;'
    'color:#ffffff;text-decoration:none;font-weight:bold;border-radius:6px;padding:10px 20px">$text</a></p>\n'
)


def page(look: str, title: str, body: str, link: dict[str, str] | None, footer: str) -> str:
    """The whole page.

    Args:
        body: HTML that is known to be harmless; all else is plain text.
    """
    button = _BUTTON.substitute(href=escape(link["href"]), text=escape(link["text"])) if link else ""
    return _PAGE.substitute(title=escape(title), width=WIDTHS[look], body=body, button=button, footer=escape(footer))
