"""Settings of the notify service."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from tcbox.config.section import section
from tcbox.config.values import Count, Form, HttpUrl, Port, Range, Secret, Version

_NO_SECRET = Secret()

HostName = Annotated[str, Form(r"[A-Za-z0-9._:-]+", "a host name or an address, without a port")]
Mailbox = Annotated[str, Form(r"[^\s<>@,;]+@[^\s<>@,;]+|[^<>@\r\n]*<[^\s<>@,;]+@[^\s<>@,;]+>", "an address such as Taskcluster <taskcluster@example.com>")]
Files = Annotated[int, Range(0, 100_000)]
Span = Annotated[int, Range(0, 2**31 - 1)]


@section
class Email:
    """By which server e-mails are sent, and from whom they are."""

    host: HostName = ""
    """The mail server. Default: none, and e-mails are kept as files in the data folder (see `keep`)."""

    port: Port = 0
    """Its port. Default: 587 with `starttls`, 465 with `tls`, 25 with `none`."""

    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is kept private: `starttls` has the server switch to TLS, `tls` begins with it, `none` leaves
    all in the clear. Default: starttls. A server without it is not used, rather than used in the clear."""

    certificates: str = ""
    """In PEM, the certificates that the server's own must be signed by, as `${file:/path/ca.pem}`. Default: those that
    this machine trusts."""

    user: str = ""
    """As whom to sign in. Default: none, without signing in."""

    password: Secret = _NO_SECRET
    """What belongs to `user`; give it by reference. Default: none."""

    source: Mailbox = ""
    """From whom e-mails are, such as `Taskcluster <taskcluster@example.com>`. Needed with a server; default without one:
    tcbox@localhost."""

    keep: Files = 500
    """How many e-mails are kept as files `mail/*.eml` of the data folder, where there is no server. Default: 500, the
    latest. With 0 none is kept, and who sends one is answered that e-mail is not configured."""


@section
class Matrix:
    """As whom messages are posted to Matrix rooms."""

    base_url: HttpUrl = ""
    """URL of the homeserver, such as https://matrix.example.com. Default: none, and who sends to a room is answered that
    Matrix is not configured."""

    access_token: Secret = _NO_SECRET
    """Of the Matrix user who posts; give it by reference. Default: none."""

    user_id: str = ""
    """That user's id, such as @taskcluster:example.com. Default: none. Stands where people are told whom to invite."""


@section
class Slack:
    """As whom messages are posted to Slack channels."""

    access_token: Secret = _NO_SECRET
    """The bot token of a Slack app with the scope chat:write; give it by reference. Default: none, and who sends to a
    channel is answered that Slack is not configured."""

    api_url: HttpUrl = "https://slack.com/api/"
    """URL of Slack's web API. Default: https://slack.com/api/."""


@section
class Notify:
    """Mail and messages about tasks."""

    enabled: bool = True
    """Whether the service runs. Default: true. Without it nobody is told of what tasks ask for meanwhile, until it runs
    again within 30 days."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    email: Email = field(default_factory=Email)
    """By which server e-mails are sent, and from whom they are."""

    matrix: Matrix = field(default_factory=Matrix)
    """As whom messages are posted to Matrix rooms."""

    slack: Slack = field(default_factory=Slack)
    """As whom messages are posted to Slack channels."""

    max_message_count: Count = 50
    """How many e-mails one address gets within `max_message_time`. Default: 50. Those above are not sent."""

    max_message_time: Count = 600
    """Seconds over which an address's e-mails are counted. Default: 600."""

    duplicate_time: Span = 86400
    """Seconds for which a notification is not sent that equals one sent before, to the same address. Default: 86400, a
    day. With 0 all are sent, and one may come twice after a crash."""

    give_up_time: Count = 86400
    """Seconds for which a notification that a task asked for is tried again while its server fails. Default: 86400, a
    day. Then it is given up, and the log says so."""

    email_denylist: tuple[str, ...] = ()
    """E-mail addresses that are never written to, beside those that addDenylistAddress has put on the list. Default:
    none."""

    ignore_reasons: tuple[str, ...] = ("canceled", "deadline-exceeded")
    """The reasons of a task's exception of which nobody is told. Default: canceled, deadline-exceeded."""
