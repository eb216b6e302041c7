"""Kinds of values that settings have beside text and numbers, and the bounds that they must keep to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

MASK = "***"
_PASSWORD = re.compile(r"^([a-zA-Z0-9+.-]+://[^/:@?#]*):.*@")
_OPTION = re.compile(r"([?&][^=&]*(?:password|secret|token|key)[^=&]*)=[^&#]*", re.IGNORECASE)


class Secret(str):
    """A text for those to whom it is handed, never shown where settings are printed: its `repr` is `***`."""

    __slots__ = ()

    def reveal(self) -> str:
        """The plain text."""
        return str(self)

    def __repr__(self) -> str:
        return MASK


class Url(str):
    """A URL that may carry a password: whole for those to whom it is handed, masked where settings are printed."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The URL without the password and the keys in it."""
        return masked(self)

    def __repr__(self) -> str:
        return repr(self.shown)


class Source(str):
    """A path, or a root URL to read from instead."""

    __slots__ = ()


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///path` names; four slashes, with which other programs write an absolute path, mean the same as three."""
    return Path("/" + unquote(url.partition("://")[2]).lstrip("/"))


def masked(url: str) -> str:
    """A URL without the password and the keys in it."""
    return _OPTION.sub(rf"\1={MASK}", _PASSWORD.sub(rf"\1:{MASK}@", url))


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both included."""

    least: float | None = None
    most: float | None = None

    def fits(self, value: float) -> bool:
        """Whether a number is within the bounds."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"from {self.least} to {self.most}"
        return f"of at least {self.least}" if self.most is None else f"of at most {self.most}"


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a text: a regular expression that it must match as a whole, and that form in words."""

    pattern: str
    words: str

    def fits(self, value: str) -> bool:
        """Whether a text has the form."""
        return re.fullmatch(self.pattern, value) is not None

    def __str__(self) -> str:
        return self.words


Address = Annotated[str, Form(r"[^\s/]+", "an address such as 127.0.0.1, or a host name")]
Count = Annotated[int, Range(1, 2**31 - 1)]
Amount = Annotated[int, Range(0, 2**31 - 1)]
Processors = Annotated[float, Range(0, 10_000)]
PublicKey = Annotated[str, Form(r"[A-Za-z0-9+/]{43}=", "a public ed25519 key of 32 bytes in base64, as chain-of-trust.pub has it")]
Port = Annotated[int, Range(0, 65535)]
Seconds = Annotated[float, Range(0, 86400)]
Silence = Annotated[float, Range(4, 3600)]
HttpUrl = Annotated[str, Form(r"https?://[^\s/?#]+[^\s?#]*", "a URL such as https://host/path")]
RootUrl = Annotated[str, Form(r"https?://[^\s/?#@]+/?", "a root URL such as https://tc.example.com, without a path")]
TaskQueue = Annotated[str, Form(r"[a-zA-Z0-9_-]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?", "a task queue such as local/docker, in small letters after the slash")]
TaskQueues = Annotated[str, Form(r"[a-zA-Z0-9_*-]+/[a-zA-Z0-9_*-]+|\*", "a task queue, or a pattern of them, such as proj-*/b-linux")]
ClientId = Annotated[str, Form(r"static/[A-Za-z0-9!@/:.+|_-]+", "an id that begins with static/, of letters, digits and !@/:.+|_-")]
AccessToken = Annotated[Secret, Form(r"[a-zA-Z0-9_-]{22,66}", "22 to 66 letters, digits, dashes and underscores, as `openssl rand -hex 32` makes them")]
DatabaseUrl = Annotated[Url, Form(r"sqlite:///.+|(postgresql|postgres)://.+/.+", "postgresql://user:password@host/name, or sqlite:///path/to/tcbox.db")]
EventsUrl = Annotated[Url, Form(r"local|amqps?://[^\s/?#]+(/[^\s?#/]*)?(\?[^\s#]*)?", "local, or amqp://user:password@host:port/vhost")]
BlobsUrl = Annotated[Url, Form(r"s3://[^/\s?]+(/[^\s]*)?|file:///.*", "s3://bucket/prefix, or file:///path/to/folder")]
Version = Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", "a release such as 1.2.1")]
ToolId = Annotated[str, Form(r"[A-Za-z0-9!@:.+|_-]{1,100}", "a name of letters, digits and !@:.+|_-")]
RedirectUri = Annotated[str, Form(r"https?://[^\s/?#@\\]+([/?][^\s#\\]*)?", "a URL such as https://tool.example.com/back, without a fragment")]
Duration = Annotated[
    str,
    Form(
        r"(?=.*[0-9])\s*(\d{1,6}\s*y(ears?|r)?)?\s*(\d{1,6}\s*mo(nths?)?)?\s*(\d{1,6}\s*w(eeks?|k)?)?\s*(\d{1,6}\s*d(ays?)?)?"
        r"\s*(\d{1,6}\s*h(ours?|r)?)?\s*(\d{1,6}\s*m(in(utes?)?)?)?\s*(\d{1,6}\s*s(ec(onds?)?)?)?\s*",
        "a duration such as 30 days or 12h",
    ),
]
